"""When does a person have to look at a collection?

Where money came twice, or for what has ended, or where the shop's own set-up refuses every charge.
The charge's payment is flagged, which opens its review.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from payengine.billing.collection import standing
from payengine.billing.collection.rows import CollectionRow
from payengine.billing.dunning_words import OpenReview
from payengine.storage import Session

__all__ = ["open_review"]

_FLAG = """
    UPDATE payment SET needs_review = true, version = version + 1, updated_at = $4
    FROM collection_charge
    WHERE payment.tenant_id = $1 AND collection_charge.tenant_id = $1
      AND payment.id = collection_charge.payment_id
      AND collection_charge.invoice_id = $2 AND collection_charge.charge = $3
    RETURNING payment.id
"""


async def open_review(
    session: Session, tenant_id: uuid.UUID, row: CollectionRow, action: OpenReview, *, at: datetime
) -> None:
    """Flag the payment of the charge and tell `invoice.needs_review` with the reason."""
    payment_id = await session.fetchval(_FLAG, tenant_id, row.invoice_id, action.charge, at)
    await standing.invoice_event(
        session,
        tenant_id,
        row.invoice_id,
        "invoice.needs_review",
        at=at,
        payment_id=payment_id,
        reason=action.why,
        charge=action.charge,
    )
