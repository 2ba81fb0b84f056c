"""Which of the log's lines are too old to keep?

Those of messages that came to an end, one way or the other, with their attempts; and redeliveries
that are done. What is still being tried stays, however old it is.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from payengine.ids import first_id
from payengine.storage import Session

__all__ = ["forget_deliveries"]

#: An id tells when its row was made, so the primary key is the way to the oldest ones. Attempts go
#: with their delivery, by their foreign key.
_DELIVERIES = """
    WITH old AS (
        SELECT id FROM webhook_delivery
        WHERE tenant_id = $1 AND id < $2 AND updated_at < $3
          AND status IN ('delivered', 'failed', 'exhausted', 'skipped')
        ORDER BY id LIMIT $4
    ), gone AS (
        DELETE FROM webhook_delivery USING old
        WHERE webhook_delivery.tenant_id = $1 AND webhook_delivery.id = old.id
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""

_REDELIVERIES = """
    WITH old AS (
        SELECT id FROM webhook_redelivery
        WHERE tenant_id = $1 AND id < $2 AND status <> 'open' ORDER BY id LIMIT $3
    ), gone AS (
        DELETE FROM webhook_redelivery USING old
        WHERE webhook_redelivery.tenant_id = $1 AND webhook_redelivery.id = old.id
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""


async def forget_deliveries(
    session: Session, tenant_id: uuid.UUID, *, before: datetime, limit: int
) -> int:
    """Delete up to `limit` deliveries and redeliveries of before; how many of the larger kind."""
    deliveries: int = await session.fetchval(
        _DELIVERIES, tenant_id, first_id("whd", before), before, limit
    )
    redeliveries: int = await session.fetchval(
        _REDELIVERIES, tenant_id, first_id("whr", before), limit
    )
    return max(deliveries, redeliveries)
