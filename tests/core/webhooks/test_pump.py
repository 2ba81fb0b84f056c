"""Slow and poisoned endpoints delay nobody else, and lanes are bounded."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from payengine.webhooks import pump as pump_module
from payengine.webhooks.pump import Pump

from tests.posts import Post, open_post
from tests.receivers import Answer, receiving
from tests.servers import HomeOfTest


async def test_a_poisoned_endpoint_delays_no_other(webhook_home: HomeOfTest) -> None:
    async with open_post(webhook_home, total_s=120.0) as post:
        other = await post.neighbour()
        silence = threading.Event()
        with receiving() as poison, receiving() as sibling, receiving() as neighbour:
            poison.answer = lambda got: Answer(delay_s=0) if silence.wait(110) else Answer(500)
            await post.add(poison.url)
            await post.add(sibling.url)
            await other.add(neighbour.url)
            await post.happen("payment.created")
            await other.happen("payment.created")
            pump = post.webhooks.pump
            await pump.run_once(at=datetime.now(UTC))
            for _ in range(10):
                await post.happen("payment.captured")
                await other.happen("payment.captured")
                await pump.run_once(at=datetime.now(UTC))
                await asyncio.sleep(0.05)
            async with asyncio.timeout(60):
                while len(sibling.got) < 11 or len(neighbour.got) < 11:
                    await pump.run_once(at=datetime.now(UTC))
                    await asyncio.sleep(0.02)
            assert len(poison.got) == 1, "the poisoned one still hangs on its first event"
            silence.set()
            await pump.idle()


async def test_lanes_are_bounded_for_each_tenant_and_in_all(
    webhook_home: HomeOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "_LANES", 8)
    monkeypatch.setattr(pump_module, "_LANES_OF_TENANT", 3)
    monkeypatch.setattr(pump_module, "_LANES_OF_TENANT_WHEN_TIGHT", 1)
    async with open_post(webhook_home, total_s=120.0) as post:
        greedy = [post, await post.neighbour()]
        modest = [await post.neighbour() for _ in range(3)]
        silence = threading.Event()
        with receiving() as slow:
            slow.answer = lambda got: Answer(200) if silence.wait(110) else Answer(500)
            pump: Pump = post.webhooks.pump
            for each in greedy:
                for _ in range(5):
                    await each.add(slow.url)
                await each.happen("payment.created")
            for _ in range(3):
                await pump.run_once(at=datetime.now(UTC))
            for each in modest:
                await each.add(slow.url)
                await each.happen("payment.created")
            for _ in range(2):
                await pump.run_once(at=datetime.now(UTC))
            held = dict(pump._of_tenant)
            silence.set()
            await pump.idle()
    assert sum(held.values()) <= 8
    assert all(held[each.context.tenant_id] <= 3 for each in greedy)
    assert all(held[each.context.tenant_id] == 1 for each in modest), "everybody has a lane"


async def test_a_burst_is_told_completely(post: Post) -> None:
    with receiving() as receiver:
        await post.add(receiver.url)
        ids = await post.happen(*["payment.captured"] * 230)
        while await post.run():
            pass
    assert receiver.ids == ids


async def test_closing_waits_for_the_exchange_under_way(webhook_home: HomeOfTest) -> None:
    async with open_post(webhook_home) as post:
        with receiving() as receiver:
            has_come = threading.Event()
            receiver.answer = lambda got: has_come.set() or Answer(delay_s=0.5)  # type: ignore[func-returns-value]
            endpoint = await post.add(receiver.url)
            ids = await post.happen("payment.created", "payment.captured")
            await post.webhooks.pump.run_once(at=datetime.now(UTC))
            assert await asyncio.to_thread(has_come.wait, 60)
            await post.webhooks.pump.close()
            assert receiver.ids == ids[:1]
            assert (await post.endpoint(endpoint.id)).position == 1
            assert await post.run(later=timedelta(days=1)) == 0, "it is closed"
            async with open_post(webhook_home) as next_process:
                await next_process.of(post.context).run()
    assert receiver.ids == ids


async def test_a_lane_that_fails_is_not_tried_again_in_a_hurry(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        await post.add(receiver.url)
        ids = await post.happen("payment.created")
        with monkeypatch.context() as broken:
            broken.setattr(
                "payengine.webhooks.lanes.body_of", lambda event: (_ for _ in ()).throw(OSError())
            )
            assert await post.run() == 1
            assert await post.run() == 0
        assert await post.run(later=timedelta(minutes=10)) == 1
    assert receiver.ids == ids
