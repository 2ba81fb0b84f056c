"""What would this change of a rule have done to the tenant's own payments?

Reads a bounded part of the history and lets the replay decide it again with the same code that
judges payments. What is older than the part is past: so many payments before it are read as well.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.errors import InputInvalid, RateLimited
from payengine.fraud.desk.replaying import Impact, PastPayment, Replay
from payengine.fraud.evaluation import ActiveRule
from payengine.fraud.plan import FeaturePlan
from payengine.fraud.rulebook import Rulebook
from payengine.fraud.spelling import said_in, told_in
from payengine.plugin.fraud import FraudContext, Label, RuleMode
from payengine.storage import Database

__all__ = ["MOST_DECISIONS", "MOST_EARLIER", "ImpactReport", "Impacts"]

#: So many decisions, the latest of the span, are judged again; so many before them are past.
MOST_DECISIONS = 5_000
MOST_EARLIER = 5_000
_PAGE = 500
#: So many are judged before others get their turn: a few milliseconds.
_AT_ONCE = 20
_REPLAYS = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: The decision that is the first to be judged, and the first to be read.
_BOUNDS = """
    SELECT count(*) AS total, min(decided_at) FILTER (WHERE place <= $5) AS first_at
    FROM (
        SELECT decided_at, row_number() OVER (ORDER BY decided_at DESC) AS place
        FROM fraud_decision
        WHERE tenant_id = $1 AND decided_at >= $2 AND decided_at < $3 AND stage = ANY ($4)
        ORDER BY decided_at DESC LIMIT 100000
    ) AS found
"""

_EARLIER = """
    SELECT min(decided_at) FROM (
        SELECT decided_at FROM fraud_decision
        WHERE tenant_id = $1 AND decided_at < $2 AND stage = ANY ($3)
        ORDER BY decided_at DESC LIMIT $4
    ) AS earlier
"""

_NEXT = """
    SELECT decision.payment_id, decision.number, decision.stage, decision.verdict,
           decision.document, decision.decided_at, payment.metadata,
           -- One of whom nobody has a name is not among the past's events.
           coalesce(event.declined, CASE WHEN payment.authorized_minor > 0 THEN false
               WHEN payment.status = 'DECLINED' THEN true END) AS declined
    FROM (
        SELECT * FROM fraud_decision
        WHERE tenant_id = $1 AND decided_at < $3 AND stage = ANY ($4)
          AND (decided_at, payment_id, number, stage) > ($2, $5, $6, $7)
        ORDER BY decided_at, payment_id, number, stage LIMIT $8
    ) AS decision
    LEFT JOIN payment ON payment.tenant_id = $1 AND payment.id = decision.payment_id
    LEFT JOIN fraud_event AS event ON event.tenant_id = $1
        AND event.payment_id = decision.payment_id AND event.number = decision.number
    ORDER BY decision.decided_at, decision.payment_id, decision.number, decision.stage
"""

_LABELS = """
    SELECT payment_id, is_fraud, source, observed_at, superseded_at FROM fraud_label
    WHERE tenant_id = $1 AND payment_id = ANY ($2) ORDER BY payment_id, observed_at
"""


class ImpactReport(msgspec.Struct, frozen=True, kw_only=True):
    """The impact on the decisions in `since` ≤ at < until, of which there are `total` in the span.

    `since` is where the bound ended the part that was looked at: the same question with `until` set
    to it goes on with what is older. `total` is at most 100,000.
    """

    impact: Impact
    total: int
    since: datetime
    until: datetime
    complete: bool


class Impacts:
    """Tries changes of rules on the past."""

    def __init__(self, database: Database, rulebook: Rulebook) -> None:
        self._database = database
        self._rulebook = rulebook
        self._places = asyncio.Semaphore(_REPLAYS)
        self._running: set[uuid.UUID] = set()

    async def report(
        self,
        context: TenantContext,
        *,
        rule: str,
        settings: Mapping[str, Any],
        since: datetime,
        until: datetime,
        mode: RuleMode = "live",
    ) -> ImpactReport:
        """What the rule would have done with these settings, on the latest part of the span.

        Raises `NotFound`, `PluginSettingsInvalid`, `InputInvalid` for a span without length or a
        rule that is asked elsewhere, `RateLimited` while another report of the tenant is made.
        """
        context.require("fraud:read")
        parsed = self._rulebook.parse(rule, settings)
        loaded = self._rulebook.installed[rule]
        if until <= since:
            raise InputInvalid("The span ends before it begins.", path=("until",))
        if loaded.manifest.remote or loaded.hosted:
            raise InputInvalid(
                "This rule is asked elsewhere, and is not asked about the past.", path=("rule",)
            )
        active = ActiveRule(
            name=rule,
            rule=loaded.rule,  # type: ignore[arg-type]  # a scorer is remote
            manifest=loaded.manifest,
            mode=mode,
            settings=parsed,
            version=0,
        )
        plan = _plan(active)
        if context.tenant_id in self._running:
            raise RateLimited("One report at a time: another one is under way.")
        self._running.add(context.tenant_id)
        try:
            async with self._places:
                return await self._replay(context.tenant_id, active, plan, since, until)
        finally:
            self._running.discard(context.tenant_id)

    async def _replay(
        self,
        tenant_id: uuid.UUID,
        active: ActiveRule,
        plan: FeaturePlan,
        since: datetime,
        until: datetime,
    ) -> ImpactReport:
        stages = list(active.manifest.stages)
        async with self._database.tenant(tenant_id) as session:
            bounds = await session.fetchrow(
                _BOUNDS, tenant_id, since, until, stages, MOST_DECISIONS
            )
            assert bounds is not None
            total, first_at = bounds["total"], bounds["first_at"]
            complete = total <= MOST_DECISIONS
            begin = since if complete else first_at
            earlier = await session.fetchval(_EARLIER, tenant_id, begin, stages, MOST_EARLIER)
        replay = Replay(tenant_id, active, plan, since=begin)
        # A little before, as the page begins behind its place.
        place = ((earlier or begin) - timedelta(microseconds=1), "", 0, "")
        judged_or_past = 0
        for _ in range((MOST_DECISIONS + MOST_EARLIER) // _PAGE + 2):
            async with self._database.tenant(tenant_id) as session:
                at, *rest = place
                rows = await session.fetch(_NEXT, tenant_id, at, until, stages, *rest, _PAGE)
                labels = await _labels(session, tenant_id, rows)
            for row in rows:
                known = labels.get(row["payment_id"], ([], None))
                replay.take(_payment(tenant_id, row, *known))
                judged_or_past += 1
                if judged_or_past % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            if len(rows) < _PAGE:
                break
            last = rows[-1]
            place = (last["decided_at"], last["payment_id"], last["number"], last["stage"])
        return ImpactReport(
            impact=replay.report(), total=total, since=begin, until=until, complete=complete
        )


def _plan(active: ActiveRule) -> FeaturePlan:
    try:
        return FeaturePlan.of(active.rule.features(active.settings))
    except Exception as problem:
        raise InputInvalid(
            f"The rule refuses these settings: {type(problem).__name__}.", path=("settings",)
        ) from None


async def _labels(
    session: Any, tenant_id: uuid.UUID, rows: Sequence[Any]
) -> dict[str, tuple[list[Label], bool | None]]:
    """Of each payment all that became known, and what is known today."""
    found: dict[str, tuple[list[Label], bool | None]] = {}
    told: dict[str, list[Label]] = defaultdict(list)
    ids = list({row["payment_id"] for row in rows})
    for row in await session.fetch(_LABELS, tenant_id, ids):
        label = Label(
            payment_id=row["payment_id"],
            is_fraud=row["is_fraud"],
            observed_at=_EPOCH + timedelta(microseconds=row["observed_at"]),
            source=row["source"],
        )
        told[label.payment_id].append(label)
        found[label.payment_id] = (told[label.payment_id], label.is_fraud)
    return found


def _payment(
    tenant_id: uuid.UUID, row: Any, labels: Sequence[Label], is_fraud: bool | None
) -> PastPayment:
    document = row["document"]
    context = msgspec.convert(
        told_in(document["context"])
        | {
            "tenant": str(tenant_id),
            "payment_id": row["payment_id"],
            "metadata": row["metadata"] or {},
        },
        FraudContext,
    )
    return PastPayment(
        context=context,
        said=said_in(document),
        decided_at=row["decided_at"],
        number=row["number"],
        declined=row["declined"],
        is_fraud=is_fraud,
        labels=tuple(labels),
    )
