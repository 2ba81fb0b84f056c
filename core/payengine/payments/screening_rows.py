"""Which rows does a fraud decision leave beside a payment's own?"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from payengine.fraud.base import Base, rebased
from payengine.fraud.decisions import DecisionRow
from payengine.fraud.spelling import told_in
from payengine.payments.models import Payment
from payengine.plugin.fraud import FraudContext
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["DECISION", "insert_decision", "told_before", "told_context"]

DECISION = Columns(DecisionRow)

_INSERT = f"""
    INSERT INTO fraud_decision (tenant_id, {DECISION.listed}) VALUES ($1, {DECISION.parameters(2)})
"""
_TOLD = """
    SELECT number, document -> 'context' AS told FROM fraud_decision
    WHERE tenant_id = $1 AND payment_id = $2 AND stage = 'pre_auth' ORDER BY number DESC LIMIT 1
"""


async def insert_decision(session: Session, tenant_id: uuid.UUID, row: DecisionRow) -> None:
    """Keep a decision."""
    await session.execute(_INSERT, tenant_id, *DECISION.values(row))


async def told_before(
    session: Session, tenant_id: uuid.UUID, payment_id: str
) -> tuple[int, dict[str, Any]] | None:
    """The number of the last decision on the payment, and what the rules were told for it."""
    found = await session.fetchrow(_TOLD, tenant_id, payment_id)
    return None if found is None else (found["number"], told_in(found["told"]))


async def told_context(
    session: Session, tenant_id: uuid.UUID, payment: Payment, base: Base | None
) -> tuple[int, FraudContext]:
    """The number of the last decision on the payment, 1 where there is none, and what the rules
    were told for it, features included; else what its own row says. Amounts are in `base`."""
    named = {"tenant": str(tenant_id), "payment_id": payment.id, "metadata": payment.metadata}
    before = await told_before(session, tenant_id, payment.id)
    if before is not None:
        return before[0], rebased(msgspec.convert(before[1] | named, FraudContext), base)
    own = FraudContext(
        tenant=str(tenant_id),
        stage="pre_auth",
        as_of=payment.created_at,
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        base_minor=payment.amount_minor,
        base_currency=payment.currency,
        method_kind=payment.method_kind or "card",
        off_session=payment.off_session,
        customer=payment.customer_id,
        metadata=dict(payment.metadata),
    )
    return 1, rebased(own, base)
