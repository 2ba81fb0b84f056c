"""How is a decision kept, and who hears of it?"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec

from payengine.events.models import NewEvent
from payengine.fraud.decisions import Decision, DecisionRow
from payengine.fraud.spelling import told_in
from payengine.ids import new_id
from payengine.plugin.fraud import FraudContext, RuleStage
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["context_of", "decision_event", "keep_decision", "kept_decision"]

_DECISION = Columns(DecisionRow)

#: A stage judges an attempt once: what was decided first stands.
_KEEP = f"""
    INSERT INTO fraud_decision (tenant_id, {_DECISION.listed})
    VALUES ($1, {_DECISION.parameters(2)})
    ON CONFLICT (tenant_id, payment_id, number, stage) DO NOTHING
"""
_KEPT = f"""
    SELECT {_DECISION.listed} FROM fraud_decision
    WHERE tenant_id = $1 AND payment_id = $2 AND stage = $3 ORDER BY number DESC LIMIT 1
"""


async def keep_decision(session: Session, tenant_id: uuid.UUID, row: DecisionRow) -> None:
    """Keep a decision, unless there is one of this attempt and stage."""
    await session.execute(_KEEP, tenant_id, *_DECISION.values(row))


async def kept_decision(
    session: Session, tenant_id: uuid.UUID, payment_id: str, stage: RuleStage
) -> DecisionRow | None:
    """The last decision on this at this stage."""
    found = await session.fetchrow(_KEPT, tenant_id, payment_id, stage)
    return None if found is None else _DECISION.read(found)


def context_of(row: DecisionRow, *, tenant_id: uuid.UUID) -> FraudContext:
    """What the rules were told for a decision, but for the metadata, which is not kept here."""
    named = {"tenant": str(tenant_id), "payment_id": row.payment_id}
    return msgspec.convert(told_in(row.document["context"]) | named, FraudContext)


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
    about = decision.context.payment_id
    is_payment = decision.context.stage != "payout"
    return NewEvent(
        id=new_id("evt"),
        type="fraud.decided" if stopped else "fraud.degraded",
        payment_id=about if is_payment else None,
        data=data if is_payment else data | {"payout_id": about},
        occurred_at=at,
    )
