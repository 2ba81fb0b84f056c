"""Many readers of one query: one execution for all, and each gets every event once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from payengine.context import SCOPES, TenantContext
from payengine.engine import Engine
from payengine.errors import CursorInvalid, RateLimited
from payengine.events import Cursor
from payengine.ids import new_id
from payengine_graphql import live, outbox

from tests.conftest import make_tenant
from tests.core.events.writing import publish_all, write
from tests.graphql.audience import EVENTS, Hall, Listener, made_hall


@pytest.fixture
async def seller(engine: Engine) -> TenantContext:
    """A fresh tenant."""
    return await make_tenant(engine.database)


@pytest.fixture
async def hall(engine: Engine) -> AsyncIterator[Hall]:
    """Nobody listens yet."""
    async with made_hall(engine) as made:
        yield made


def _start(engine: Engine, position: int = 0) -> str:
    return str(Cursor(engine.events.epoch, position))


async def test_an_event_is_executed_and_encoded_once_for_all_who_ask_the_same(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    listeners = [hall.listen(await hall.source(seller)) for _ in range(50)]
    await hall.settled()
    await write(engine.database, seller, 7)
    await hall.publish(seller)
    for listener in listeners:
        await listener.heard(7)
    assert len(hall.queries) == 1
    assert hall.shown == 7
    assert listeners[0].positions == list(range(1, 8))
    for number in range(7):
        assert len({id(listener.messages[number]) for listener in listeners}) == 1


async def test_only_the_same_subscriptions_share_a_query(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    other = await make_tenant(engine.database)
    fewer = replace(seller, scopes=frozenset(SCOPES) - {"payments:read"})
    named = EVENTS.replace(" Events(", " Others(")
    kinds = {"types": ["payment.captured"]}
    distinct = [
        await hall.source(seller),
        await hall.source(other),
        await hall.source(fewer),
        await hall.source(seller, named),
        await hall.source(seller, filter=kinds),
        await hall.source(seller, filter={"paymentId": new_id("pay")}),
        await hall.source(seller, "subscription { paymentEvents { type cursor } }"),
    ]
    assert len({source.name for source in distinct}) == len(distinct)
    again = [
        await hall.source(seller, after=_start(engine)),
        await hall.source(replace(seller, actor="another key"), filter=kinds),
    ]
    assert again[0].name == distinct[0].name
    assert again[1].name == distinct[4].name


async def test_a_cursor_that_says_more_than_the_place_tells_queries_apart(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    query = """
        subscription($after: String!) {
          paymentEvents(after: $after, filter: {types: [$after]}) { position }
        }
    """
    names = {(await hall.source(seller, query, after=_start(engine, n))).name for n in range(2)}
    assert len(names) == 2


async def test_what_nobody_wants_is_not_executed(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    payment_id = new_id("pay")
    declined = hall.listen(await hall.source(seller, filter={"types": ["payment.declined"]}))
    paid = hall.listen(await hall.source(seller, filter={"paymentId": payment_id}))
    await hall.settled()
    await write(engine.database, seller, 20)
    await write(engine.database, seller, payment_id=payment_id)
    await write(engine.database, seller, type="payment.declined")
    await hall.publish(seller)
    await declined.heard(1)
    await paid.heard(1)
    assert (declined.positions, paid.positions) == ([22], [21])
    assert hall.shown == 2


@pytest.mark.parametrize("behind", [0, 1, 44, 45, 46, 64, 65, 70])
async def test_who_comes_with_a_cursor_catches_up_and_joins(
    engine: Engine, hall: Hall, seller: TenantContext, behind: int
) -> None:
    await write(engine.database, seller, 45)
    await publish_all(engine.database)
    first = hall.listen(await hall.source(seller))
    await hall.settled()
    await write(engine.database, seller, 20)
    await hall.publish(seller)
    await first.heard(20)
    await write(engine.database, seller, 5)
    await publish_all(engine.database)  # placed, while the query has not been woken
    late = hall.listen(await hall.source(seller, after=_start(engine, behind)))
    await hall.settled()
    await write(engine.database, seller, 3)
    await hall.publish(seller)
    await late.heard(73 - behind)
    await first.heard(28)
    assert late.positions == list(range(behind + 1, 74))
    assert first.positions == list(range(46, 74))


async def test_many_that_come_back_at_once_are_served_from_what_was_just_sent(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    first = hall.listen(await hall.source(seller))
    await hall.settled()
    await write(engine.database, seller, 30)
    await hall.publish(seller)
    await first.heard(30)
    back = [hall.listen(await hall.source(seller, after=_start(engine, n))) for n in range(30)]
    for number, listener in enumerate(back):
        await listener.heard(30 - number)
        assert listener.positions == list(range(number + 1, 31))
    assert hall.shown == 30


async def test_what_is_kept_is_forgotten_in_time_and_read_again(
    engine: Engine, hall: Hall, seller: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_KEPT", 10)
    first = hall.listen(await hall.source(seller))
    await hall.settled()
    await write(engine.database, seller, 60)
    await hall.publish(seller)
    await first.heard(60)
    monkeypatch.setattr(live, "_KEPT_S", 0.0)
    for behind in (0, 49, 50, 51, 60):
        late = hall.listen(await hall.source(seller, after=_start(engine, behind)))
        await late.heard(60 - behind)
        assert late.positions == list(range(behind + 1, 61))
    assert hall.shown > 60


async def test_readers_cut_off_a_thousand_times_get_every_event_once_and_in_order(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    # Who catches up and is cut off reads the same payment as those who go on.
    query = EVENTS.replace("position }", "position payment { id } }")
    chance = random.Random(7)
    in_all, cuts = 600, 1_000
    listeners = [Listener() for _ in range(50)]
    left = {id(listener): cuts // len(listeners) for listener in listeners}

    async def listen(listener: Listener) -> None:
        listener.takes.set()
        while True:
            after = listener.events[-1]["cursor"] if listener.messages else _start(engine)
            task = hall.follow(listener, await hall.source(seller, query, after=after))
            if left[id(listener)]:
                await asyncio.sleep(chance.random() / 10)
                left[id(listener)] -= 1
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            else:
                await listener.heard(in_all, within_s=300)
                return

    async def pay() -> None:
        for _ in range(in_all // 4):
            await write(engine.database, seller, 4, payment_id=new_id("pay"))
            await hall.publish(seller)
            await asyncio.sleep(chance.random() / 60)

    await asyncio.gather(pay(), *(listen(listener) for listener in listeners))
    assert not any(left.values())
    for listener in listeners:
        assert listener.positions == list(range(1, in_all + 1))


async def test_a_reader_without_room_is_left_behind_where_it_can_go_on(
    engine: Engine, hall: Hall, seller: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_MOST_MESSAGES", 8)
    stalled = Listener()
    following = hall.follow(stalled, await hall.source(seller))
    brisk = hall.listen(await hall.source(seller))
    await hall.settled()
    for number in range(20):
        await write(engine.database, seller, 5)
        await hall.publish(seller)
        await brisk.heard(5 * number + 5)
    assert brisk.positions == list(range(1, 101))
    assert stalled.messages == []
    stalled.takes.set()
    await asyncio.wait_for(following, 60)
    assert stalled.last is not None
    got = len(stalled.messages)
    assert stalled.positions == list(range(1, got + 1))
    assert 5 <= got < 20
    assert stalled.last.cursor == _start(engine, got)
    rest = hall.listen(await hall.source(seller, after=stalled.last.cursor))
    await rest.heard(100 - got)
    assert rest.positions == list(range(got + 1, 101))


async def test_the_different_queries_of_a_tenant_are_bounded_and_equal_ones_are_not(
    engine: Engine, hall: Hall, seller: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_QUERIES_OF_TENANT", 2)
    sources = [await hall.source(seller, filter={"types": [name]}) for name in "abc"]
    listeners = [hall.listen(source) for source in [*sources, *sources[:2] * 5]]
    await hall.settled()
    assert [type(each.refused) for each in listeners[:3]] == [type(None), type(None), RateLimited]
    assert not any(each.refused for each in listeners[3:])
    other = await make_tenant(engine.database)
    elsewhere = hall.listen(await hall.source(other))
    await hall.settled()
    assert elsewhere.refused is None


async def test_the_readers_of_a_tenant_are_bounded(
    hall: Hall, seller: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_READERS_OF_TENANT", 3)
    listeners = [hall.listen(await hall.source(seller)) for _ in range(4)]
    await hall.settled()
    assert [type(each.refused) for each in listeners] == [type(None)] * 3 + [RateLimited]


@pytest.mark.parametrize("ahead", [1, 1_000])
async def test_a_cursor_of_the_future_is_refused(
    engine: Engine, hall: Hall, seller: TenantContext, ahead: int
) -> None:
    await write(engine.database, seller, 2)
    await publish_all(engine.database)
    listener = hall.listen(await hall.source(seller, after=_start(engine, 2 + ahead)))
    await hall.settled()
    assert isinstance(listener.refused, CursorInvalid)
    assert len(hall.queries) == 0


async def test_a_query_that_is_too_slow_for_the_feed_goes_on_without_a_gap(
    engine: Engine, hall: Hall, seller: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payengine.events.feed.QUEUE_LENGTH", 3)
    listeners = [hall.listen(await hall.source(seller)) for _ in range(3)]
    await hall.settled()
    await write(engine.database, seller, 200)
    await hall.publish(seller)
    for listener in listeners:
        await listener.heard(200)
        assert listener.positions == list(range(1, 201))


async def test_a_query_lives_as_long_as_it_has_readers(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    tasks = [hall.follow(Listener(), await hall.source(seller)) for _ in range(3)]
    await hall.settled()
    assert seller.tenant_id in engine.feed._streams
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(hall.queries) == 0
    assert seller.tenant_id not in engine.feed._streams


async def test_who_is_cut_off_while_reading_takes_nobody_along(
    engine: Engine, hall: Hall, seller: TenantContext
) -> None:
    query = EVENTS.replace("position }", "position payment { id } }")
    source = await hall.source(seller, query)
    await write(engine.database, seller, payment_id=new_id("pay"))
    await publish_all(engine.database)
    [event] = await engine.events.read(seller, position=0, limit=1)
    cut, other = (
        asyncio.create_task(source.answer(event, source.fresh_context())) for _ in range(2)
    )
    await asyncio.sleep(0)
    cut.cancel()
    assert json.loads(await other)["data"]["paymentEvents"]["position"] == 1
    assert cut.cancelled()
