"""What happened in a quarter of an hour, in numbers?

Exact where it is counted: every decision between the two instants, the first inclusive, the second
not. How scores and facts are distributed is taken from the newest two thousand of them.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime
from typing import Any

from payengine.fraud.alerts import RuleTally, Slot
from payengine.fraud.drift import bin_of, score_bin
from payengine.fraud.memory import microseconds
from payengine.fraud.spelling import told_in
from payengine.storage import Session

__all__ = ["SAMPLE", "count_slot"]

#: Of so many decisions of a slot the distributions are taken.
SAMPLE = 2_000

#: What the rules themselves stopped is no outcome of a gateway.
_OUTCOMES = """
    SELECT decision.verdict, count(*) AS decided,
        count(*) FILTER (WHERE payment.authorized_minor > 0) AS succeeded,
        count(*) FILTER (WHERE payment.authorized_minor = 0 AND payment.status = 'DECLINED'
                         AND decision.verdict NOT IN ('block', 'hard_block')) AS declined,
        jsonb_agg(payment.decline_code) FILTER (
            WHERE payment.authorized_minor = 0 AND payment.status = 'DECLINED'
              AND decision.verdict NOT IN ('block', 'hard_block')) AS codes
    FROM fraud_decision AS decision
    JOIN payment ON payment.tenant_id = $1 AND payment.id = decision.payment_id
    WHERE decision.tenant_id = $1 AND decision.decided_at >= $2 AND decision.decided_at < $3
      AND decision.stage = 'pre_auth' AND decision.number = 1
    GROUP BY decision.verdict
"""

_RULES = """
    SELECT said ->> 'rule' AS rule, count(*) AS asked,
        count(*) FILTER (WHERE said ->> 'verdict' NOT IN ('abstain', 'allow')) AS hits,
        count(*) FILTER (WHERE coalesce(said ->> 'error', '') <> '') AS errors
    FROM fraud_decision AS decision,
        LATERAL fraud_said(decision.document) AS said
    WHERE decision.tenant_id = $1 AND decision.decided_at >= $2 AND decision.decided_at < $3
    GROUP BY said ->> 'rule'
"""

_SAMPLED = """
    SELECT document -> 'verdicts' AS verdicts, document -> 'context' AS context
    FROM fraud_decision
    WHERE tenant_id = $1 AND decided_at >= $2 AND decided_at < $3
    ORDER BY decided_at DESC LIMIT $4
"""

_FRAUDS = """
    SELECT count(DISTINCT payment_id) FROM fraud_label
    WHERE tenant_id = $1 AND is_fraud AND observed_at >= $2 AND observed_at < $3
"""


async def count_slot(
    session: Session, tenant_id: uuid.UUID, *, begins_at: datetime, ends_at: datetime
) -> Slot | None:
    """The slot's counts as they stand now; None where nothing happened."""
    slot = Slot(begins_at=begins_at)
    span = (tenant_id, begins_at, ends_at)
    codes: Counter[str] = Counter()
    for row in await session.fetch(_OUTCOMES, *span):
        slot.verdicts[row["verdict"]] = row["decided"]
        slot.succeeded += row["succeeded"]
        slot.known += row["succeeded"] + row["declined"]
        codes.update(str(each) for each in row["codes"] or ())
    slot.declines = dict(codes)
    for row in await session.fetch(_RULES, *span):
        slot.rules[row["rule"]] = RuleTally(
            asked=row["asked"], hits=row["hits"], errors=row["errors"]
        )
    slot.frauds = await session.fetchval(
        _FRAUDS, tenant_id, microseconds(begins_at), microseconds(ends_at)
    )
    if slot.rules:
        _distribute(slot, await session.fetch(_SAMPLED, *span, SAMPLE))
    return slot if slot.verdicts or slot.rules or slot.frauds else None


def _distribute(slot: Slot, rows: list[Any]) -> None:
    scores: dict[str, Counter[str]] = {}
    features: dict[str, Counter[str]] = {}
    for row in rows:
        for said in row["verdicts"] or ():
            if said.get("score") is not None:
                scores.setdefault(said["rule"], Counter())[score_bin(said["score"])] += 1
        for name, value in told_in(row["context"] or {})["features"].items():
            features.setdefault(name, Counter())[bin_of(value)] += 1
    slot.scores = {name: dict(bins) for name, bins in scores.items()}
    slot.features = {name: dict(bins) for name, bins in features.items()}
