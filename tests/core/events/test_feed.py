"""Each subscriber gets every event once and in order, whatever befalls it and its neighbours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from payengine.context import TenantContext
from payengine.errors import CursorInvalid, PermissionDenied, RateLimited
from payengine.events import Cursor, Event, EventFilter, EventLog, Feed, Resync
from payengine.events import feed as feed_module
from payengine.ids import new_id
from payengine.storage import Database

from tests.core.events.writing import collect, publish_all, relaying, standing, write

_ALL = EventFilter()


@pytest.fixture
async def feed(log: EventLog) -> AsyncIterator[Feed]:
    """A feed that nothing wakes but the test."""
    opened = Feed(log)
    yield opened
    await opened.close()


def _positions(items: list[Event | Resync]) -> list[int]:
    return [item.position for item in items if isinstance(item, Event)]


async def _begun(feed: Feed, count: int) -> None:
    async with asyncio.timeout(60):
        while feed.subscribers < count:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.005)


async def _publish(database: Database, feed: Feed, context: TenantContext) -> None:
    await publish_all(database)
    feed.wake(context.tenant_id)


async def test_without_a_cursor_a_feed_begins_now(
    event_database: Database, feed: Feed, seller: TenantContext
) -> None:
    await write(event_database, seller, 3)
    await publish_all(event_database)
    reader = asyncio.create_task(collect(feed, seller, 2))
    await _begun(feed, 1)
    await standing(feed, seller)
    await write(event_database, seller, 2)
    await _publish(event_database, feed, seller)
    assert _positions(await reader) == [4, 5]


async def test_with_a_cursor_a_feed_goes_on_behind_it(
    event_database: Database, feed: Feed, log: EventLog, seller: TenantContext
) -> None:
    await write(event_database, seller, 1_203)  # more than two pages
    await publish_all(event_database)
    items = await collect(feed, seller, 1_201, after=str(Cursor(log.epoch, 2)))
    assert _positions(items) == list(range(3, 1_204))


@pytest.mark.parametrize("behind", [0, 1, 2, 3, 4])
async def test_a_feed_joins_others_wherever_they_stand(
    event_database: Database, feed: Feed, log: EventLog, seller: TenantContext, behind: int
) -> None:
    await write(event_database, seller, 3)
    await publish_all(event_database)
    other = asyncio.create_task(collect(feed, seller, 2))
    await _begun(feed, 1)
    await standing(feed, seller)  # the other one stands behind 3
    await write(event_database, seller, 1)
    await publish_all(event_database)  # and has not been woken
    reader = asyncio.create_task(
        collect(feed, seller, 5 - behind, after=str(Cursor(log.epoch, behind)))
    )
    await _begun(feed, 2)
    await write(event_database, seller, 1)
    await _publish(event_database, feed, seller)
    assert _positions(await reader) == list(range(behind + 1, 6))
    assert _positions(await other) == [4, 5]


async def test_cursors_of_elsewhere_are_refused(
    event_database: Database, feed: Feed, log: EventLog, seller: TenantContext
) -> None:
    await write(event_database, seller)
    await publish_all(event_database)
    for cursor in ("nonsense", str(Cursor(log.epoch + 1, 0)), str(Cursor(log.epoch, 2))):
        with pytest.raises(CursorInvalid):
            await collect(feed, seller, 1, after=cursor)
    assert feed.subscribers == 0


async def test_a_feed_asks_for_a_scope(feed: Feed, seller: TenantContext) -> None:
    with pytest.raises(PermissionDenied):
        await collect(feed, TenantContext(seller.tenant_id, "test", "nobody", frozenset()), 1)


@pytest.mark.parametrize("seed", [1, 20, 300])
async def test_a_reader_that_is_cut_off_at_random_gets_every_event_once_and_in_order(
    event_database: Database, feed: Feed, log: EventLog, seller: TenantContext, seed: int
) -> None:
    chance = random.Random(seed)
    in_all = 1_000

    async def pay() -> None:
        for _ in range(in_all // 50):
            await write(event_database, seller, 10)
            await asyncio.sleep(chance.random() / 100)

    async def read() -> list[Event | Resync]:
        seen: list[Event | Resync] = []
        cursor = str(Cursor(log.epoch, 0))
        while len(seen) < in_all:
            wanted = min(chance.randint(1, 120), in_all - len(seen))
            seen += await collect(feed, seller, wanted, after=cursor)
            last = seen[-1]
            cursor = last.cursor
        return seen

    async with relaying(event_database, feed):
        reader = asyncio.create_task(read())
        bystander = asyncio.create_task(
            collect(feed, seller, in_all, after=str(Cursor(log.epoch, 0)))
        )
        await asyncio.gather(*(pay() for _ in range(5)))
        async with asyncio.timeout(120):
            assert _positions(await reader) == list(range(1, in_all + 1))
            assert _positions(await bystander) == list(range(1, in_all + 1))


async def test_a_reader_that_is_cancelled_is_let_go(feed: Feed, seller: TenantContext) -> None:
    before = asyncio.all_tasks()
    readers = [asyncio.create_task(collect(feed, seller, 1)) for _ in range(20)]
    await _begun(feed, 20)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    async with asyncio.timeout(60):
        while not asyncio.all_tasks() <= before:  # noqa: ASYNC110 - those that were cancelled end
            await asyncio.sleep(0.01)
    assert feed.subscribers == 0


async def test_a_stalled_reader_gets_a_resync_and_others_get_everything(
    event_database: Database,
    feed: Feed,
    log: EventLog,
    seller: TenantContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "QUEUE_LENGTH", 50)
    stalled = feed.subscribe(seller, _ALL, after=str(Cursor(log.epoch, 0)))
    await write(event_database, seller)
    await publish_all(event_database)
    first = await anext(stalled)
    reader = asyncio.create_task(collect(feed, seller, 200, after=first.cursor))
    await _begun(feed, 2)
    for _ in range(10):  # a reader that keeps up has fewer waiting than fit
        await write(event_database, seller, 20)
        await _publish(event_database, feed, seller)
        await asyncio.sleep(0.05)
    assert _positions(await reader) == list(range(2, 202))

    async with asyncio.timeout(60):
        late = [item async for item in stalled]
    assert _positions(late) == list(range(2, 52))
    assert late[-1] == Resync(str(Cursor(log.epoch, 51)))
    rest = await collect(feed, seller, 150, after=late[-1].cursor)
    assert _positions(rest) == list(range(52, 202))


async def test_filters_narrow_and_keep_the_place(
    event_database: Database, feed: Feed, log: EventLog, seller: TenantContext
) -> None:
    payment_id, customer_id = new_id("pay"), new_id("cus")
    await write(event_database, seller, type="payment.declined")
    await write(event_database, seller, payment_id=payment_id)
    await write(event_database, seller, customer_id=customer_id, type="payment.created")
    await write(event_database, seller, payment_id=payment_id, type="payment.declined")
    await publish_all(event_database)
    start = str(Cursor(log.epoch, 0))
    for wanted, expected in (
        (EventFilter(types=frozenset({"payment.declined"})), [1, 4]),
        (EventFilter(payment_id=payment_id), [2, 4]),
        (EventFilter(customer_id=customer_id), [3]),
        (EventFilter(types=frozenset({"payment.declined"}), payment_id=payment_id), [4]),
        (_ALL, [1, 2, 3, 4]),
    ):
        items = await collect(feed, seller, len(expected), after=start, wanted=wanted)
        assert _positions(items) == expected


async def test_a_tenants_feed_shows_nothing_of_another(
    event_database: Database, feed: Feed, seller: TenantContext, other_seller: TenantContext
) -> None:
    mine = asyncio.create_task(collect(feed, seller, 1))
    theirs = asyncio.create_task(collect(feed, other_seller, 1))
    await _begun(feed, 2)
    await standing(feed, seller)
    await standing(feed, other_seller)
    foreign = await write(event_database, other_seller, 5)
    await _publish(event_database, feed, other_seller)
    feed.wake(seller.tenant_id)
    [event] = await theirs
    assert isinstance(event, Event)
    assert event.id == foreign[0]
    await asyncio.sleep(0.2)
    assert not mine.done()
    own = await write(event_database, seller)
    await _publish(event_database, feed, seller)
    [event] = await mine
    assert isinstance(event, Event)
    assert [event.id] == own


async def test_a_tenant_may_not_open_feeds_without_end(
    feed: Feed, seller: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_SUBSCRIBERS_PER_TENANT", 2)
    readers = [asyncio.create_task(collect(feed, seller, 1)) for _ in range(2)]
    await _begun(feed, 2)
    with pytest.raises(RateLimited):
        await collect(feed, seller, 1)
    assert feed.subscribers == 2
    await feed.close()
    await asyncio.gather(*readers)


async def test_closing_ends_every_feed_and_hangs_on_none(
    event_database: Database, feed: Feed, log: EventLog, seller: TenantContext
) -> None:
    await write(event_database, seller, 2)
    await publish_all(event_database)
    waiting = asyncio.create_task(collect(feed, seller, 1))
    stalled = feed.subscribe(seller, _ALL, after=str(Cursor(log.epoch, 0)))
    await anext(stalled)
    await _begun(feed, 2)
    await standing(feed, seller)
    async with asyncio.timeout(60):
        await feed.close()
        assert await waiting == [Resync(str(Cursor(log.epoch, 2)))]
        assert [item.cursor async for item in stalled][-1] == str(Cursor(log.epoch, 2))
        assert [type(item) for item in await collect(feed, seller, 1)] == [Resync]
    assert feed.subscribers == 0


async def test_an_event_that_nobody_announced_is_found_by_looking(
    event_database: Database, feed: Feed, seller: TenantContext
) -> None:
    reader = asyncio.create_task(collect(feed, seller, 1, within_s=60))
    await _begun(feed, 1)
    await standing(feed, seller)
    await write(event_database, seller)
    await publish_all(event_database)
    assert _positions(await reader) == [1]
