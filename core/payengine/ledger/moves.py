"""How does a list of moves become a posting?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from payengine.errors import LedgerUnbalanced
from payengine.ledger.transfers import Posting, Transfer, check_posting

__all__ = ["Move", "posting_of"]


class Move(NamedTuple):
    """Minor units of a currency from the account that is credited to the one that is debited."""

    debited: str
    credited: str
    amount_minor: int
    currency: str


def posting_of(
    moves: Iterable[Move], *, transaction_id: str, kind: str, payment_id: str | None = None
) -> Posting:
    """One posted transfer for each move; moves of nothing are left out.

    Raises `LedgerUnbalanced` where nothing is left, and as `check_posting` does.
    """
    transfers = tuple(
        Transfer(
            debit_account=move.debited,
            credit_account=move.credited,
            amount_minor=move.amount_minor,
            currency=move.currency,
        )
        for move in moves
        if move.amount_minor
    )
    if not transfers:
        raise LedgerUnbalanced("Nothing would move.")
    posting = Posting(
        transaction_id=transaction_id, kind=kind, transfers=transfers, payment_id=payment_id
    )
    check_posting(posting)
    return posting
