"""What may a tenant read of its ledger?"""

from __future__ import annotations

from datetime import datetime

import msgspec

from payengine.context import TenantContext
from payengine.ledger.balances import AccountBalance, TrialBalance, balances, trial_balance
from payengine.ledger.transfers import Phase
from payengine.storage import Database

__all__ = ["Ledger", "LedgerLine"]

_LINES_OF_PAYMENT = """
    SELECT transaction_id, line, kind, phase, debit_account, credit_account, amount_minor,
           currency, pending_transaction_id, pending_line, payment_id, created_at
    FROM ledger_transfer
    WHERE tenant_id = $1 AND payment_id = $2
    ORDER BY created_at, transaction_id, line LIMIT $3
"""

_MOST_LINES = 1_000


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer as it is stored, for ever."""

    transaction_id: str
    line: int
    kind: str
    phase: Phase
    debit_account: str
    credit_account: str
    amount_minor: int
    currency: str
    pending_transaction_id: str | None
    pending_line: int | None
    payment_id: str | None
    created_at: datetime


class Ledger:
    """Reads; each method needs the scope `ledger:read`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def balances(
        self, context: TenantContext, prefix: str | None = None
    ) -> list[AccountBalance]:
        """Every account that moved, or those whose name begins with `prefix`."""
        context.require("ledger:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await balances(session, context.tenant_id, prefix=prefix or "")

    async def trial_balance(self, context: TenantContext) -> list[TrialBalance]:
        """The gross posted debits and credits of each currency; they are equal."""
        context.require("ledger:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await trial_balance(session, context.tenant_id)

    async def transfers_of(self, context: TenantContext, payment_id: str) -> list[LedgerLine]:
        """A payment's transfers, oldest first; none for an id that is not this tenant's."""
        context.require("ledger:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _LINES_OF_PAYMENT, context.tenant_id, payment_id, _MOST_LINES
            )
        return [LedgerLine(**row) for row in rows]
