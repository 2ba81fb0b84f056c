"""What do finance's reports say of a tenant's own rows?

The lines of providers' files are the balance transactions, our operations are the revenue; the
rules are those of `balance` and `revenue`, which know no database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.errors import InputInvalid
from payengine.money import currency as find_currency
from payengine.reports.balance import (
    BalanceReport,
    BalanceTransaction,
    PayoutReconciliation,
    balance_report,
    payout_reconciliation,
)
from payengine.reports.periods import Interval
from payengine.reports.revenue import RevenueLine, revenue_by_method
from payengine.storage import Database

__all__ = ["FinanceReports", "MethodRevenue"]

_MOST_LINES = 500_000

#: What lies before the period is one sum for each currency: nothing else of it is asked.
_BEFORE = """
    SELECT coalesce(sum(amount_minor - fee_minor), 0)::bigint FROM settlement_line
    WHERE tenant_id = $1 AND gateway = $2 AND currency = $3 AND occurred_at < $4
"""

_LINES = """
    SELECT id, occurred_at, kind, category, amount_minor, fee_minor, currency, reference,
           payout_reference
    FROM settlement_line
    WHERE tenant_id = $1 AND gateway = $2 AND currency = $3
      AND occurred_at >= $4 AND occurred_at < $5
    ORDER BY occurred_at, id LIMIT $6
"""

_OF_PAYOUT = """
    SELECT id, occurred_at, kind, category, amount_minor, fee_minor, currency, reference,
           payout_reference
    FROM settlement_line
    WHERE tenant_id = $1 AND gateway = $2
      AND (payout_reference = $3 OR (kind = 'payout' AND reference = $3)) AND currency = $4
    ORDER BY occurred_at, id LIMIT $5
"""

_REVENUE = """
    SELECT coalesce(p.method_kind, 'unknown') AS method, o.currency,
           sum(CASE o.kind WHEN 'refund' THEN -o.amount_minor ELSE o.amount_minor END)::bigint
               AS amount_minor
    FROM operation o JOIN payment p ON p.tenant_id = $1 AND p.id = o.payment_id
    WHERE o.tenant_id = $1 AND o.status = 'succeeded'
      AND (o.kind IN ('capture', 'refund') OR (o.kind = 'authorize' AND o.capture))
      AND o.created_at >= $2 AND o.created_at < $3
    GROUP BY 1, 2 ORDER BY 2, 1
"""


class MethodRevenue(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units that came in by a method in one currency, refunds taken off."""

    method: str
    currency: str
    amount_minor: int


class FinanceReports:
    """Reads; each method needs the scope `reports:read`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def balance(
        self, context: TenantContext, *, gateway: str, currency: str, period: Interval
    ) -> BalanceReport:
        """What the provider owes: starting balance, activity by category, payouts, ending balance.

        By the lines of its files that were taken in. Raises `UnknownCurrency` and `InputInvalid`.
        """
        context.require("reports:read")
        find_currency(currency)
        async with self._database.tenant(context.tenant_id) as session:
            before = await session.fetchval(
                _BEFORE, context.tenant_id, gateway, currency, period.start
            )
            rows = await session.fetch(
                _LINES,
                context.tenant_id,
                gateway,
                currency,
                period.start,
                period.end,
                _MOST_LINES + 1,
            )
        if len(rows) > _MOST_LINES:
            raise InputInvalid(f"At most {_MOST_LINES} lines are reported: choose a shorter time.")
        report = balance_report(_lines(rows), period=period, currency=currency)
        return msgspec.structs.replace(
            report,
            starting_balance=before,
            ending_balance=before + report.activity_net + report.payouts,
        )

    async def payout(
        self, context: TenantContext, *, gateway: str, payout: str, currency: str
    ) -> PayoutReconciliation:
        """The lines that left in a payout of the provider's, and what it paid beyond them.

        Raises `UnknownCurrency`.
        """
        context.require("reports:read")
        find_currency(currency)
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _OF_PAYOUT, context.tenant_id, gateway, payout, currency, _MOST_LINES
            )
        return payout_reconciliation(_lines(rows), payout_id=payout)

    async def revenue(
        self, context: TenantContext, *, since: datetime, until: datetime
    ) -> list[MethodRevenue]:
        """What came in by method and currency, refunds taken off; currencies are never added."""
        context.require("reports:read")
        if until < since:
            raise InputInvalid("The time ends before it begins.", path=("until",))
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_REVENUE, context.tenant_id, since, until)
        found = revenue_by_method(RevenueLine(**row) for row in rows)
        return [
            MethodRevenue(method=method, currency=currency, amount_minor=minor)
            for currency, sums in found.items()
            for method, minor in sums.items()
        ]


def _lines(rows: Sequence[Any]) -> list[BalanceTransaction]:
    """As finance reads them: a payout is named by its kind, all else by the provider's word."""
    return [
        BalanceTransaction(
            id=row["id"],
            created=row["occurred_at"],
            reporting_category=(
                row["kind"]
                if row["kind"] in ("payout", "payout_reversal")
                else row["category"] or row["kind"]
            ),
            gross=row["amount_minor"],
            fee=row["fee_minor"],
            net=row["amount_minor"] - row["fee_minor"],
            currency=row["currency"],
            source_id=row["reference"],
            automatic_payout_id=row["payout_reference"] or None,
        )
        for row in rows
    ]
