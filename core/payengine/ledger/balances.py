"""What stands on each account?

A balance is `ledger_rollup` plus the transfers whose transaction is still in `ledger_tail`. A row
of the tail appears in the commit that writes its transfers and goes in the commit that adds them to
the rollup, so every snapshot counts every transfer exactly once, however late it was committed.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from payengine.ledger.chart import AccountType, account_type
from payengine.storage import Session

__all__ = [
    "MAX_ACCOUNTS",
    "STANDING",
    "SUMS",
    "AccountBalance",
    "TrialBalance",
    "account_effects",
    "balance_of",
    "balances",
    "trial_balance",
]

#: The most accounts that one reading returns.
MAX_ACCOUNTS = 10_000

#: The four sums of an account, as columns.
SUMS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")

_POSTED = "CASE WHEN t.phase IN ('posted', 'post') THEN t.amount_minor ELSE 0 END"
_PENDING = (
    "CASE t.phase WHEN 'pending' THEN t.amount_minor WHEN 'posted' THEN 0 ELSE -p.amount_minor END"
)


def account_effects(transactions: str, *, more: str = "") -> str:
    """What each transfer of the named relation's transactions does to its two accounts.

    The relation has a column `transaction_id`; `$1` is the tenant. A `post` or `void` also takes
    away what its pending transfer had reserved. `more` are further columns of the transfer `t`.
    """
    return f"""
        SELECT side.account, t.currency, {", ".join(f"side.{name}" for name in SUMS)}{more}
        FROM {transactions} chosen
        JOIN ledger_transfer t
            ON t.tenant_id = $1 AND t.transaction_id = chosen.transaction_id
        LEFT JOIN ledger_transfer p
            ON p.tenant_id = $1 AND p.transaction_id = t.pending_transaction_id
            AND p.line = t.pending_line
        CROSS JOIN LATERAL (VALUES
            (t.debit_account, {_POSTED}, 0, {_PENDING}, 0),
            (t.credit_account, 0, {_POSTED}, 0, {_PENDING})
        ) AS side (account, {", ".join(SUMS)})
    """


_TAIL = "(SELECT transaction_id FROM ledger_tail WHERE tenant_id = $1)"

#: One row for each account and currency, in one snapshot; `$1` is the tenant.
STANDING = f"""
    SELECT account, currency, {", ".join(f"sum({name})::bigint AS {name}" for name in SUMS)}
    FROM (
        SELECT account, currency, {", ".join(SUMS)} FROM ledger_rollup WHERE tenant_id = $1
        UNION ALL {account_effects(_TAIL)}
    ) AS parts
    GROUP BY account, currency
"""

_BALANCES = f"""
    SELECT * FROM ({STANDING}) AS standing
    WHERE account >= $2 AND account <= $3
      AND ({" OR ".join(f"{name} <> 0" for name in SUMS)})
    ORDER BY account, currency LIMIT $4
"""

_TRIAL = f"""
    SELECT currency, sum(debits_posted)::bigint AS debits, sum(credits_posted)::bigint AS credits
    FROM ({STANDING}) AS standing
    GROUP BY currency HAVING sum(debits_posted) <> 0 OR sum(credits_posted) <> 0
    ORDER BY currency
"""

_LAST_CHARACTER = chr(0x10FFFF)


class AccountBalance(msgspec.Struct, frozen=True, kw_only=True):
    """One account in one currency, in minor units; `balance` is the normal one of posted sums.

    Debits less credits for an asset or an expense, credits less debits for the others.
    """

    account: str
    currency: str
    type: AccountType
    posted_debits: int
    posted_credits: int
    pending_debits: int
    pending_credits: int
    balance: int

    @property
    def available(self) -> int:
        """Of a liability: what may leave; pending debits count at once, pending credits never."""
        return self.posted_credits - self.posted_debits - self.pending_debits


class TrialBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Everything ever posted in one currency: both sums are equal, or the ledger is broken."""

    currency: str
    debits: int
    credits: int


async def balances(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    prefix: str = "",
    account: str | None = None,
) -> list[AccountBalance]:
    """Every account that moved, or those that begin with `prefix`, or one `account`.

    Ordered by account and currency, at most `MAX_ACCOUNTS`. Exact at the statement's snapshot.
    """
    first, last = (prefix, prefix + _LAST_CHARACTER) if account is None else (account, account)
    rows = await session.fetch(_BALANCES, tenant_id, first, last, MAX_ACCOUNTS)
    return [balance_of(row) for row in rows]


def balance_of(row: Any) -> AccountBalance:
    """The balance that a row of sums spells."""
    kind = account_type(row["account"])
    net = row["debits_posted"] - row["credits_posted"]
    return AccountBalance(
        account=row["account"],
        currency=row["currency"],
        type=kind,
        posted_debits=row["debits_posted"],
        posted_credits=row["credits_posted"],
        pending_debits=row["debits_pending"],
        pending_credits=row["credits_pending"],
        balance=net if kind in ("asset", "expense") else -net,
    )


async def trial_balance(session: Session, tenant_id: uuid.UUID) -> list[TrialBalance]:
    """The gross posted sums of each currency that moved."""
    rows = await session.fetch(_TRIAL, tenant_id)
    return [TrialBalance(**row) for row in rows]
