"""Which rows does a fraud decision leave beside a payment's own?"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from payengine.events.models import NewEvent
from payengine.fraud.decisions import Decision, DecisionRow
from payengine.ids import new_id
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["DECISION", "decision_event", "insert_decision", "told_before"]

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
    return None if found is None else (found["number"], found["told"])


def decision_event(decision: Decision, *, at: datetime) -> NewEvent | None:
    """The event of a decision that stops, asks for more or was made without what it needed.

    It names the rules and no facts: whoever hears events need not learn whom a rule knows.
    """
    verdict = decision.decided.verdict
    stopped = verdict in ("review", "challenge", "block", "hard_block")
    if not stopped and not decision.degraded:
        return None
    data: dict[str, Any] = {
        "verdict": verdict,
        "rules": list(decision.decided.by),
        "score": decision.decided.score,
        "stage": decision.context.stage,
        "attempt": decision.number,
        "degraded": decision.degraded,
    }
    return NewEvent(
        id=new_id("evt"),
        type="fraud.decided" if stopped else "fraud.degraded",
        payment_id=decision.context.payment_id,
        data=data,
        occurred_at=at,
    )
