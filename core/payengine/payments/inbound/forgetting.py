"""Which of the providers' calls are too old to keep as they came?

The sealed call goes: it may hold personal data. The verified facts that it told stay, so that the
same event is known again for ever, and why a payment stands as it does can be shown.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from payengine.ids import first_id
from payengine.storage import Session

__all__ = ["forget_requests"]

#: An id tells when its row was made.
_FORGET = """
    WITH old AS (
        SELECT id FROM webhook_request
        WHERE tenant_id = $1 AND id < $2 AND forgotten_at IS NULL ORDER BY id LIMIT $4
    ), gone AS (
        UPDATE webhook_request SET sealed = '', forgotten_at = $3 FROM old
        WHERE webhook_request.tenant_id = $1 AND webhook_request.id = old.id
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""


async def forget_requests(
    session: Session, tenant_id: uuid.UUID, *, before: datetime, at: datetime, limit: int
) -> int:
    """Forget up to `limit` calls that came before; how many there were."""
    gone: int = await session.fetchval(_FORGET, tenant_id, first_id("wrq", before), at, limit)
    return gone
