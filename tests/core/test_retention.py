"""Do records that only explain what happened go when their time is over, and no others?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.engine import _CALENDAR
from payengine.errors import NotFound
from payengine.jobs import HOUSE
from payengine.retention import FORGETTING, retention_handler
from payengine.settings import Settings
from payengine.storage import Database

from tests.engines import Shop
from tests.notices import Doorbell, drain, shown
from tests.posts import Post, post, webhook_home
from tests.receivers import Answer, receiving

__all__ = ["post", "webhook_home"]


async def _forget(
    database: Database, *, after: timedelta, at_once: int = 1_000, **days: int
) -> None:
    settings = Settings.from_environment({}, **days)
    handler = retention_handler(database, settings, at_once=at_once)
    assert handler.kind == FORGETTING.kind
    await handler.handle(HOUSE, (datetime.now(UTC) + after).isoformat())


async def _count(database: Database, tenant_id: Any, table: str) -> int:
    async with database.tenant(tenant_id) as session:
        found: int = await session.fetchval(
            f"SELECT count(*) FROM {table} WHERE tenant_id = $1", tenant_id
        )
    return found


def test_the_calendar_forgets_every_night() -> None:
    assert FORGETTING in _CALENDAR


async def test_the_log_of_deliveries_is_kept_for_thirty_days(post: Post) -> None:
    database, tenant_id = post.means.database, post.context.tenant_id
    with receiving() as receiver:
        endpoint = await post.add(receiver.url, "payment.*")
        await post.happen(*["payment.created"] * 5)
        await post.run()
        receiver.answer = lambda got: Answer(500)
        await post.happen("payment.captured")
        await post.run()
    assert await _count(database, tenant_id, "webhook_delivery") == 6
    await _forget(database, after=timedelta(days=30) - timedelta(minutes=5))
    assert await _count(database, tenant_id, "webhook_delivery") == 6
    # More than one commit takes; what is still being tried stays.
    await _forget(database, after=timedelta(days=30, minutes=5), at_once=2)
    (left,) = await post.deliveries(endpoint.id)
    assert (left.event_type, left.status) == ("payment.captured", "retrying")
    assert await _count(database, tenant_id, "webhook_attempt") == 1


async def test_an_operator_may_keep_the_log_for_longer(post: Post) -> None:
    database, tenant_id = post.means.database, post.context.tenant_id
    with receiving() as receiver:
        await post.add(receiver.url, "payment.*")
        await post.happen("payment.created")
        await post.run()
    await _forget(database, after=timedelta(days=99), delivery_log_days=100)
    assert await _count(database, tenant_id, "webhook_delivery") == 1
    await _forget(database, after=timedelta(days=101), delivery_log_days=100)
    assert await _count(database, tenant_id, "webhook_delivery") == 0


async def test_a_providers_call_is_kept_for_ninety_days_and_what_it_told_for_ever(
    shop: Shop,
) -> None:
    database, tenant_id = shop.engine.database, shop.context.tenant_id
    payment = await shop.charge(1_000)
    (operation,) = await shop.operations(payment.id)
    bell = await Doorbell.of(shop.engine, shop.context)
    for number in range(3):
        await bell.tell(shown(operation), event_id=f"evt_{number}")
    await drain(shop.engine)
    received = shop.engine.inbound.received
    rows = await bell.received()
    await _forget(database, after=timedelta(days=90) - timedelta(minutes=5))
    assert (await received.request_of(shop.context, rows[0].id)).body
    await _forget(database, after=timedelta(days=90, minutes=5), at_once=2)
    for row in rows:
        with pytest.raises(NotFound, match="kept no longer"):
            await received.request_of(shop.context, row.id)
    async with database.tenant(tenant_id) as session:
        left = await session.fetch(
            "SELECT sealed, forgotten_at FROM webhook_request WHERE tenant_id = $1", tenant_id
        )
    assert {row["sealed"] for row in left} == {b""}
    assert None not in {row["forgotten_at"] for row in left}
    assert await bell.received() == rows
    # It is known for ever, and may be applied again.
    assert (await bell.tell(shown(operation), event_id="evt_1")).stored == ()
    await received.replay(shop.context, rows[0].id)
    await drain(shop.engine)
    assert {row.state for row in await bell.received()} <= {"applied", "stale"}
