"""Does the chaos wrapper fail by its seed, and otherwise keep out of the way?"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payengine.plugin import Gateway, Increments, Lookup, NotSent, Outcome, Statement
from payengine.testing import Chaos, ChaosGateway, GatewayCase, check_gateway
from payengine.testing.chaos import ChaosStruck
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.samples import sandbox_case
from payengine_sandbox.testing import frame, payment


def wrapped(path: Path, chaos: Chaos) -> ChaosGateway:
    return ChaosGateway(SandboxGateway(path=path / "sandbox.sqlite3"), chaos)


async def fate(gateway: ChaosGateway, key: str, *, deadline_ms: int = 200) -> str:
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            outcome: object = await gateway.authorize(frame(deadline_ms=deadline_ms), payment(key))
    except TimeoutError:
        return "silence"
    except (NotSent, ChaosStruck) as fault:
        return type(fault).__name__
    return outcome.status if isinstance(outcome, Outcome) else "garbage"


async def look(gateway: ChaosGateway, key: str) -> str:
    return (await gateway.lookup(frame(), Lookup(key=key, kind="authorize"))).status


@pytest.mark.parametrize(
    ("chaos", "seen", "found"),
    [
        (Chaos(not_sent=1000), "NotSent", "not_found"),
        (Chaos(error_before=1000), "ChaosStruck", "not_found"),
        (Chaos(error_after=1000), "ChaosStruck", "succeeded"),
        (Chaos(hang_before=1000), "silence", "not_found"),
        (Chaos(hang_after=1000), "silence", "succeeded"),
        (Chaos(garbage=1000), "garbage", "succeeded"),
        (Chaos(), "succeeded", "succeeded"),
    ],
)
async def test_each_fault_does_what_its_name_says(
    tmp_path: Path, chaos: Chaos, seen: str, found: str
) -> None:
    gateway = wrapped(tmp_path, chaos)
    assert await fate(gateway, "k") == seen
    assert await look(gateway, "k") == found


async def test_the_same_seed_strikes_the_same_calls(tmp_path: Path) -> None:
    def storm(seed: int) -> Chaos:
        return Chaos(seed=seed, not_sent=200, error_before=200, garbage=200)

    async def play(folder: str, seed: int) -> list[str]:
        gateway = wrapped(tmp_path / folder, storm(seed))
        return [await fate(gateway, f"key-{i}", deadline_ms=5_000) for i in range(60)]

    first = await play("a", 5)
    assert first == await play("b", 5)
    assert first != await play("c", 6)
    assert set(Counter(first)) == {"NotSent", "ChaosStruck", "garbage", "succeeded"}


async def test_a_second_try_draws_again(tmp_path: Path) -> None:
    gateway = wrapped(tmp_path, Chaos(seed=1, error_before=500))
    fates = [await fate(gateway, "k", deadline_ms=5_000) for _ in range(20)]
    assert set(fates) == {"ChaosStruck", "succeeded"}


async def test_lookups_are_struck_only_on_request(tmp_path: Path) -> None:
    gateway = wrapped(tmp_path, Chaos(error_before=1000, lookups=True))
    with pytest.raises(ChaosStruck):
        await look(gateway, "k")


async def test_without_chaos_the_contract_holds(tmp_path: Path) -> None:
    import dataclasses

    gateway = wrapped(tmp_path, Chaos())
    assert isinstance(gateway, Gateway)
    assert isinstance(gateway, Increments)
    assert isinstance(gateway, Statement)
    case: GatewayCase = dataclasses.replace(sandbox_case(), gateway=gateway)
    results = await check_gateway(case)
    assert {result.verdict for result in results} == {"passed"}


async def test_the_statement_shows_what_silence_hid(tmp_path: Path) -> None:
    gateway = wrapped(tmp_path, Chaos(hang_after=1000))
    await fate(gateway, "k")
    now, day = datetime.now(UTC), timedelta(days=1)
    lines = await gateway.movements(frame(), since=now - day, until=now + day)
    assert [line.key for line in lines] == ["k"]
