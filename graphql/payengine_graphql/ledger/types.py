"""How are transfers, statements and reports shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.ledger import LedgerLine, TrialBalance
from payengine.reports.balance import Activity
from payengine.reports.finance import MethodRevenue as RevenueRow

from payengine_graphql.scalars import BigInt, Currency, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money

__all__ = [
    "BalanceReport",
    "LedgerStatement",
    "LedgerTransfer",
    "LedgerTrialBalance",
    "MethodRevenue",
    "PayoutReconciliation",
    "ReportActivity",
    "StatementFormat",
    "show_activity",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="How a statement is written.")
class StatementFormat(Enum):
    """See the description."""

    CSV = _value("csv", "For a spreadsheet.")
    CAMT053 = _value("camt053", "camt.053.001.08 of ISO 20022, as a bank writes it.")


@strawberry.type(description="One amount from one account to another; it is never changed.")
class LedgerTransfer:
    """See the description."""

    row: strawberry.Private[LedgerLine]
    transaction_id: str = column("The ledger transaction that it belongs to.")
    line: int = column("Its place in the transaction, from 1 on.")
    kind: str = column("What happened, such as `payment.captured`.")
    phase: str = column(
        "`posted` moves money, `pending` reserves it, `post` and `void` end a reservation."
    )
    debit_account: str = column("The account that is debited.")
    credit_account: str = column("The account that is credited.")
    payment_id: strawberry.ID | None = column("The payment that it is about.")
    created_at: DateTime = column("When it happened.")

    @computed("How much.")
    def amount(self) -> Money:
        """Above zero."""
        return money(self.row.amount_minor, self.row.currency)


@strawberry.type(description="Everything ever posted in a currency: both sums are equal.")
class LedgerTrialBalance:
    """See the description."""

    row: strawberry.Private[TrialBalance]
    currency: Currency = column("The currency.")

    @computed("All debits.")
    def debits(self) -> Money:
        """Of all time."""
        return money(self.row.debits, self.row.currency)

    @computed("All credits.")
    def credits(self) -> Money:
        """Of all time."""
        return money(self.row.credits, self.row.currency)


@strawberry.type(description="A statement of an account as a file.")
class LedgerStatement:
    """See the description."""

    media_type: str = strawberry.field(description="The content's type.")
    content: str = strawberry.field(description="The whole file.")
    entries: int = strawberry.field(description="How many entries it has.")
    opening: Money = strawberry.field(description="What stood there before.")
    closing: Money = strawberry.field(description="What stands there behind the last entry.")


@strawberry.type(description="What of one category there was.")
class ReportActivity:
    """See the description."""

    category: str = strawberry.field(description="The provider's word for it.")
    count: BigInt = strawberry.field(description="How many lines.")
    gross: Money = strawberry.field(description="Their sum before fees.")
    fee: Money = strawberry.field(description="What the provider kept of it.")
    net: Money = strawberry.field(description="What is left.")


@strawberry.type(
    description="What a provider owed: ending = starting + net of all activity + payouts."
)
class BalanceReport:
    """See the description."""

    starting_balance: Money = strawberry.field(description="Before the first instant.")
    activity: list[ReportActivity] = strawberry.field(description="By category; no payouts.")
    activity_net: Money = strawberry.field(description="The net of all of it.")
    payouts: Money = strawberry.field(description="What was paid out; below zero.")
    ending_balance: Money = strawberry.field(description="Before the last instant.")


@strawberry.type(description="What a provider's payout consists of.")
class PayoutReconciliation:
    """See the description."""

    activity: list[ReportActivity] = strawberry.field(description="Its lines by category.")
    paid: Money = strawberry.field(description="What it paid.")
    difference: Money = strawberry.field(description="What it paid beyond its lines.")


@strawberry.type(description="What came in by a method, refunds taken off.")
class MethodRevenue:
    """See the description."""

    row: strawberry.Private[RevenueRow]
    method: str = column("The method, such as `card`.")

    @computed("How much, in its currency.")
    def amount(self) -> Money:
        """Net of refunds."""
        return money(self.row.amount_minor, self.row.currency)


def show_activity(found: dict[str, Activity], currency: str) -> list[ReportActivity]:
    """Each category for the wire, in the order of their names."""
    return [
        ReportActivity(
            category=category,
            count=BigInt(each.count),
            gross=money(each.gross, currency),
            fee=money(each.fee, currency),
            net=money(each.net, currency),
        )
        for category, each in sorted(found.items())
    ]
