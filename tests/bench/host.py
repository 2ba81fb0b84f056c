"""What does a plugin host cost a call, and what does a bad plugin cost the others?

`make bench-host`. The same gateway is called in process and in its host; then a bystander in
process is called while another plugin hangs (in process) or spins (in its host), in turns with
quiet rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import uuid

import msgspec
from payengine.plugin import Gateway
from payengine.registry import Breakers, Guard

from tests.core.host.hostile import HostileGateway, HostileSettings
from tests.core.host.houses import House, request_of

__all__ = ["HostFigures", "measure"]

_ROUNDS = 5
_PAUSE_S = 0.001


class HostFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Times of one call; a bystander's p99 is the median of the rounds'."""

    in_process_us: float
    in_host_us: float
    in_host_many_us: float
    start_ms: float
    quiet_p99_ms: float
    beside_hanging_p99_ms: float
    beside_spinning_p99_ms: float


async def _calls(house: House, gateway: Gateway, *, count: int, at_once: int = 1) -> float:
    """Microseconds of one call through the guard."""
    guard = Guard(breakers=Breakers(threshold=1_000))
    settings = HostileSettings(api_key="k") if gateway is not house.gateway else None
    call = house.call_of()
    call = msgspec.structs.replace(call, settings=settings or call.settings)
    tenants = [uuid.uuid4() for _ in range(at_once)]

    async def some(tenant: uuid.UUID) -> None:
        for _ in range(count // at_once):
            request = request_of("tok")
            answer = await guard.call(tenant, gateway, house.manifest, call, "authorize", request)
            assert answer.kind == "outcome", answer

    began = time.perf_counter()
    await asyncio.gather(*map(some, tenants))
    return (time.perf_counter() - began) / count * 1e6


async def _p99_ms(bystander: House, gateway: Gateway, *, seconds: float) -> float:
    """A bystander's slowest hundredth, called once a millisecond."""
    call = msgspec.structs.replace(bystander.call_of(), settings=HostileSettings(api_key="k"))
    took = []
    ends_at = time.perf_counter() + seconds
    while time.perf_counter() < ends_at:
        began = time.perf_counter()
        await bystander.guard.call(
            uuid.uuid4(), gateway, bystander.manifest, call, "authorize", request_of("tok")
        )
        took.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE_S)
    return statistics.quantiles(took, n=100)[98] * 1e3


async def measure(*, count: int = 3_000, seconds: float = 2.0) -> HostFigures:
    """All of it, some 30 s."""
    house, culprit, here = House(), House(), HostileGateway()
    began = time.perf_counter()
    await house.pay("tok")
    start_ms = (time.perf_counter() - began) * 1e3
    await culprit.pay("tok")
    quiet, hanging, spinning = [], [], []
    settings = {"deadline_ms": round(seconds * 1e3)}
    for _ in range(_ROUNDS):
        quiet.append(await _p99_ms(house, here, seconds=seconds))
        hangs = [asyncio.create_task(_hang(here, culprit, **settings)) for _ in range(20)]
        hanging.append(await _p99_ms(house, here, seconds=seconds))
        await asyncio.gather(*hangs)
        spins = asyncio.create_task(culprit.pay("spins", **settings))
        spinning.append(await _p99_ms(house, here, seconds=seconds))
        await spins
    figures = HostFigures(
        in_process_us=await _calls(house, here, count=count),
        in_host_us=await _calls(house, house.gateway, count=count),
        in_host_many_us=await _calls(house, house.gateway, count=count, at_once=20),
        start_ms=start_ms,
        quiet_p99_ms=statistics.median(quiet),
        beside_hanging_p99_ms=statistics.median(hanging),
        beside_spinning_p99_ms=statistics.median(spinning),
    )
    await house.close()
    await culprit.close()
    return figures


async def _hang(gateway: Gateway, house: House, *, deadline_ms: int) -> None:
    call = msgspec.structs.replace(
        house.call_of(deadline_ms=deadline_ms), settings=HostileSettings(api_key="k")
    )
    await house.guard.call(
        uuid.uuid4(), gateway, house.manifest, call, "authorize", request_of("hangs")
    )


def main() -> None:
    """Measure and print; JSON."""
    figures = asyncio.run(measure())
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(figures), indent=2).decode() + "\n")


if __name__ == "__main__":
    main()
