"""Positions are dense and rising, whoever commits late and however many relays there are."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from payengine.context import TenantContext
from payengine.events import Event, EventLog, publish_batch
from payengine.ids import new_id
from payengine.storage import Database

from tests.core.events.writing import insert, publish_all, relaying, write
from tests.servers import HomeOfTest

_ONE_RELAY = """
import asyncio, sys
from payengine.events import publish_batch
from payengine.storage import Database

async def main():
    await publish_batch(await Database.open(sys.argv[1]))
    print("it was not killed")

asyncio.run(main())
"""


async def _all(log: EventLog, context: TenantContext) -> list[Event]:
    return await log.read(context, position=0, limit=10_000)


async def test_positions_are_dense_and_rising_for_each_tenant(
    event_database: Database, log: EventLog, seller: TenantContext, other_seller: TenantContext
) -> None:
    written: dict[TenantContext, list[str]] = {seller: [], other_seller: []}
    for number in range(20):
        context = seller if number % 3 else other_seller
        written[context] += await write(event_database, context, 2)
        if number % 4 == 0:
            await publish_batch(event_database, limit=3)
    await publish_all(event_database)
    for context, ids in written.items():
        events = await _all(log, context)
        assert [event.id for event in events] == ids
        assert [event.position for event in events] == list(range(1, len(ids) + 1))


async def test_a_batch_tells_how_many_of_each_tenant_were_placed(
    event_database: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    await write(event_database, seller, 2)
    await publish_all(event_database)
    await write(event_database, seller, 3)
    await write(event_database, other_seller, 1)
    assert await publish_batch(event_database) == {
        seller.tenant_id: 3,
        other_seller.tenant_id: 1,
    }
    assert await publish_batch(event_database) == {}


async def test_a_late_commit_delays_nobody_and_is_not_skipped(
    event_database: Database, log: EventLog, seller: TenantContext, other_seller: TenantContext
) -> None:
    async with event_database.tenant(seller.tenant_id) as open_transaction:
        late = await insert(open_transaction, seller)
        early = await write(event_database, seller, 3)
        others = await write(event_database, other_seller, 2)
        await publish_all(event_database)
        seen = await log.page(seller)
        assert [event.id for event in seen] == early
        assert [event.id for event in await log.page(other_seller)] == others
    await publish_all(event_database)
    rest = await log.page(seller, after=seen[-1].cursor)
    assert [(event.id, event.position) for event in rest] == [(late, 4)]


async def test_what_is_rolled_back_leaves_no_gap(
    event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    await write(event_database, seller, 2)
    try:
        async with event_database.tenant(seller.tenant_id) as session:
            await insert(session, seller)
            raise LookupError
    except LookupError:
        pass
    await write(event_database, seller, 2)
    await publish_all(event_database)
    assert [event.position for event in await _all(log, seller)] == [1, 2, 3, 4]


async def test_only_one_relay_works_at_a_time(
    event_database: Database, seller: TenantContext
) -> None:
    await write(event_database, seller)
    async with event_database.worker() as other:
        await other.fetchval("SELECT pg_try_advisory_xact_lock(7302013225)")
        assert await publish_batch(event_database) is None
    assert seller.tenant_id in (await publish_batch(event_database) or {})


async def test_relays_at_once_leave_no_gap_and_no_double(
    event_home: HomeOfTest, event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    async def pay() -> list[str]:
        return [(await write(event_database, seller))[0] for _ in range(50)]

    second = await Database.open(event_home.login_url, pool_size=1)
    try:
        async with relaying(event_database), relaying(second), relaying(second):
            written = await asyncio.gather(*(pay() for _ in range(6)))
    finally:
        await second.close()
    await publish_all(event_database)
    events = await _all(log, seller)
    assert [event.position for event in events] == list(range(1, 301))
    assert {event.id for event in events} == {each for ids in written for each in ids}


async def test_a_payments_events_keep_their_order(
    event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    async def pay() -> tuple[str, list[str]]:
        payment_id = new_id("pay")
        return payment_id, [
            (await write(event_database, seller, payment_id=payment_id))[0] for _ in range(12)
        ]

    async with relaying(event_database):
        paid = dict(await asyncio.gather(*(pay() for _ in range(8))))
    await publish_all(event_database)
    events = await _all(log, seller)
    for payment_id, written in paid.items():
        assert [event.id for event in events if event.payment_id == payment_id] == written


async def test_a_relay_that_is_killed_before_it_told_anybody_has_lost_nothing(
    event_home: HomeOfTest, event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    written = await write(event_database, seller, 5)
    relay = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _ONE_RELAY,
        event_home.login_url,
        env={**os.environ, "PAYENGINE_FAULTS": "relay_published"},
    )
    assert await asyncio.wait_for(relay.wait(), 120) == -signal.SIGKILL
    written += await write(event_database, seller, 2)
    await publish_all(event_database)
    events = await _all(log, seller)
    assert [event.id for event in events] == written
    assert [event.position for event in events] == list(range(1, 8))
