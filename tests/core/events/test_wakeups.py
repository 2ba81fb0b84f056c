"""A wake-up brings another process's events at once, and nothing is lost without it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio
from payengine.context import TenantContext
from payengine.embedded import running_servers
from payengine.engine import Engine, open_engine
from payengine.events import Cursor, Event, EventFilter, EventLog, Feed
from payengine.events import feed as feed_module
from payengine.events.wakeups import WakeUps
from payengine.storage import Database

from tests.core.embedded.processes import valkey_pid
from tests.core.events.writing import collect, publish_all, standing, write
from tests.engines import ShiftedClock, Till
from tests.servers import HomeOfTest


@asynccontextmanager
async def _listening(log: EventLog, redis_url: str | None) -> AsyncIterator[tuple[Feed, WakeUps]]:
    """What one process has."""
    feed = Feed(log)
    wake_ups = WakeUps(redis_url, feed)
    wake_ups.start()
    try:
        yield feed, wake_ups
    finally:
        await wake_ups.stop()
        await feed.close()


async def _arrives(
    feed: Feed, sender: WakeUps, database: Database, context: TenantContext, *, within_s: float
) -> bool:
    """Whether an event of another process comes in time."""
    reader = asyncio.create_task(collect(feed, context, 1, within_s=within_s + 10))
    await standing(feed, context)
    await write(database, context)
    await publish_all(database)
    asyncio.get_running_loop().call_later(within_s, reader.cancel)
    sender.send([context.tenant_id])
    try:
        return len(await reader) == 1
    except (TimeoutError, asyncio.CancelledError):
        return False


@pytest.fixture
def _never_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives was announced."""
    monkeypatch.setattr(feed_module, "_LOOK_EVERY_S", 60.0)


@pytest.mark.usefixtures("_never_looking")
async def test_another_process_is_woken_and_again_after_valkey_was_killed(
    event_home: HomeOfTest, event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    async with (
        _listening(log, event_home.redis_url) as (_, sender),
        _listening(log, event_home.redis_url) as (feed, _),
    ):
        async with asyncio.timeout(120):
            while not await _arrives(feed, sender, event_database, seller, within_s=2):
                pass
            os.kill(valkey_pid(event_home.home), signal.SIGKILL)
            assert not await _arrives(feed, sender, event_database, seller, within_s=0.3)
        async with running_servers(event_home.settings), asyncio.timeout(120):
            while not await _arrives(feed, sender, event_database, seller, within_s=2):
                pass


@pytest.mark.usefixtures("_never_looking")
async def test_a_quiet_channel_stays_open(
    event_home: HomeOfTest, event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    async with (
        _listening(log, event_home.redis_url) as (_, sender),
        _listening(log, event_home.redis_url) as (feed, _),
    ):
        await asyncio.sleep(5.5)  # the client's own patience with a socket is 5 s
        assert await _arrives(feed, sender, event_database, seller, within_s=20)


@pytest.mark.parametrize("fate", ["absent", "unreachable", "flushed", "killed", "frozen"])
async def test_the_feed_has_no_gap_without_valkey(
    event_home: HomeOfTest,
    event_database: Database,
    log: EventLog,
    seller: TenantContext,
    fate: str,
) -> None:
    url = {"absent": None, "unreachable": "unix:///nowhere/valkey.sock"}.get(
        fate, event_home.redis_url
    )
    async with (
        _listening(log, url) as (own, sender),
        _listening(log, url) as (feed, _),
        running_servers(event_home.settings),
    ):
        start = str(Cursor(log.epoch, 0))
        readers = [
            asyncio.create_task(collect(each, seller, 60, after=start)) for each in (own, feed)
        ]
        pid = valkey_pid(event_home.home)
        for number in range(60):
            if number == 20:
                await _befall(fate, event_home, pid)
            await write(event_database, seller)
            await publish_all(event_database)
            before = time.monotonic()
            sender.send([seller.tenant_id])
            assert time.monotonic() - before < 5, "nobody waits for Valkey"
        for items in await asyncio.gather(*readers):
            assert [item.position for item in items if isinstance(item, Event)] == list(
                range(1, 61)
            )
        if fate == "frozen":
            os.kill(pid, signal.SIGCONT)
    if fate == "killed":
        async with running_servers(event_home.settings):
            assert valkey_pid(event_home.home) != pid


async def _befall(fate: str, home: HomeOfTest, pid: int) -> None:
    if fate == "killed":
        os.kill(pid, signal.SIGKILL)
    elif fate == "frozen":
        os.kill(pid, signal.SIGSTOP)
    elif fate == "flushed":
        assert home.redis_url is not None
        client = redis.asyncio.Redis.from_url(home.redis_url)
        await client.flushall()
        await client.aclose()


@asynccontextmanager
async def _engine(home: HomeOfTest, *, background: bool) -> AsyncIterator[Engine]:
    async with open_engine(
        home.settings,
        login_url=home.login_url,
        redis_url=home.redis_url,
        background=background,
    ) as engine:
        yield engine


@pytest.mark.usefixtures("_never_looking")
async def test_one_engine_shows_the_payments_of_another(event_home: HomeOfTest) -> None:
    async with (
        _engine(event_home, background=True) as here,
        _engine(event_home, background=False) as there,
    ):
        shop = await Till(here, ShiftedClock(), event_home).shop()
        reader = asyncio.create_task(
            collect(there.feed, shop.context, 2, wanted=EventFilter(), within_s=60)
        )
        await standing(there.feed, shop.context)
        paid = await shop.pay()
        while not (await asyncio.wait([reader], timeout=2))[0]:
            await shop.pay()  # who did not listen yet is woken by the next one
        events = await reader
        assert [event.type for event in events if isinstance(event, Event)] == [
            "payment.created",
            "payment.captured",
        ]
        assert {e.payment_id for e in events if isinstance(e, Event)} == {paid.payment.id}


@pytest.mark.parametrize("fate", ["flushed", "killed", "frozen"])
async def test_payments_go_on_and_are_seen_whatever_befalls_valkey(
    event_home: HomeOfTest, fate: str
) -> None:
    async with (
        running_servers(event_home.settings),
        _engine(event_home, background=True) as here,
        _engine(event_home, background=False) as there,
    ):
        shop = await Till(here, ShiftedClock(), event_home).shop()
        start = str(Cursor(here.events.epoch, 0))
        readers = [
            asyncio.create_task(collect(each.feed, shop.context, 40, after=start))
            for each in (here, there)
        ]
        await asyncio.sleep(0.3)  # both listen
        pid = valkey_pid(event_home.home)
        for number in range(20):
            if number == 5:
                await _befall(fate, event_home, pid)
            await shop.charge(100 + number)
        for items in await asyncio.gather(*readers):
            assert [e.position for e in items if isinstance(e, Event)] == list(range(1, 41))
        if fate == "frozen":
            os.kill(pid, signal.SIGCONT)
        assert len(await shop.movements()) == 20
        await shop.assert_sound()
