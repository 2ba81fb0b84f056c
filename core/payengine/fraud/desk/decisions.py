"""Why was a payment let through, stopped or held?

Decisions are read as they were written down, with every rule's word, the context that the rules
were given, and what has become known since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.errors import CursorInvalid
from payengine.fraud.decide import Evaluated, decide
from payengine.fraud.spelling import said_in, told_in
from payengine.plugin.fraud import RuleStage, VerdictKind
from payengine.storage import Database

__all__ = ["Decision", "DecisionFilter", "Decisions", "Rescored", "read_decision"]

#: With what was thought of it once more, where that has ended.
_SELECT = """
    SELECT payment_id, number, stage, d.verdict, d.degraded, d.document, d.decided_at,
           r.verdict AS again, r.document AS again_document, r.ended_at
    FROM fraud_decision d
    LEFT JOIN fraud_rescore r USING (tenant_id, payment_id, number, stage)
"""

_OF_PAYMENTS = f"""{_SELECT}
    WHERE tenant_id = $1 AND payment_id = ANY ($2)
    ORDER BY payment_id, number, decided_at, stage
"""

#: Behind the decision that the cursor names; where it is gone or foreign, there is nothing.
_PAGE = f"""{_SELECT}
    WHERE tenant_id = $1
      AND ($2::text IS NULL OR (decided_at, payment_id, number, stage) < (
          SELECT decided_at, payment_id, number, stage FROM fraud_decision
          WHERE tenant_id = $1 AND payment_id = $2 AND number = $3 AND stage = $4))
      AND ($5::text[] IS NULL OR d.verdict = ANY ($5))
      AND ($6::timestamptz IS NULL OR decided_at >= $6)
      AND ($7::timestamptz IS NULL OR decided_at < $7)
    ORDER BY decided_at DESC, payment_id DESC, number DESC, stage DESC LIMIT $8
"""


class Rescored(msgspec.Struct, frozen=True, kw_only=True):
    """What was thought of a degraded decision once more, by the rules of `at`."""

    verdict: VerdictKind
    at: datetime
    rules: tuple[Evaluated, ...]
    score: float | None = None

    @property
    def by(self) -> tuple[str, ...]:
        """The live rules that said it."""
        return decide(self.rules).by


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided on one attempt at one stage.

    `degraded` says that the past or a rule was missing then, `drawn` that it would have been
    blocked and was let go on by chance. `context` is what the rules were given, its `features`
    among it; `took_us` is in microseconds. `rescored` changes none of this; None: not, or not yet.
    """

    payment_id: str
    number: int
    stage: RuleStage
    verdict: VerdictKind
    degraded: bool
    decided_at: datetime
    rules: tuple[Evaluated, ...]
    context: dict[str, Any]
    score: float | None = None
    drawn: bool = False
    took_us: int = 0
    rescored: Rescored | None = None

    @property
    def cursor(self) -> str:
        """Its name, for pages."""
        return f"{self.payment_id}.{self.number}.{self.stage}"

    @property
    def by(self) -> tuple[str, ...]:
        """The live rules that said it."""
        return decide(self.rules).by


class DecisionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions to list; `since` ≤ at < `until`."""

    verdicts: tuple[VerdictKind, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


def read_decision(row: Any) -> Decision:
    """The decision that a row of `fraud_decision` spells, with its row of `fraud_rescore`."""
    document = row["document"]
    return Decision(
        payment_id=row["payment_id"],
        number=row["number"],
        stage=row["stage"],
        verdict=row["verdict"],
        degraded=row["degraded"],
        decided_at=row["decided_at"],
        rules=said_in(document),
        context=told_in(document.get("context") or {}),
        score=document.get("score"),
        drawn=document.get("drawn", False),
        took_us=document.get("took_us") or 0,
        rescored=_rescored(row),
    )


class Decisions:
    """Reads what was decided."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_payments(
        self, context: TenantContext, payment_ids: Sequence[str]
    ) -> dict[str, list[Decision]]:
        """Of each payment, the earliest first; needs `fraud:read`."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_OF_PAYMENTS, context.tenant_id, list(payment_ids))
        found: dict[str, list[Decision]] = defaultdict(list)
        for row in rows:
            found[row["payment_id"]].append(read_decision(row))
        return found

    async def page(
        self,
        context: TenantContext,
        wanted: DecisionFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[Decision]:
        """The newest first, behind `after`; one more than `first` where there is."""
        context.require("fraud:read")
        behind = _behind(after)
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _PAGE,
                context.tenant_id,
                *behind,
                list(wanted.verdicts) or None,
                wanted.since,
                wanted.until,
                first + 1,
            )
        return [read_decision(row) for row in rows]


def _rescored(row: Any) -> Rescored | None:
    if row["ended_at"] is None or row["again"] is None:
        return None
    document = row["again_document"] or {}
    return Rescored(
        verdict=row["again"],
        at=row["ended_at"],
        rules=said_in(document),
        score=document.get("score"),
    )


def _behind(after: str | None) -> tuple[str | None, int, str]:
    if after is None:
        return None, 0, ""
    payment_id, _, rest = after.partition(".")
    number, _, stage = rest.partition(".")
    if not number.isascii() or not number.isdigit() or len(number) > 6:
        raise CursorInvalid(path=("after",))
    return payment_id, int(number), stage
