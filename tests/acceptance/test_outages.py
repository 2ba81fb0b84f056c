"""PostgreSQL and Valkey go away under load, and nothing that was acknowledged is lost.

A few times here; twenty times, and for as long as ten seconds, with `PAYENGINE_NIGHTLY`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx
import pytest
import redis.asyncio
from payengine.embedded import running_servers
from payengine.embedded.process import is_running

from tests.acceptance.crash.lane import Lane
from tests.acceptance.crash.memory import Shop
from tests.acceptance.crash.options import Options
from tests.acceptance.crash.world import World, opened
from tests.acceptance.programs import Program
from tests.core.embedded.processes import postgres_pid, valkey_pid

_IS_NIGHTLY = bool(os.environ.get("PAYENGINE_NIGHTLY"))
_STOPS = 20 if _IS_NIGHTLY else 3
_FROZEN_S = 10.0 if _IS_NIGHTLY else 1.5
_SEED = 1
_PATIENCE_S = 240.0
#: Readers look by themselves once a second; the rest is for a machine that is busy.
_HEARD_WITHIN_S = 60.0

_FEED = "subscription { paymentEvents { position resync } }"
_HEAD = "SELECT coalesce(max(position), 0) AS head FROM event WHERE tenant_id = $1"
_UNPLACED = "SELECT id FROM event WHERE tenant_id = $1 AND position IS NULL"


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[World, Lane]]:
    options = Options(kills=0, seed=_SEED, lanes=1, chaos=100)
    async with opened(options, lane=0, has_worker=False) as world:
        lane = Lane(world, (), 0, lambda: None)
        try:
            await lane.begin()
            yield world, lane
        finally:
            await lane.aclose()


async def _gone(pid: int) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while is_running(pid):
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


async def test_postgres_stopped_at_once_under_load_loses_nothing() -> None:
    """As `pg_ctl stop -m immediate` does it: no checkpoint, every connection cut."""
    chance = Random(_SEED)
    async with _serving() as (world, lane):
        lane.client.gate.set()
        for _ in range(_STOPS):
            lane.more_buyers(12)
            answers = lane.memory.answers
            while lane.memory.answers < answers + 12:  # noqa: ASYNC110 - the program's pace
                await asyncio.sleep(0.02)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            pid = postgres_pid(world.settings.home)
            os.kill(pid, signal.SIGQUIT)
            await _gone(pid)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            async with running_servers(world.settings):  # whoever comes next starts it again
                assert postgres_pid(world.settings.home) != pid
            await world.reconnect()
        await lane.finish()
        figures = await lane.reckoned()
    assert figures.wrong == [], figures.words
    assert figures.payments == 12 * _STOPS
    assert figures.severed > 0, "no outage was noticed"


class _Reader:
    """A live reader at a server of its own: what it hears goes through Valkey."""

    def __init__(self, url: str, shop: Shop) -> None:
        self.positions: list[int] = []
        self.resyncs = 0
        self._task = asyncio.create_task(self._read(url, shop))

    async def _read(self, url: str, shop: Shop) -> None:
        headers = {"Authorization": f"Bearer {shop.api_key}", "Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=_PATIENCE_S) as http,
            http.stream("POST", "/graphql", json={"query": _FEED}, headers=headers) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data:") and len(line) > len("data: "):
                    event = json.loads(line.removeprefix("data:"))["data"]["paymentEvents"]
                    self.resyncs += bool(event["resync"])
                    if event["position"] is not None:
                        self.positions.append(int(event["position"]))

    async def heard(self, position: int, *, within_s: float) -> None:
        """Return when the event at `position` has been heard; fails past `within_s`."""
        give_up_at = time.monotonic() + within_s
        while not self.positions or self.positions[-1] < position:
            assert not self._task.done(), self._task
            assert time.monotonic() < give_up_at, (position, self.positions[-3:])
            await asyncio.sleep(0.02)

    async def aclose(self) -> None:
        """Stop reading."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _kill(world: World) -> None:
    pid = valkey_pid(world.settings.home)
    os.kill(pid, signal.SIGKILL)
    await _gone(pid)


async def _flush(world: World) -> None:
    async with running_servers(world.settings) as servers:
        assert servers.redis_url is not None
        client = redis.asyncio.Redis.from_url(servers.redis_url)
        try:
            await client.flushall()
        finally:
            await client.aclose()


async def _freeze(world: World) -> None:
    pid = valkey_pid(world.settings.home)
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(_FROZEN_S)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _head(world: World, shop: Shop) -> int:
    """The shop's newest position, once every event has one."""
    while await world.rows(_UNPLACED, shop):  # noqa: ASYNC110 - the relay's pace
        await asyncio.sleep(0.02)
    (row,) = await world.rows(_HEAD, shop)
    head: int = row["head"]
    return head


@pytest.mark.parametrize("outage", [_kill, _flush, _freeze], ids=["killed", "flushed", "frozen"])
async def test_valkey_lost_loses_no_money_and_no_event(outage: Callable[[World], Any]) -> None:
    async with _serving() as (world, lane):
        watched = world.shops[0]
        second: Program = await world.start("serve", "--port", "0")
        reader = None
        try:
            reader = _Reader((await second.said(r"^ready (http\S+)$"))[1], watched)
            lane.client.gate.set()
            while not reader.positions:
                lane.more_buyers(len(world.shops))  # until it has begun to listen
                await asyncio.sleep(0.5)
            begun, buying = len(lane.memory.bought), asyncio.create_task(_keep_buying(lane))
            await outage(world)
            await asyncio.sleep(0.5)
            buying.cancel()
            await reader.heard(await _head(world, watched), within_s=_HEARD_WITHIN_S)
            async with running_servers(world.settings):  # brings back what was killed
                pass
            await lane.finish()
            await reader.heard(await _head(world, watched), within_s=_HEARD_WITHIN_S)
            first, last = reader.positions[0], reader.positions[-1]
            assert reader.positions == list(range(first, last + 1))
            assert reader.resyncs == 0
            assert len(lane.memory.bought) > begun, "nobody bought meanwhile"
        finally:
            if reader is not None:
                await reader.aclose()
            await second.kill()
        figures = await lane.reckoned()
    assert figures.wrong == [], figures.words


async def _keep_buying(lane: Lane) -> None:
    while True:
        lane.more_buyers(4)
        await asyncio.sleep(0.5)
