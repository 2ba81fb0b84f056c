"""Where is the money now?

Transfers are immutable and append-only; `templates` say how each step of a payment is booked,
`posting` writes, `strict` writes what may not overdraw, `balances` reads, `folding` keeps reading
quick and `invariants` checks the whole.
"""

from __future__ import annotations

from payengine.ledger.balances import AccountBalance, TrialBalance, balances, trial_balance
from payengine.ledger.folding import fold_all, fold_tail
from payengine.ledger.history import TransferFilter, balances_at
from payengine.ledger.invariants import broken
from payengine.ledger.posting import (
    TransferRow,
    insert_transfers_from,
    ledger_error,
    open_holds,
    post,
    transfer_arrays,
    transfer_rows,
)
from payengine.ledger.service import AccountStatement, Ledger, LedgerLine, StatementEntry
from payengine.ledger.strict import post_strict
from payengine.ledger.transfers import Entry, HoldLine, Posting, Transfer

__all__ = [
    "AccountBalance",
    "AccountStatement",
    "Entry",
    "HoldLine",
    "Ledger",
    "LedgerLine",
    "Posting",
    "StatementEntry",
    "Transfer",
    "TransferFilter",
    "TransferRow",
    "TrialBalance",
    "balances",
    "balances_at",
    "broken",
    "fold_all",
    "fold_tail",
    "insert_transfers_from",
    "ledger_error",
    "open_holds",
    "post",
    "post_strict",
    "transfer_arrays",
    "transfer_rows",
    "trial_balance",
]

#: The name under which a constant statement is composed of it.
