"""How well do the rules do?

Of the decisions between two instants, the newest twenty thousand: what each rule said, how long it
took and how often it failed; what was stopped; and, of payments of which it is known by now whether
they were fraudulent, how much of the fraud was found and how much of what was found was fraud.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import InputInvalid
from payengine.storage import Database

__all__ = ["MOST_DECISIONS", "FraudSummary", "Quality", "RuleSummary", "Summaries"]

#: So many decisions, the newest of the span, are looked at.
MOST_DECISIONS = 20_000
_LONGEST_MATURITY_DAYS = 400

_TAKEN = """
    WITH newest AS (
        SELECT payment_id, number, stage, verdict, degraded, document, decided_at
        FROM fraud_decision
        WHERE tenant_id = $1 AND decided_at >= $2 AND decided_at < $3
        ORDER BY decided_at DESC LIMIT $4
    ), taken AS (
        SELECT newest.*, CASE WHEN known.is_fraud IS NOT NULL THEN known.is_fraud
                              WHEN decided_at < $5 THEN false END AS is_fraud
        FROM newest LEFT JOIN LATERAL (
            SELECT is_fraud FROM fraud_label
            WHERE tenant_id = $1 AND payment_id = newest.payment_id AND superseded_at IS NULL
            ORDER BY observed_at DESC LIMIT 1
        ) AS known ON true
    )
"""

_VERDICTS = f"""{_TAKEN}
    SELECT stage, verdict, count(*) AS decisions, count(*) FILTER (WHERE degraded) AS degraded,
        count(*) FILTER (WHERE is_fraud) AS frauds,
        count(*) FILTER (WHERE NOT is_fraud) AS good
    FROM taken GROUP BY stage, verdict
"""

_RULES = f"""{_TAKEN}
    SELECT said ->> 'rule' AS rule, coalesce(said ->> 'mode', 'live') AS mode, count(*) AS asked,
        count(*) FILTER (WHERE hit) AS hits,
        count(*) FILTER (WHERE said ->> 'verdict' IN ('block', 'hard_block')) AS blocks,
        count(*) FILTER (WHERE said ->> 'verdict' = 'challenge') AS challenges,
        count(*) FILTER (WHERE said ->> 'verdict' = 'review') AS reviews,
        count(*) FILTER (WHERE coalesce(said ->> 'error', '') <> '') AS errors,
        coalesce(percentile_disc(0.5) WITHIN GROUP (
            ORDER BY (said ->> 'took_us')::bigint), 0) AS p50_us,
        coalesce(percentile_disc(0.99) WITHIN GROUP (
            ORDER BY (said ->> 'took_us')::bigint), 0) AS p99_us,
        count(*) FILTER (WHERE hit AND is_fraud) AS caught,
        count(*) FILTER (WHERE hit AND NOT is_fraud) AS wrong,
        count(*) FILTER (WHERE NOT hit AND is_fraud) AS missed
    FROM taken, LATERAL fraud_said(taken.document) AS said,
        LATERAL (SELECT said ->> 'verdict' IN ('review', 'challenge', 'block', 'hard_block')
                        AS hit) AS told
    GROUP BY said ->> 'rule', coalesce(said ->> 'mode', 'live') ORDER BY rule, mode
"""

_STOPS = frozenset({"review", "challenge", "block", "hard_block"})


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Of payments of which it is known: fraud that was found and missed, good ones that were hit.

    A payment is known where it has a label, or where it is old enough and nobody has complained.
    """

    caught: int = 0
    missed: int = 0
    wrong: int = 0

    @property
    def precision(self) -> float | None:
        """The share of fraud in what was found; None where nothing was."""
        found = self.caught + self.wrong
        return self.caught / found if found else None

    @property
    def recall(self) -> float | None:
        """The share of the fraud that was found; None where there was none."""
        frauds = self.caught + self.missed
        return self.caught / frauds if frauds else None


class RuleSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in one mode; the times are microseconds of one evaluation."""

    rule: str
    mode: str
    asked: int
    hits: int
    blocks: int
    challenges: int
    reviews: int
    errors: int
    p50_us: int
    p99_us: int
    quality: Quality


class FraudSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions of a span; `truncated` says that there were more than are counted.

    `verdicts` are those before the gateway was asked, by kind.
    """

    decisions: int
    degraded: int
    truncated: bool
    verdicts: dict[str, int]
    quality: Quality
    rules: tuple[RuleSummary, ...]

    def rate(self, *verdicts: str) -> float:
        """The share of these verdicts in all before the gateway was asked; 0 where none was."""
        total = sum(self.verdicts.values())
        return sum(self.verdicts.get(each, 0) for each in verdicts) / total if total else 0.0


class Summaries:
    """Sums up what was decided."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summary(
        self,
        context: TenantContext,
        *,
        since: datetime,
        until: datetime,
        matured_after_days: int,
    ) -> FraudSummary:
        """The decisions in since ≤ at < until; raises `InputInvalid` for a span without length.

        A payment without a label counts as good once it is `matured_after_days` old.
        """
        context.require("fraud:read")
        if until <= since:
            raise InputInvalid("The span ends before it begins.", path=("until",))
        if not 0 <= matured_after_days <= _LONGEST_MATURITY_DAYS:
            raise InputInvalid("maturedAfterDays is 0 to 400.", path=("maturedAfterDays",))
        mature = wall_now() - timedelta(days=matured_after_days)
        asked = (context.tenant_id, since, until, MOST_DECISIONS, mature)
        async with self._database.tenant(context.tenant_id) as session:
            groups = await session.fetch(_VERDICTS, *asked)
            rules = await session.fetch(_RULES, *asked)
        first = [row for row in groups if row["stage"] == "pre_auth"]
        decisions = sum(row["decisions"] for row in groups)
        stops = [row for row in first if row["verdict"] in _STOPS]
        return FraudSummary(
            decisions=decisions,
            degraded=sum(row["degraded"] for row in groups),
            truncated=decisions >= MOST_DECISIONS,
            verdicts={row["verdict"]: row["decisions"] for row in first},
            quality=Quality(
                caught=sum(row["frauds"] for row in stops),
                missed=sum(row["frauds"] for row in first) - sum(row["frauds"] for row in stops),
                wrong=sum(row["good"] for row in stops),
            ),
            rules=tuple(
                RuleSummary(
                    quality=Quality(caught=row["caught"], missed=row["missed"], wrong=row["wrong"]),
                    **{name: row[name] for name in _SUMMED},
                )
                for row in rules
            ),
        )


_SUMMED = tuple(name for name in RuleSummary.__struct_fields__ if name != "quality")
