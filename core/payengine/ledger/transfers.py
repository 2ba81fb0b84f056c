"""What moves in the ledger?

A transfer takes one positive amount from one account to another, so that no row can be unbalanced;
a posting groups transfers under an id for ever. Entries, the two-sided form that accountants read,
are made of transfers and can be turned into them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from payengine.errors import (
    HoldExpired,
    InputInvalid,
    LedgerAmountNotPositive,
    LedgerUnbalanced,
)
from payengine.ledger.chart import account_type
from payengine.money import currency as find_currency

__all__ = [
    "Direction",
    "Entry",
    "HoldLine",
    "Phase",
    "Posting",
    "Transfer",
    "check_hold_open",
    "check_posting",
    "entries_of",
    "transfers_from_entries",
]

Direction = Literal["debit", "credit"]

#: `posted` moves money; `pending` reserves it; `post` and `void` end a pending transfer, once.
Phase = Literal["posted", "pending", "post", "void"]

_MAX_BIGINT = 2**63 - 1
_MAX_LINES = 1_000


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """`amount_minor` > 0 from the account that is credited to the account that is debited.

    `pending` names the transfer that a `post` or `void` ends: (transaction id, line).
    """

    debit_account: str
    credit_account: str
    amount_minor: int
    currency: str
    phase: Phase = "posted"
    pending: tuple[str, int] | None = None


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger transaction; `transaction_id` is its identity for ever, `kind` its label."""

    transaction_id: str
    kind: str
    transfers: tuple[Transfer, ...]
    payment_id: str | None = None


class HoldLine(msgspec.Struct, frozen=True, kw_only=True):
    """A pending transfer that is still open."""

    transaction_id: str
    line: int
    debit_account: str
    credit_account: str
    amount_minor: int
    currency: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a movement."""

    account: str
    direction: Direction
    amount_minor: int
    currency: str


def check_hold_open(*, expires_at: datetime | None, at: datetime) -> None:
    """Raise `HoldExpired` from the instant `expires_at` on; both aware."""
    if expires_at is not None and at >= expires_at:
        raise HoldExpired


def check_posting(posting: Posting) -> None:
    """Refuse what may not be written.

    Raises `LedgerUnbalanced` (nothing moves), `LedgerAmountNotPositive`, `UnknownCurrency`, and
    `InputInvalid` for an account outside the chart or a transfer from an account to itself.
    """
    if not posting.transfers:
        raise LedgerUnbalanced("A ledger transaction has at least one transfer.")
    if len(posting.transfers) > _MAX_LINES:
        raise InputInvalid(f"A ledger transaction has at most {_MAX_LINES} transfers.")
    if not 0 < len(posting.transaction_id) <= 255:
        raise InputInvalid("A ledger transaction id has 1 to 255 characters.")
    for transfer in posting.transfers:
        _check_amount(transfer.amount_minor)
        find_currency(transfer.currency)
        account_type(transfer.debit_account)
        account_type(transfer.credit_account)
        if transfer.debit_account == transfer.credit_account:
            raise InputInvalid("A transfer needs two different accounts.")
        if (transfer.pending is not None) != (transfer.phase in ("post", "void")):
            raise InputInvalid("A post or void names the pending transfer that it ends.")


def _check_amount(amount_minor: object) -> None:
    if type(amount_minor) is not int:
        raise TypeError(f"Minor units are an integer, not {type(amount_minor).__name__}.")
    if amount_minor <= 0:
        raise LedgerAmountNotPositive
    if amount_minor > _MAX_BIGINT:
        raise InputInvalid("The amount exceeds what a ledger row can hold.")


def transfers_from_entries(
    entries: Sequence[Entry], *, phase: Literal["posted", "pending"] = "posted"
) -> tuple[Transfer, ...]:
    """The transfers that make these entries: debits pair with credits in order, per currency.

    Raises `LedgerAmountNotPositive`, `LedgerUnbalanced` where debits and credits differ in any
    currency, and `InputInvalid` where an account would have to pay itself.
    """
    for entry in entries:
        _check_amount(entry.amount_minor)
    currencies = list(dict.fromkeys(entry.currency for entry in entries))
    if not currencies:
        raise LedgerUnbalanced("A ledger transaction has at least two entries.")
    transfers: list[Transfer] = []
    for code in currencies:
        debits = _sides(entries, direction="debit", code=code)
        credits = _sides(entries, direction="credit", code=code)
        if sum(amount for _, amount in debits) != sum(amount for _, amount in credits):
            raise LedgerUnbalanced
        transfers += [
            Transfer(
                debit_account=debited,
                credit_account=credited,
                amount_minor=amount,
                currency=code,
                phase=phase,
            )
            for debited, credited, amount in _without_loops(_paired(debits, credits=credits))
        ]
    return tuple(transfers)


def _sides(entries: Iterable[Entry], *, direction: Direction, code: str) -> list[tuple[str, int]]:
    return [
        (entry.account, entry.amount_minor)
        for entry in entries
        if entry.direction == direction and entry.currency == code
    ]


def _paired(
    debits: Sequence[tuple[str, int]], *, credits: Sequence[tuple[str, int]]
) -> list[tuple[str, str, int]]:
    pairs: list[tuple[str, str, int]] = []
    waiting = list(reversed(credits))
    for debited, amount in debits:
        left = amount
        while left:
            credited, available = waiting.pop()
            moved = min(left, available)
            pairs.append((debited, credited, moved))
            left -= moved
            if available > moved:
                waiting.append((credited, available - moved))
    return pairs


def _without_loops(pairs: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Where pairing in order made an account pay itself, trade credits with another pair."""
    left = list(pairs)
    while (loop := next((pair for pair in left if pair[0] == pair[1]), None)) is not None:
        account, _, amount = loop
        other = next((pair for pair in left if account not in pair[:2]), None)
        if other is None:
            raise InputInvalid(f"The entries would make {account} pay itself.")
        debited, credited, available = other
        moved = min(amount, available)
        left.remove(loop)
        left.remove(other)
        traded = [
            (account, credited, moved),
            (debited, account, moved),
            (account, account, amount - moved),
            (debited, credited, available - moved),
        ]
        left += [pair for pair in traded if pair[2]]
    return left


def entries_of(transfers: Iterable[Transfer]) -> tuple[Entry, ...]:
    """The transfers summed by (account, direction, currency), in order of first appearance."""
    sums: dict[tuple[str, Direction, str], int] = {}
    for transfer in transfers:
        sides: tuple[tuple[str, Direction], ...] = (
            (transfer.debit_account, "debit"),
            (transfer.credit_account, "credit"),
        )
        for account, direction in sides:
            key = (account, direction, transfer.currency)
            sums[key] = sums.get(key, 0) + transfer.amount_minor
    return tuple(
        Entry(account=account, direction=direction, amount_minor=amount, currency=code)
        for (account, direction, code), amount in sums.items()
    )
