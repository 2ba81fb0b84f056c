"""In which order did things happen?

After commit the relay gives each event its position, dense and rising per tenant. One relay works
at a time: an advisory lock that lives as long as its transaction is the lease, so a relay that
dies or freezes loses it with its connection, and what it wrote too. A late commit is placed when
it comes; nobody waits for an open transaction. The database's function `publish_events` takes the
lease, looks and writes, in one message and one commit.
"""

from __future__ import annotations

import uuid
from collections import Counter

from payengine import faults
from payengine.storage import Database

__all__ = ["BATCH", "publish_batch"]

#: How many events one transaction of the relay places.
BATCH = 1_000


async def publish_batch(database: Database, *, limit: int = BATCH) -> Counter[uuid.UUID] | None:
    """Place up to `limit` events; how many of each tenant were placed.

    None where another relay is at work.
    """
    rows = await database.worker_call("publish_events", limit)
    placed = Counter({row["of_tenant"]: row["placed"] for row in rows})
    if None in placed:
        return None
    if placed:
        faults.point("relay_published")
    return placed
