"""How much of what failed at first was got in after all, and by what?

An invoice counts in the period of its first failure that counts, by the class of that decline. It
is recovered where its money came in afterwards, and by the attempt that brought it: 1 is the first
one after the failure. Money of several currencies is never added up.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from payengine.context import TenantContext
from payengine.errors import InputInvalid
from payengine.storage import Database

__all__ = ["RecoveredPart", "RecoveryReport"]

#: A charge that failed technically so often that it counted has no code of a bank's.
_FAILED = """
    WITH failed AS (
        SELECT DISTINCT ON (invoice_id) invoice_id, charge, currency, amount_minor,
               coalesce(decline_class, 'technical') AS class, answered_at
        FROM collection_charge
        WHERE tenant_id = $1 AND outcome IN ('declined', 'failed') AND amount_minor IS NOT NULL
        ORDER BY invoice_id, charge
    ), recovered AS (
        SELECT invoice_id, min(charge) AS charge FROM collection_charge
        WHERE tenant_id = $1 AND outcome = 'succeeded' GROUP BY invoice_id
    )
    SELECT failed.currency, failed.class, by_attempt.attempt, by_attempt.trigger,
           count(*) AS failed, sum(failed.amount_minor)::bigint AS failed_minor,
           count(by_attempt.invoice_id) AS recovered,
           coalesce(sum(by_attempt.amount_minor), 0)::bigint AS recovered_minor
    FROM failed
    LEFT JOIN recovered ON recovered.invoice_id = failed.invoice_id
        AND recovered.charge > failed.charge
    LEFT JOIN collection_charge AS by_attempt ON by_attempt.tenant_id = $1
        AND by_attempt.invoice_id = recovered.invoice_id AND by_attempt.charge = recovered.charge
    WHERE failed.answered_at >= $2 AND failed.answered_at < $3
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3 NULLS LAST, 4
"""


class RecoveredPart(msgspec.Struct, frozen=True, kw_only=True):
    """The invoices of one currency and class that one attempt, made for one reason, got in.

    `attempt` and `trigger` are None for those that are not recovered, or not yet; their `recovered`
    is 0. An attempt of 0 repaired a technical failure.
    """

    currency: str
    decline_class: str
    attempt: int | None
    trigger: str | None
    failed: int
    failed_minor: int
    recovered: int
    recovered_minor: int


class RecoveryReport:
    """The reports of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def between(
        self, context: TenantContext, *, since: datetime, until: datetime
    ) -> list[RecoveredPart]:
        """What first failed with since ≤ instant < until, by currency, class and attempt."""
        context.require("billing:read")
        if since >= until:
            raise InputInvalid("The period ends before it begins.", path=("until",))
        async with self._database.tenant(context.tenant_id) as session:
            found = await session.fetch(_FAILED, context.tenant_id, since, until)
        return [
            RecoveredPart(
                currency=row["currency"],
                decline_class=row["class"],
                attempt=row["attempt"],
                trigger=row["trigger"],
                failed=row["failed"],
                failed_minor=row["failed_minor"],
                recovered=row["recovered"],
                recovered_minor=row["recovered_minor"],
            )
            for row in found
        ]
