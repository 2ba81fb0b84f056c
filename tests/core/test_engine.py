"""Closing an engine hangs on nothing: whatever is held is let go after a while."""

from __future__ import annotations

import asyncio
import time

import pytest
from payengine import background
from payengine.engine import open_engine
from payengine.events import EventFilter
from payengine.storage import database as database_module

from tests.conftest import make_tenant
from tests.servers import HomeOfTest


async def test_closing_waits_a_bounded_time_for_a_transaction_and_ends_the_feeds(
    payment_home: HomeOfTest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_module, "_CLOSE_S", 0.3)
    monkeypatch.setattr(background, "_STOP_S", 0.3)
    async with open_engine(
        payment_home.settings, login_url=payment_home.login_url, redis_url=payment_home.redis_url
    ) as engine:
        context = await make_tenant(engine.database)
        held = asyncio.Event()

        async def hold() -> None:
            async with (
                engine.database.worker(),
                engine.database.worker(),  # the relay finds no connection any more
                engine.database.tenant(context.tenant_id),
            ):
                held.set()
                await asyncio.sleep(60)

        async def watch() -> int:
            return len([item async for item in engine.feed.subscribe(context, EventFilter())])

        holder, watcher = asyncio.create_task(hold()), asyncio.create_task(watch())
        await held.wait()
        while not engine.feed.subscribers:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert await watcher == 1
    holder.cancel()
    with pytest.raises(Exception, match="away"):
        await holder


async def test_an_engine_that_has_nothing_to_do_closes_at_once(
    payment_home: HomeOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_CLOSE_S", 60.0)
    monkeypatch.setattr(background, "_STOP_S", 60.0)
    async with open_engine(
        payment_home.settings, login_url=payment_home.login_url, redis_url=payment_home.redis_url
    ):
        began = time.monotonic()
    assert time.monotonic() - began < 30  # it sits out none of its bounds
