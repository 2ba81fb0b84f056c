"""What is known of the past when a rule begins to ask?

Of an attempt only those names and facts become part of the past that some rule reads: each is an
index more. The decision on it keeps all of them, though. When a rule is switched on, the past is
brought up to what it reads from the decisions, the newest first, a few hundred at a time: a window
is whole once it has been reached. What happened while no rule was on was never written down, and no
rule will know it. The same is done where a tenant chooses another base currency: amounts that were
in another are converted at the rates of now.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import structlog

from payengine.context import TenantContext
from payengine.fraud.plan import ENTITIES, FACTS
from payengine.fraud.rulebook import Rulebook
from payengine.storage import Database

__all__ = ["Backfill"]

_PAGE = 500
#: So many decisions are gone through for one change, and none that no window reaches.
_MOST = 500_000
_LONGEST = timedelta(days=400)
_LEASE = timedelta(seconds=60)

_DUE = "SELECT tenant_id FROM fraud_backfill WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
_CLAIM = """
    UPDATE fraud_backfill SET due_at = $3 WHERE tenant_id = $1 AND due_at <= $2
    RETURNING before_at, payment_id, number, done
"""
_MOVED_ON = """
    UPDATE fraud_backfill SET before_at = $2, payment_id = $3, number = $4, done = $5, due_at = $6
    WHERE tenant_id = $1 AND before_at = $7 AND payment_id = $8 AND number = $9
"""
_MODE = "SELECT mode FROM tenant WHERE id = $1"

_NAMES = ", ".join(FACTS)
_TOLD = ",\n        ".join(
    f"CASE WHEN '{fact}' = ANY ($7) THEN p.told ->> '{fact}' END" for fact in FACTS
)
_FILLED = ", ".join(f"{fact} = coalesce(e.{fact}, excluded.{fact})" for fact in FACTS)
_LACKS = " OR ".join(f"(e.{fact} IS NULL AND excluded.{fact} IS NOT NULL)" for fact in FACTS)
_OF_PAGE = """
    SELECT payment_id, number, document -> 'context' AS told, decided_at FROM fraud_decision
    WHERE tenant_id = $1 AND stage = 'pre_auth' AND decided_at > $5
      AND (decided_at, payment_id, number) < ($2, $3, $4)
    ORDER BY decided_at DESC, payment_id DESC, number DESC LIMIT $6
"""
_FILL = f"""
    WITH page AS ({_OF_PAGE}), written AS (
        INSERT INTO fraud_event AS e (tenant_id, payment_id, number, at, base_minor, declined,
            {_NAMES})
        SELECT $1, p.payment_id, p.number,
            (extract(epoch FROM (p.told ->> 'as_of')::timestamptz) * 1000000)::bigint,
            CASE WHEN $8::text IS NULL THEN (p.told ->> 'amount_minor')::bigint
                 WHEN p.told ->> 'base_currency' = $8 THEN (p.told ->> 'base_minor')::bigint
                 WHEN abs(worth.minor) <= 9223372036854775807 THEN worth.minor::bigint
                 ELSE (p.told ->> 'amount_minor')::bigint END,
            (SELECT o.status = 'declined' FROM attempt a
             JOIN operation o ON o.tenant_id = $1 AND o.attempt_id = a.id
             WHERE a.tenant_id = $1 AND a.payment_id = p.payment_id AND a.number = p.number
               AND o.payment_id = p.payment_id AND o.kind = 'authorize'
               AND o.status IN ('succeeded', 'declined')
             ORDER BY o.created_at DESC LIMIT 1),
            {_TOLD}
        FROM page p CROSS JOIN LATERAL (
            SELECT round((p.told ->> 'amount_minor')::numeric
                * ($9::jsonb -> (p.told ->> 'currency') ->> 0)::numeric
                / ($9::jsonb -> (p.told ->> 'currency') ->> 1)::numeric) AS minor
        ) AS worth
        ON CONFLICT (tenant_id, payment_id, number) DO UPDATE SET {_FILLED},
            base_minor = excluded.base_minor
        WHERE {_LACKS} OR e.base_minor <> excluded.base_minor
        RETURNING e.payment_id
    )
    SELECT (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM written) AS written,
        last.decided_at, last.payment_id, last.number
    FROM (SELECT * FROM page ORDER BY decided_at, payment_id, number LIMIT 1) last
"""
_NAMED = ", ".join(f"{kind} = coalesce(l.{kind}, e.{kind})" for kind in ENTITIES)
#: The labels of the payments between the two places are of the same people.
_LABELS = f"""
    UPDATE fraud_label l SET at = e.at, {_NAMED}
    FROM fraud_event e JOIN fraud_decision d ON d.tenant_id = $1 AND d.payment_id = e.payment_id
        AND d.number = e.number AND d.stage = 'pre_auth'
    WHERE l.tenant_id = $1 AND e.tenant_id = $1 AND l.payment_id = e.payment_id
      AND l.number = e.number AND d.decided_at >= $2 AND d.decided_at <= $3
"""

_log = structlog.get_logger(__name__)


class Backfill:
    """Brings the past of tenants up to what their rules read."""

    def __init__(self, database: Database, rulebook: Rulebook) -> None:
        self._database = database
        self._rulebook = rulebook

    async def run_once(self, *, at: datetime, limit: int = 10) -> int:
        """One page of each tenant that is due; how many attempts were brought up."""
        async with self._database.worker() as session:
            due = [row["tenant_id"] for row in await session.fetch(_DUE, at, limit)]
        filled = 0
        for tenant_id in due:
            try:
                filled += await self._page(tenant_id, at=at)
            except Exception as failure:
                _log.warning("backfill_failed", error=repr(failure))
        return filled

    async def _page(self, tenant_id: uuid.UUID, *, at: datetime) -> int:
        async with self._database.tenant(tenant_id) as session:
            place = await session.fetchrow(_CLAIM, tenant_id, at, at + _LEASE)
            mode = await session.fetchval(_MODE, tenant_id)
        if place is None:
            return 0
        # What holds may have been read before the rule was switched on.
        self._rulebook.forget(tenant_id)
        rules = await self._rulebook.of(TenantContext(tenant_id, mode, "engine", frozenset()))
        here = (place["before_at"], place["payment_id"], place["number"])
        async with self._database.tenant(tenant_id) as session:
            page = await session.fetchrow(
                _FILL,
                tenant_id,
                *here,
                at - _LONGEST,
                _PAGE,
                sorted(rules.kept),
                None if rules.base is None else rules.base.currency,
                {} if rules.base is None else rules.base.scales(),
            )
            there, seen, written = here, 0, 0
            if page is not None:
                there = (page["decided_at"], page["payment_id"], page["number"])
                seen, written = page["seen"], page["written"]
                await session.execute(_LABELS, tenant_id, there[0], here[0])
            done = place["done"] + seen
            over = seen < _PAGE or done >= _MOST or not rules.kept
            await session.execute(_MOVED_ON, tenant_id, *there, done, None if over else at, *here)
        return int(written)
