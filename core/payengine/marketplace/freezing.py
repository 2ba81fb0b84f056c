"""Since when, and until when, does a dispute keep an escrow where it is?"""

from __future__ import annotations

import uuid

from payengine.marketplace.escrow import Freeze
from payengine.marketplace.sharing_models import EscrowHold
from payengine.storage import Session

__all__ = ["freeze", "freezes_of"]

#: A dispute that ended before anybody looked froze the escrow all the same.
_BEGIN = """
    INSERT INTO escrow_freeze (tenant_id, escrow_id, dispute_id, since)
    SELECT tenant_id, $3, id, created_at FROM dispute
    WHERE tenant_id = $1 AND payment_id = $2
    ON CONFLICT (tenant_id, escrow_id, dispute_id, since) DO NOTHING
"""
_END = """
    UPDATE escrow_freeze f SET until = d.updated_at
    FROM dispute d
    WHERE f.tenant_id = $1 AND f.escrow_id = $2 AND f.until IS NULL
      AND d.tenant_id = $1 AND d.id = f.dispute_id AND d.status IN ('WON', 'LOST')
"""
_FREEZES = """
    SELECT since, until FROM escrow_freeze
    WHERE tenant_id = $1 AND escrow_id = $2 ORDER BY since LIMIT 1000
"""


async def freeze(session: Session, tenant_id: uuid.UUID, escrow: EscrowHold) -> list[Freeze]:
    """Freeze and thaw the escrow by its payment's disputes; its freezes as they then are."""
    await session.execute(_BEGIN, tenant_id, escrow.payment_id, escrow.id)
    await session.execute(_END, tenant_id, escrow.id)
    return await freezes_of(session, tenant_id, escrow.id)


async def freezes_of(session: Session, tenant_id: uuid.UUID, escrow_id: str) -> list[Freeze]:
    """The freezes of an escrow, the earliest first."""
    rows = await session.fetch(_FREEZES, tenant_id, escrow_id)
    return [Freeze(since=row["since"], until=row["until"]) for row in rows]
