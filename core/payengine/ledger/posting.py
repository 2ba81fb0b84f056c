"""How are transfers written, once and for ever?

A posting's transaction id is its identity: writing it again changes nothing, writing another body
under it is refused. With each new transaction goes a row in `ledger_tail`, in the same commit: it
says that the transaction is not yet part of `ledger_rollup`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from payengine.errors import (
    CaptureExceedsAuthorized,
    HoldAlreadyResolved,
    LedgerTransactionConflict,
    NotFound,
    PayengineError,
)
from payengine.ledger.transfers import HoldLine, Posting, Transfer, check_posting
from payengine.storage import Session

__all__ = [
    "PARAMETERS",
    "PostResult",
    "TransferRow",
    "insert_transfers_from",
    "ledger_error",
    "open_holds",
    "post",
    "transfer_arrays",
    "transfer_rows",
]

PostResult = Literal["posted", "exists"]

_COLUMNS = (
    ("transaction_id", "text"),
    ("line", "smallint"),
    ("phase", "text"),
    ("kind", "text"),
    ("debit_account", "text"),
    ("credit_account", "text"),
    ("amount_minor", "bigint"),
    ("currency", "text"),
    ("pending_transaction_id", "text"),
    ("pending_line", "smallint"),
    ("payment_id", "text"),
)
_NAMED = tuple(name for name, _ in _COLUMNS)
_NAMES = ", ".join(_NAMED)

#: How many arguments `transfer_arrays` makes.
PARAMETERS = len(_COLUMNS) + 1

_ONE_PAYMENT_AT_MOST = 1_000


def _given(first: int) -> str:
    arrays = ", ".join(f"${first + i}::{kind}[]" for i, (_, kind) in enumerate(_COLUMNS))
    return f"unnest({arrays}) AS given ({_NAMES})"


def insert_transfers_from(*, source: str, first: int) -> str:
    """Common table expressions that write postings inside a larger statement.

    The text begins with a comma, to follow another expression of the same WITH. `$1` is the tenant;
    the arguments of `transfer_arrays` are bound from `$first` on. Nothing is written where the
    expression named `source` has no row. A transaction id that exists fails the whole statement:
    give the error to `ledger_error`.
    """
    return f""", ledger_lines AS (
        INSERT INTO ledger_transfer (tenant_id, {_NAMES}, created_at)
        SELECT $1::uuid, given.*, ${first + len(_COLUMNS)}::timestamptz
        FROM {_given(first)}
        WHERE EXISTS (SELECT FROM {source})
        RETURNING transaction_id, line
    ), ledger_unfolded AS (
        INSERT INTO ledger_tail (tenant_id, transaction_id)
        SELECT $1::uuid, transaction_id FROM ledger_lines WHERE line = 1
    )"""


#: The first line decides who wins a race for a transaction id; the loser writes nothing at all.
_POST = f"""
    WITH given AS MATERIALIZED (SELECT * FROM {_given(2)}), first_lines AS (
        INSERT INTO ledger_transfer (tenant_id, {_NAMES}, created_at)
        SELECT $1::uuid, given.*, ${2 + len(_COLUMNS)}::timestamptz
        FROM given WHERE line = 1 ORDER BY transaction_id
        ON CONFLICT (tenant_id, transaction_id, line) DO NOTHING
        RETURNING transaction_id
    ), other_lines AS (
        INSERT INTO ledger_transfer (tenant_id, {_NAMES}, created_at)
        SELECT $1::uuid, given.*, ${2 + len(_COLUMNS)}::timestamptz
        FROM given
        WHERE line > 1 AND transaction_id IN (SELECT transaction_id FROM first_lines)
    ), unfolded AS (
        INSERT INTO ledger_tail (tenant_id, transaction_id)
        SELECT $1::uuid, transaction_id FROM first_lines
    )
    SELECT transaction_id FROM first_lines
"""

_STORED = f"""
    SELECT {_NAMES} FROM ledger_transfer
    WHERE tenant_id = $1 AND transaction_id = ANY ($2::text[])
    ORDER BY transaction_id, line
"""

_OPEN_HOLDS = """
    SELECT t.transaction_id, t.line, t.debit_account, t.credit_account, t.amount_minor, t.currency
    FROM ledger_transfer t
    WHERE t.tenant_id = $1 AND t.payment_id = $2 AND t.phase = 'pending'
      AND NOT EXISTS (
        SELECT FROM ledger_transfer r
        WHERE r.tenant_id = $1 AND r.pending_transaction_id = t.transaction_id
          AND r.pending_line = t.line)
    ORDER BY t.created_at, t.transaction_id, t.line
    LIMIT $3
"""


class TransferRow(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as its row, but for the tenant."""

    transaction_id: str
    line: int
    phase: str
    kind: str
    debit_account: str
    credit_account: str
    amount_minor: int
    currency: str
    pending_transaction_id: str | None
    pending_line: int | None
    payment_id: str | None
    created_at: datetime


def transfer_rows(postings: Sequence[Posting], *, at: datetime) -> list[TransferRow]:
    """The rows of `postings`; raises what `check_posting` raises."""
    rows = []
    for posting in postings:
        check_posting(posting)
        for line, transfer in enumerate(posting.transfers, start=1):
            values = zip(_NAMED, _row(posting, transfer, line=line), strict=True)
            rows.append(TransferRow(**dict(values), created_at=at))
    return rows


def transfer_arrays(postings: Sequence[Posting], *, at: datetime) -> tuple[Any, ...]:
    """The arguments for `insert_transfers_from`: one array for each column, and the instant.

    Raises what `check_posting` raises.
    """
    rows = []
    for posting in postings:
        check_posting(posting)
        rows += [
            _row(posting, transfer, line=line)
            for line, transfer in enumerate(posting.transfers, start=1)
        ]
    if not rows:
        return (*([] for _ in _COLUMNS), at)
    return (*(list(column) for column in zip(*rows, strict=True)), at)


def _row(posting: Posting, transfer: Transfer, *, line: int) -> tuple[Any, ...]:
    pending_id, pending_line = transfer.pending or (None, None)
    return (
        posting.transaction_id,
        line,
        transfer.phase,
        posting.kind,
        transfer.debit_account,
        transfer.credit_account,
        transfer.amount_minor,
        transfer.currency,
        pending_id,
        pending_line,
        posting.payment_id,
    )


async def post(
    session: Session, tenant_id: uuid.UUID, postings: Sequence[Posting], *, at: datetime
) -> tuple[PostResult, ...]:
    """Write the postings that are not there yet; says for each whether it was.

    Raises `LedgerTransactionConflict` where an id exists with other transfers,
    `HoldAlreadyResolved`, `CaptureExceedsAuthorized`, `NotFound` for a pending transfer that does
    not exist, and what `check_posting` raises. After an error the transaction must be left.
    """
    given: dict[str, Posting] = {}
    for posting in postings:
        if given.setdefault(posting.transaction_id, posting) != posting:
            raise LedgerTransactionConflict
    try:
        rows = await session.fetch(_POST, tenant_id, *transfer_arrays(list(given.values()), at=at))
    except asyncpg.IntegrityConstraintViolationError as violation:
        raise ledger_error(violation) from None
    written = {row["transaction_id"] for row in rows}
    standing = [each for each in given.values() if each.transaction_id not in written]
    if standing:
        await _require_same(session, tenant_id, standing)
    return tuple("posted" if each.transaction_id in written else "exists" for each in postings)


async def _require_same(
    session: Session, tenant_id: uuid.UUID, postings: Sequence[Posting]
) -> None:
    ids = [posting.transaction_id for posting in postings]
    stored: dict[str, list[tuple[Any, ...]]] = {}
    for row in await session.fetch(_STORED, tenant_id, ids):
        stored.setdefault(row["transaction_id"], []).append(tuple(row.values()))
    for posting in postings:
        body = [_row(posting, each, line=line) for line, each in enumerate(posting.transfers, 1)]
        if stored.get(posting.transaction_id) != body:
            raise LedgerTransactionConflict


def ledger_error(violation: asyncpg.IntegrityConstraintViolationError) -> PayengineError:
    """The engine's error for a constraint of the ledger's tables that was violated."""
    constraint = str(violation.as_dict().get("constraint_name", ""))
    if constraint == "ledger_transfer_resolves_once":
        return HoldAlreadyResolved()
    if constraint == "ledger_transfer_fits_pending":
        return CaptureExceedsAuthorized()
    if constraint in ("ledger_transfer_pkey", "ledger_tail_pkey"):
        return LedgerTransactionConflict()
    if constraint.startswith("ledger_transfer_") and constraint.endswith("fkey"):
        return NotFound("There is no such pending transfer.")
    return PayengineError(f"The ledger refused the posting: {constraint or 'no constraint named'}.")


async def open_holds(session: Session, tenant_id: uuid.UUID, payment_id: str) -> list[HoldLine]:
    """The payment's pending transfers that nothing has ended yet, oldest first."""
    rows = await session.fetch(_OPEN_HOLDS, tenant_id, payment_id, _ONE_PAYMENT_AT_MOST)
    return [HoldLine(**row) for row in rows]
