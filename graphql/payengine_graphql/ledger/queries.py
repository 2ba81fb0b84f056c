"""What may be read of the ledger and of finance's reports?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.ledger import TransferFilter
from payengine.reports.periods import interval
from payengine.reports.statements import MEDIA_TYPES, statement_text

from payengine_graphql.context import Wire
from payengine_graphql.exchange.inputs import parse_day
from payengine_graphql.ledger.types import (
    BalanceReport,
    LedgerStatement,
    LedgerTransfer,
    LedgerTrialBalance,
    MethodRevenue,
    PayoutReconciliation,
    StatementFormat,
    show_activity,
)
from payengine_graphql.scalars import Currency, DateTime
from payengine_graphql.types.fields import computed
from payengine_graphql.types.ledger import LedgerBalance
from payengine_graphql.types.money import money
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_Account = Annotated[
    str, strawberry.argument(description="The account, such as `merchant_payable:main`.")
]
_OneAccount = Annotated[str | None, strawberry.argument(description="Only of this account.")]
_Currency = Annotated[Currency, strawberry.argument(description="The currency.")]
_OneCurrency = Annotated[Currency | None, strawberry.argument(description="Only in this one.")]
_At = Annotated[
    DateTime | None,
    strawberry.argument(description="As it stood then, that instant included; null: now."),
]
_Since = Annotated[DateTime, strawberry.argument(description="From then on.")]
_Until = Annotated[DateTime, strawberry.argument(description="And before then.")]
_Format = Annotated[StatementFormat, strawberry.argument(description="How it is written.")]
_Gateway = Annotated[str, strawberry.argument(description="The gateway whose files are read.")]
_FirstDay = Annotated[str, strawberry.argument(description="The first day, such as 2026-03-01.")]
_EndDay = Annotated[str, strawberry.argument(description="The day behind the last.")]
_Zone = Annotated[str, strawberry.argument(description="The zone of the days, as tz names it.")]
_Payout = Annotated[str, strawberry.argument(description="The provider's name of the payout.")]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One account in one currency, now or at any past instant. Needs `ledger:read`.")
    async def ledger_balance(
        self, info: Wire, account: _Account, currency: _Currency, at: _At = None
    ) -> LedgerBalance:
        """All zero where nothing moved."""
        row = await info.context.engine.ledger.balance(
            info.context.tenant, account, currency, at=at
        )
        return LedgerBalance(row=row)

    @computed("Transfers of at most 366 days, the latest first. Needs the scope `ledger:read`.")
    async def ledger_transfers(
        self,
        info: Wire,
        since: _Since,
        until: _Until,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        account: _OneAccount = None,
        currency: _OneCurrency = None,
    ) -> Connection[LedgerTransfer]:
        """A page."""
        wanted = TransferFilter(since=since, until=until, account=account, currency=currency)
        rows = await info.context.engine.ledger.transfers(
            info.context.tenant, wanted, first=check_first(first), after=after
        )
        return connect(
            rows,
            first=first,
            after=after,
            show=lambda row: LedgerTransfer(row=row),
            cursor=lambda row: row.cursor,
        )

    @computed("All debits and credits of each currency. Needs the scope `ledger:read`.")
    async def ledger_trial_balance(self, info: Wire) -> list[LedgerTrialBalance]:
        """Equal in every currency."""
        rows = await info.context.engine.ledger.trial_balance(info.context.tenant)
        return [LedgerTrialBalance(row=row) for row in rows]

    @computed("An account's statement as a file. Needs the scope `ledger:read`.")
    async def ledger_statement(
        self,
        info: Wire,
        account: _Account,
        currency: _Currency,
        since: _Since,
        until: _Until,
        format: _Format = StatementFormat.CSV,
    ) -> LedgerStatement:
        """At most 50,000 entries of 366 days."""
        context = info.context
        found = await context.engine.ledger.statement(
            context.tenant, account, currency, since=since, until=until
        )
        now = context.engine.clock.now(context.tenant.tenant_id)
        return LedgerStatement(
            media_type=MEDIA_TYPES[format.value],
            content=statement_text(found, format.value, made_at=now),
            entries=len(found.entries),
            opening=money(found.opening_minor, currency),
            closing=money(found.closing_minor, currency),
        )

    @computed(
        "What a provider owed over some days, by the files that were taken in. `reports:read`."
    )
    async def balance_report(
        self,
        info: Wire,
        gateway: _Gateway,
        currency: _Currency,
        start: _FirstDay,
        end: _EndDay,
        timezone: _Zone = "UTC",
    ) -> BalanceReport:
        """By category."""
        period = interval(
            parse_day(start, field="start"), parse_day(end, field="end"), timezone=timezone
        )
        found = await info.context.engine.reports.balance(
            info.context.tenant, gateway=gateway, currency=currency, period=period
        )
        return BalanceReport(
            starting_balance=money(found.starting_balance, currency),
            activity=show_activity(found.activity, currency),
            activity_net=money(found.activity_net, currency),
            payouts=money(found.payouts, currency),
            ending_balance=money(found.ending_balance, currency),
        )

    @computed("What a provider's payout consists of. Needs the scope `reports:read`.")
    async def payout_reconciliation(
        self, info: Wire, gateway: _Gateway, payout: _Payout, currency: _Currency
    ) -> PayoutReconciliation:
        """By the files that were taken in."""
        found = await info.context.engine.reports.payout(
            info.context.tenant, gateway=gateway, payout=payout, currency=currency
        )
        return PayoutReconciliation(
            activity=show_activity(found.by_category, currency),
            paid=money(found.payout_amount, currency),
            difference=money(found.difference, currency),
        )

    @computed("What came in by method and currency, refunds taken off. Needs `reports:read`.")
    async def revenue_by_method(
        self, info: Wire, since: _Since, until: _Until
    ) -> list[MethodRevenue]:
        """Currencies are never added."""
        rows = await info.context.engine.reports.revenue(
            info.context.tenant, since=since, until=until
        )
        return [MethodRevenue(row=row) for row in rows]
