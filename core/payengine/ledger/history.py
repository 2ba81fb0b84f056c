"""What stood on each account at a past instant, and what moved between two?

A balance at an instant is every transfer up to and with that instant, however late it was written:
the whole days before come from `ledger_day`, the rest of the day and whatever is still in
`ledger_tail` from the transfers themselves, in one snapshot.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from payengine.errors import CursorInvalid, InputInvalid
from payengine.ledger.balances import (
    MAX_ACCOUNTS,
    SUMS,
    AccountBalance,
    account_effects,
    balance_of,
)
from payengine.ledger.transfers import Phase
from payengine.storage import Session

__all__ = [
    "LONGEST_SPAN",
    "LedgerLine",
    "TransferFilter",
    "balances_at",
    "page_of_transfers",
    "posted_lines",
]

#: How far apart the two instants of one reading of transfers may lie.
LONGEST_SPAN = timedelta(days=366)

_LAST_CHARACTER = chr(0x10FFFF)

_TAIL = "(SELECT transaction_id FROM ledger_tail WHERE tenant_id = $1)"

#: Folded, of the instant's own day and of the accounts `$4` to `$5`; `$3` is where the day begins.
_OF_THE_DAY = f"""(
    SELECT DISTINCT moved.transaction_id FROM ledger_transfer moved
    WHERE moved.tenant_id = $1 AND moved.created_at >= $3 AND moved.created_at <= $2
      AND (moved.debit_account >= $4 AND moved.debit_account <= $5
           OR moved.credit_account >= $4 AND moved.credit_account <= $5)
      AND moved.transaction_id NOT IN {_TAIL}
)"""

_AT = ", t.created_at AS at"

_STOOD = f"""
    SELECT account, currency, {", ".join(f"sum({name})::bigint AS {name}" for name in SUMS)}
    FROM (
        SELECT account, currency, {", ".join(SUMS)}, $3::timestamptz AS at
        FROM ledger_day
        WHERE tenant_id = $1 AND day < ($2::timestamptz AT TIME ZONE 'UTC')::date
          AND account >= $4 AND account <= $5
        UNION ALL {account_effects(_OF_THE_DAY, more=_AT)}
        UNION ALL {account_effects(_TAIL, more=_AT)}
    ) AS parts
    WHERE at <= $2 AND account >= $4 AND account <= $5
    GROUP BY account, currency
    HAVING {" OR ".join(f"sum({name}) <> 0" for name in SUMS)}
    ORDER BY account, currency LIMIT $6
"""

_LINE = """
    t.transaction_id, t.line, t.kind, t.phase, t.debit_account, t.credit_account, t.amount_minor,
    t.currency, t.pending_transaction_id, t.pending_line, t.payment_id, t.created_at
"""

_PAGE = f"""
    SELECT {_LINE} FROM ledger_transfer t
    WHERE t.tenant_id = $1 AND t.created_at >= $2 AND t.created_at < $3
      AND ($4::text IS NULL OR t.debit_account = $4 OR t.credit_account = $4)
      AND ($5::text IS NULL OR t.currency = $5)
      AND ($6::timestamptz IS NULL OR (t.created_at, t.transaction_id, t.line) < ($6, $7, $8))
    ORDER BY t.created_at DESC, t.transaction_id DESC, t.line DESC LIMIT $9
"""

_POSTED = f"""
    SELECT {_LINE} FROM ledger_transfer t
    WHERE t.tenant_id = $1 AND t.created_at >= $2 AND t.created_at < $3
      AND (t.debit_account = $4 OR t.credit_account = $4) AND t.currency = $5
      AND t.phase IN ('posted', 'post')
    ORDER BY t.created_at, t.transaction_id, t.line LIMIT $6
"""


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

    @property
    def cursor(self) -> str:
        """Where the line stands among all: by instant, transaction and line."""
        return f"{self.created_at.astimezone(UTC).isoformat()}|{self.transaction_id}|{self.line}"


class TransferFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which transfers: since ≤ instant < until, of one account or currency where one is named."""

    since: datetime
    until: datetime
    account: str | None = None
    currency: str | None = None


async def balances_at(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    at: datetime,
    prefix: str = "",
    account: str | None = None,
) -> list[AccountBalance]:
    """Every account that had moved by `at`, that instant included; ordered, at most 10,000."""
    instant = _aware(at)
    day = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = (prefix, prefix + _LAST_CHARACTER) if account is None else (account, account)
    rows = await session.fetch(_STOOD, tenant_id, instant, day, first, last, MAX_ACCOUNTS)
    return [balance_of(row) for row in rows]


async def page_of_transfers(
    session: Session,
    tenant_id: uuid.UUID,
    wanted: TransferFilter,
    *,
    first: int,
    after: str | None = None,
) -> list[LedgerLine]:
    """The latest first, behind the line whose cursor is `after`; one more than `first`.

    Raises `InputInvalid` for more than 366 days, and `CursorInvalid`.
    """
    _check_span(wanted)
    at, transaction_id, line = _parsed(after)
    rows = await session.fetch(
        _PAGE,
        tenant_id,
        wanted.since,
        wanted.until,
        wanted.account,
        wanted.currency,
        at,
        transaction_id,
        line,
        first + 1,
    )
    return [LedgerLine(**row) for row in rows]


async def posted_lines(
    session: Session, tenant_id: uuid.UUID, wanted: TransferFilter, *, limit: int
) -> list[LedgerLine]:
    """What was posted to or from the account, in the order of the instants; `limit` at most."""
    _check_span(wanted)
    rows: list[Any] = await session.fetch(
        _POSTED, tenant_id, wanted.since, wanted.until, wanted.account, wanted.currency, limit
    )
    return [LedgerLine(**row) for row in rows]


def _check_span(wanted: TransferFilter) -> None:
    since, until = _aware(wanted.since), _aware(wanted.until)
    if until < since:
        raise InputInvalid("The time ends before it begins.", path=("until",))
    if until - since > LONGEST_SPAN:
        raise InputInvalid("Transfers are read for at most 366 days.", path=("since",))


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InputInvalid("An instant needs its offset from UTC.")
    return at.astimezone(UTC)


def _parsed(after: str | None) -> tuple[datetime | None, str, int]:
    if after is None:
        return None, "", 0
    instant, _, rest = after.partition("|")
    transaction_id, _, line = rest.rpartition("|")
    try:
        at = datetime.fromisoformat(instant)
        number = int(line)
    except ValueError:
        raise CursorInvalid(path=("after",)) from None
    if at.tzinfo is None or not transaction_id or not 0 < number < 2**15:
        raise CursorInvalid(path=("after",))
    return at, transaction_id, number
