"""What does the customer have with the shop, and why?

A balance is the sum of its entries. Above zero it is the customer's money; below zero it was too
little to charge and waits.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import asyncpg
import msgspec

from payengine.errors import AmountTooLarge
from payengine.ids import new_id
from payengine.storage import Session

__all__ = ["BalanceChange", "BalanceEntry", "change_balances"]

#: In the order of the keys, as all lock them.
_CHANGE = """
    INSERT INTO customer_balance AS present (tenant_id, customer_id, currency, balance)
    SELECT $1, customer_id, currency, amount
    FROM unnest($2::text[], $3::text[], $4::bigint[]) AS change (customer_id, currency, amount)
    ORDER BY customer_id COLLATE "C", currency COLLATE "C"
    ON CONFLICT (tenant_id, customer_id, currency)
    DO UPDATE SET balance = present.balance + excluded.balance
"""
_EXPLAIN = """
    INSERT INTO customer_balance_entry
        (tenant_id, id, customer_id, currency, amount, reason, invoice_id, created_at)
    SELECT $1, id, customer_id, currency, amount, reason, invoice_id, $2
    FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[])
        AS change (id, customer_id, currency, amount, reason, invoice_id)
"""


class BalanceChange(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units to add; below zero they are taken away."""

    customer_id: str
    currency: str
    amount: int
    reason: str
    invoice_id: str | None = None


class BalanceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a balance, as it is kept."""

    id: str
    customer_id: str
    currency: str
    amount: int
    reason: str
    invoice_id: str | None
    created_at: datetime


async def change_balances(
    session: Session, tenant_id: uuid.UUID, at: datetime, changes: Iterable[BalanceChange]
) -> None:
    """Add up the changes, and keep an entry for each; those over nothing leave none.

    Raises `AmountTooLarge` for a balance beyond 64 bits.
    """
    kept = [each for each in changes if each.amount]
    if not kept:
        return
    sums: Counter[tuple[str, str]] = Counter()
    for each in kept:
        sums[each.customer_id, each.currency] += each.amount
    try:
        await session.execute(
            _CHANGE,
            tenant_id,
            [customer for customer, _ in sums],
            [currency for _, currency in sums],
            list(sums.values()),
        )
    except asyncpg.NumericValueOutOfRangeError:
        raise AmountTooLarge("The balance does not fit into 64 bits.") from None
    await session.execute(
        _EXPLAIN,
        tenant_id,
        at,
        [new_id("cbe") for _ in kept],
        [each.customer_id for each in kept],
        [each.currency for each in kept],
        [each.amount for each in kept],
        [each.reason for each in kept],
        [each.invoice_id for each in kept],
    )
