"""How do reviews stand in the database?

They are opened by the database itself, with the flag of their payment.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.payments.models import Payment
from payengine.payments.review.models import Review, ReviewAction
from payengine.payments.store import PAYMENT
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["ACTION", "REVIEW", "act", "clear_flags", "get", "rewrite"]

REVIEW = Columns(Review)
ACTION = Columns(ReviewAction)

_GET = f"SELECT {REVIEW.listed} FROM review WHERE tenant_id = $1 AND id = $2"

_MOVES = (
    "claimed_by",
    "claimed_actor",
    "claimed_until",
    "closed_by",
    "closed_actor",
    "closed_at",
    "decide_by",
    "decision",
)
_REWRITE = f"""
    UPDATE review SET {REVIEW.assignments(_MOVES, 4)}, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING {REVIEW.listed}
"""

_ACT = f"INSERT INTO review_action (tenant_id, {ACTION.listed}) VALUES ($1, {ACTION.parameters(2)})"

_CLEAR = f"""
    UPDATE payment SET needs_review = false, conflicted = false, version = version + 1,
        updated_at = $3
    WHERE tenant_id = $1 AND id = $2
    RETURNING {PAYMENT.listed}
"""


async def get(
    session: Session, tenant_id: uuid.UUID, review_id: str, *, lock: bool = False
) -> Review | None:
    """The review as it stands; with `lock`, nobody else may change it until the commit."""
    row = await session.fetchrow(_GET + (" FOR UPDATE" if lock else ""), tenant_id, review_id)
    return None if row is None else REVIEW.read(row)


async def rewrite(session: Session, tenant_id: uuid.UUID, review: Review) -> Review:
    """Write what may change of a review that this transaction has locked."""
    values = [getattr(review, name) for name in _MOVES]
    row = await session.fetchrow(_REWRITE, tenant_id, review.id, review.version, *values)
    return review if row is None else REVIEW.read(row)


async def act(
    session: Session,
    context: TenantContext,
    review: Review,
    *,
    kind: str,
    person: str,
    reason: str,
    at: datetime,
    operation_id: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Write down who did what, in whose name and why."""
    action = ReviewAction(
        id=new_id("rva"),
        review_id=review.id,
        kind=kind,  # type: ignore[arg-type]
        person=person,
        actor=context.actor,
        reason=reason,
        operation_id=operation_id,
        data=data or {},
        created_at=at,
    )
    await session.execute(_ACT, context.tenant_id, *ACTION.values(action))


async def clear_flags(
    session: Session, tenant_id: uuid.UUID, payment_id: str, *, at: datetime
) -> Payment:
    """Take the flags off a payment that this transaction has locked."""
    row = await session.fetchrow(_CLEAR, tenant_id, payment_id, at)
    if row is None:
        raise LookupError(payment_id)
    return PAYMENT.read(row)
