"""How live is the feed?

Payments at a steady pace while subscribers listen; then the same while their lines are cut.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.bench.documents import PAY
from tests.bench.house import Api, bare_server, watching
from tests.bench.load import Shop
from tests.bench.watchers import Heard, WatchJob
from tests.bench.wire import body_of, request

__all__ = ["EVENTS_PER_PAYMENT", "Audience", "Sending", "bare_sending", "listen", "resume"]

#: A payment that is captured at once is created, then captured.
EVENTS_PER_PAYMENT = 2
_CONNECTIONS = 16
_PATIENCE_S = 20.0


class Audience(NamedTuple):
    """What so many subscribers heard of so many events a second."""

    wanted: int
    tenants: int
    events_per_s: float
    heard: Heard


class Sending(NamedTuple):
    """The bare application's cost for one text to one socket."""

    cpu_us: float
    sends_per_s: float


@asynccontextmanager
async def _paying(
    api: Api, shops: Sequence[Shop], *, rate: float
) -> AsyncIterator[Callable[[], int]]:
    """Payments at a steady rate, tenant after tenant; gives how many were captured so far."""
    paid = 0
    run = f"{time.time_ns():x}"
    lines = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(_CONNECTIONS)]
    idle = asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
    for line in lines:
        idle.put_nowait(line)

    async def pay(number: int) -> None:
        nonlocal paid
        reader, writer = line = await idle.get()
        given = {
            "idempotencyKey": f"{run}-{number}",
            "amount": {"amountMinor": 1_000 + number % 5_000, "currency": "EUR"},
            "paymentMethod": {"token": "tok_visa"},
        }
        key = shops[number % len(shops)].key
        writer.write(request("/graphql", body_of(PAY, {"input": given}), key=key))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
        paid += b'"CAPTURED"' in await reader.readexactly(length)
        idle.put_nowait(line)

    async def keep_paying() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in itertools.count():
            await asyncio.sleep(max(begun + number / rate - loop.time(), 0))
            task = asyncio.create_task(pay(number))
            doing.add(task)
            task.add_done_callback(doing.discard)

    doing = set[asyncio.Task[None]]()
    pacing = asyncio.create_task(keep_paying())
    try:
        yield lambda: paid
    finally:
        pacing.cancel()
        await asyncio.gather(pacing, return_exceptions=True)
        if doing:
            await asyncio.wait(doing, timeout=_PATIENCE_S)
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)
        for _, writer in lines:
            writer.close()


async def listen(
    api: Api, shops: Sequence[Shop], *, subscribers: int, events_per_s: float, seconds: float
) -> Audience:
    """Subscribers spread evenly over the shops, which share the events evenly."""
    keys = [shops[number % len(shops)].key for number in range(subscribers)]
    rate = events_per_s / EVENTS_PER_PAYMENT
    job = WatchJob(port=api.port, pid=api.pid, keys=keys, seconds=seconds)
    # Paying begins first, so that the window has nothing but the steady state in it.
    async with _paying(api, shops, rate=rate) as paid:
        async with watching(job) as hearing:
            before, began = paid(), time.perf_counter()
            heard = await hearing.result()
            done = paid() - before
            took = time.perf_counter() - began
    return Audience(subscribers, len(shops), done * EVENTS_PER_PAYMENT / took, heard)


async def resume(
    api: Api, shops: Sequence[Shop], *, subscribers: int, cuts: int, events_per_s: float
) -> Heard:
    """Cut lines at random until there were `cuts`, come back by cursor, count what is missing."""
    keys = [shops[number % len(shops)].key for number in range(subscribers)]
    job = WatchJob(port=api.port, pid=api.pid, keys=keys, seconds=1.0, cuts=cuts)
    async with watching(job) as hearing:
        async with _paying(api, shops, rate=events_per_s / EVENTS_PER_PAYMENT):
            await hearing.enough()
        return await hearing.result()


async def bare_sending(*, sockets: int, rate: float, size: int, seconds: float) -> Sending:
    """The cost of one send where nothing else is done; the idle process's cost is taken off."""
    async with bare_server(rate=rate, size=size) as api:
        job = WatchJob(port=api.port, pid=api.pid, keys=[""] * sockets, seconds=seconds, path="/ws")
        async with watching(job) as hearing:
            heard = await hearing.result()
    return Sending(heard.cpu_s / max(heard.delivered, 1) * 1e6, heard.delivered / heard.seconds)
