"""What may a tenant read of its ledger?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from payengine.context import TenantContext
from payengine.errors import InputInvalid
from payengine.ledger.balances import AccountBalance, TrialBalance, balances, trial_balance
from payengine.ledger.chart import account_type, is_debit_normal
from payengine.ledger.history import (
    LedgerLine,
    TransferFilter,
    balances_at,
    page_of_transfers,
    posted_lines,
)
from payengine.money import currency as find_currency
from payengine.storage import Database

__all__ = ["AccountStatement", "Ledger", "LedgerLine", "StatementEntry"]

_LINES_OF_PAYMENT = """
    SELECT transaction_id, line, kind, phase, debit_account, credit_account, amount_minor,
           currency, pending_transaction_id, pending_line, payment_id, created_at
    FROM ledger_transfer
    WHERE tenant_id = $1 AND payment_id = $2
    ORDER BY created_at, transaction_id, line LIMIT $3
"""

_MOST_LINES = 1_000
_MOST_ENTRIES = 50_000
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_MOMENT = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC)


class StatementEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a transfer did to the account: above zero on the side that raises it."""

    at: datetime
    transaction_id: str
    line: int
    kind: str
    other_account: str
    amount_minor: int
    balance_minor: int
    payment_id: str | None


class AccountStatement(msgspec.Struct, frozen=True, kw_only=True):
    """An account in one currency, since ≤ instant < until: minor units of its normal balance.

    Opening balance and entries are exactly the closing balance.
    """

    account: str
    currency: str
    since: datetime
    until: datetime
    opening_minor: int
    closing_minor: int
    entries: tuple[StatementEntry, ...]


class Ledger:
    """Reads; each method needs the scope `ledger:read`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def balances(
        self, context: TenantContext, prefix: str | None = None, *, at: datetime | None = None
    ) -> list[AccountBalance]:
        """Every account that moved, or those whose name begins with `prefix`.

        With `at`, as they stood then: all transfers up to and with that instant.
        """
        context.require("ledger:read")
        async with self._database.tenant(context.tenant_id) as session:
            if at is None:
                return await balances(session, context.tenant_id, prefix=prefix or "")
            return await balances_at(session, context.tenant_id, at=at, prefix=prefix or "")

    async def balance(
        self, context: TenantContext, account: str, currency: str, *, at: datetime | None = None
    ) -> AccountBalance:
        """One account in one currency, now or at an instant; all zero where nothing moved.

        Raises `InputInvalid` for an account outside the chart, and `UnknownCurrency`.
        """
        context.require("ledger:read")
        kind = account_type(account)
        find_currency(currency)
        async with self._database.tenant(context.tenant_id) as session:
            if at is None:
                found = await balances(session, context.tenant_id, account=account)
            else:
                found = await balances_at(session, context.tenant_id, at=at, account=account)
        nothing = AccountBalance(
            account=account,
            currency=currency,
            type=kind,
            posted_debits=0,
            posted_credits=0,
            pending_debits=0,
            pending_credits=0,
            balance=0,
        )
        return next((each for each in found if each.currency == currency), nothing)

    async def trial_balance(self, context: TenantContext) -> list[TrialBalance]:
        """The gross posted debits and credits of each currency; they are equal."""
        context.require("ledger:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await trial_balance(session, context.tenant_id)

    async def transfers(
        self,
        context: TenantContext,
        wanted: TransferFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[LedgerLine]:
        """A page, the latest first; one more than `first` where there is."""
        context.require("ledger:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await page_of_transfers(
                session, context.tenant_id, wanted, first=first, after=after
            )

    async def transfers_of(self, context: TenantContext, payment_id: str) -> list[LedgerLine]:
        """A payment's transfers, oldest first; none for an id that is not this tenant's."""
        context.require("ledger:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _LINES_OF_PAYMENT, context.tenant_id, payment_id, _MOST_LINES
            )
        return [LedgerLine(**row) for row in rows]

    async def statement(
        self,
        context: TenantContext,
        account: str,
        currency: str,
        *,
        since: datetime,
        until: datetime,
    ) -> AccountStatement:
        """What was posted to one account, with what stood there before and after.

        Raises `InputInvalid` for an account outside the chart, for more than 366 days and for more
        than 50,000 entries, and `UnknownCurrency`.
        """
        context.require("ledger:read")
        account_type(account)
        find_currency(currency)
        wanted = TransferFilter(since=since, until=until, account=account, currency=currency)
        async with self._database.tenant(context.tenant_id) as session:
            await session.execute(_SNAPSHOT)
            lines = await posted_lines(session, context.tenant_id, wanted, limit=_MOST_ENTRIES + 1)
            begins = since.astimezone(UTC)
            # Nothing stood anywhere before the first instant there is.
            stood = (
                await balances_at(session, context.tenant_id, at=begins - _MOMENT, account=account)
                if begins > _FIRST
                else []
            )
        if len(lines) > _MOST_ENTRIES:
            raise InputInvalid(
                f"A statement has at most {_MOST_ENTRIES} entries: choose a shorter time."
            )
        opening = sum(each.balance for each in stood if each.currency == currency)
        entries = _entries(lines, account=account, opening=opening)
        return AccountStatement(
            account=account,
            currency=currency,
            since=since,
            until=until,
            opening_minor=opening,
            closing_minor=entries[-1].balance_minor if entries else opening,
            entries=tuple(entries),
        )


def _entries(lines: list[LedgerLine], *, account: str, opening: int) -> list[StatementEntry]:
    raises_by_debit = is_debit_normal(account)
    entries: list[StatementEntry] = []
    stands = opening
    for line in lines:
        is_debit = line.debit_account == account
        amount = line.amount_minor if is_debit == raises_by_debit else -line.amount_minor
        stands += amount
        entries.append(
            StatementEntry(
                at=line.created_at,
                transaction_id=line.transaction_id,
                line=line.line,
                kind=line.kind,
                other_account=line.credit_account if is_debit else line.debit_account,
                amount_minor=amount,
                balance_minor=stands,
                payment_id=line.payment_id,
            )
        )
    return entries
