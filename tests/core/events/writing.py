"""How do these tests make things happen, without a payment behind each event?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from payengine.context import TenantContext
from payengine.events import Event, EventFilter, Feed, Resync, publish_batch
from payengine.ids import new_id
from payengine.storage import Database, Session

__all__ = ["collect", "insert", "publish_all", "relaying", "standing", "write"]

_INSERT = """
    INSERT INTO event (tenant_id, id, type, data, occurred_at, payment_id, customer_id)
    VALUES ($1, $2, $3, '{}', $4, $5, $6)
"""


async def insert(
    session: Session,
    context: TenantContext,
    *,
    type: str = "payment.captured",
    payment_id: str | None = None,
    customer_id: str | None = None,
) -> str:
    """One event in the session's transaction; its id."""
    event_id = new_id("evt")
    at = datetime.now(UTC)
    await session.execute(_INSERT, context.tenant_id, event_id, type, at, payment_id, customer_id)
    return event_id


async def write(
    database: Database,
    context: TenantContext,
    count: int = 1,
    *,
    type: str = "payment.captured",
    payment_id: str | None = None,
    customer_id: str | None = None,
) -> list[str]:
    """Events in one committed transaction; their ids in their order."""
    async with database.tenant(context.tenant_id) as session:
        return [
            await insert(
                session, context, type=type, payment_id=payment_id, customer_id=customer_id
            )
            for _ in range(count)
        ]


async def publish_all(database: Database) -> None:
    """Place everything that is committed."""
    while await publish_batch(database) != {}:
        pass


@asynccontextmanager
async def relaying(database: Database, feed: Feed | None = None) -> AsyncIterator[None]:
    """A relay that works until the block ends, and wakes the feed."""

    async def work() -> None:
        while True:
            for tenant_id in await publish_batch(database, limit=37) or ():
                if feed is not None:
                    feed.wake(tenant_id)
            await asyncio.sleep(0.003)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def standing(feed: Feed, context: TenantContext, count: int = 1) -> None:
    """Return when so many readers have read what was written so far, and wait for more."""
    async with asyncio.timeout(60):
        while _waiting(feed, context) < count:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.005)


def _waiting(feed: Feed, context: TenantContext) -> int:
    stream = feed._streams.get(context.tenant_id)
    queues = [each._queue for each in stream.subscribers] if stream is not None else []
    return sum(bool(queue._getters) for queue in queues)  # type: ignore[attr-defined]


async def collect(
    feed: Feed,
    context: TenantContext,
    count: int,
    *,
    after: str | None = None,
    wanted: EventFilter | None = None,
    within_s: float = 120,
) -> list[Event | Resync]:
    """The next `count` items of a new feed, which is then left; fewer where the feed ends."""
    items: list[Event | Resync] = []
    stream = feed.subscribe(context, wanted or EventFilter(), after=after)
    async with asyncio.timeout(within_s):
        async for item in stream:
            items.append(item)
            if len(items) == count:
                break
    await stream.aclose()
    return items
