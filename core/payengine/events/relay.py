"""In which order did things happen?

After commit the relay gives each event its position, dense and rising per tenant. One relay works
at a time: an advisory lock that lives as long as its transaction is the lease, so a relay that
dies or freezes loses it with its connection, and what it wrote too. A late commit is placed when
it comes; nobody waits for an open transaction.
"""

from __future__ import annotations

import uuid
from collections import Counter

from payengine import faults
from payengine.storage import Database

__all__ = ["BATCH", "publish_batch"]

#: How many events one transaction of the relay places.
BATCH = 1_000
_LEASE = 7_302_013_225  # an arbitrary constant that names this lock among advisory locks

_PUBLISH = """
    WITH waiting AS (
        SELECT tenant_id, id, seq FROM event WHERE position IS NULL ORDER BY seq LIMIT $1
    ), counted AS (
        SELECT tenant_id, count(*) AS n FROM waiting GROUP BY tenant_id
    ), heads AS (
        INSERT INTO event_stream AS stream (tenant_id, position)
        SELECT tenant_id, n FROM counted ORDER BY tenant_id
        ON CONFLICT (tenant_id) DO UPDATE SET position = stream.position + excluded.position
        RETURNING tenant_id, position
    ), placed AS (
        SELECT waiting.tenant_id, waiting.id, heads.position - counted.n
               + row_number() OVER (PARTITION BY waiting.tenant_id ORDER BY waiting.seq) AS position
        FROM waiting JOIN counted USING (tenant_id) JOIN heads USING (tenant_id)
    ), told AS (
        UPDATE event SET position = placed.position
        FROM placed
        WHERE event.tenant_id = placed.tenant_id AND event.id = placed.id AND event.position IS NULL
        RETURNING event.tenant_id
    )
    SELECT tenant_id, count(*) AS n FROM told GROUP BY tenant_id
"""


async def publish_batch(database: Database, *, limit: int = BATCH) -> Counter[uuid.UUID] | None:
    """Place up to `limit` events; how many of each tenant were placed.

    None where another relay is at work.
    """
    async with database.worker() as session:
        if not await session.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LEASE):
            return None
        rows = await session.fetch(_PUBLISH, limit)
    if rows:
        faults.point("relay_published")
    return Counter({row["tenant_id"]: row["n"] for row in rows})
