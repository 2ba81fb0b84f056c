"""What is kept of a decision?

Enough to explain it, and to make it again by the same rules over the same facts: what every rule
said, shadows included, and the context without anything personal but hashes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from payengine.fraud.decide import Decided, Evaluated
from payengine.fraud.spelling import spelled_context, spelled_verdicts
from payengine.plugin.fraud import FraudContext, RuleStage, VerdictKind

__all__ = ["Decision", "DecisionRow"]


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, as one row. `degraded`: the past, or a rule that asks others, was missing."""

    payment_id: str
    number: int
    stage: RuleStage
    verdict: VerdictKind
    degraded: bool
    document: dict[str, Any]
    decided_at: datetime


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about one attempt, and by whom. `drawn`: it would have been blocked.

    `overruled` says who let it go in spite of that, and why.
    """

    context: FraudContext
    decided: Decided
    evaluated: tuple[Evaluated, ...]
    number: int
    degraded: bool = False
    drawn: bool = False
    took_us: int = 0
    overruled: str = ""

    def row(self, *, at: datetime) -> DecisionRow:
        """How it is kept; `payengine.fraud.spelling` reads what it says."""
        decided = self.decided
        document: dict[str, Any] = {
            "context": spelled_context(self.context),
            "took_us": self.took_us,
            **spelled_verdicts(self.evaluated),
        }
        if decided.verdict not in ("abstain", "allow"):  # else whoever said so
            document["by"] = list(decided.by)
        if decided.score is not None:
            document["score"] = decided.score
        if self.drawn:
            document["drawn"] = True
        if self.overruled:
            document["overruled"] = self.overruled
        return DecisionRow(
            payment_id=self.context.payment_id,
            number=self.number,
            stage=self.context.stage,
            verdict=self.decided.verdict,
            degraded=self.degraded,
            document=document,
            decided_at=at,
        )
