"""How do balances stay quick to read?

Folding adds the transfers of transactions in `ledger_tail` to `ledger_rollup`, and to `ledger_day`
by the day of their instant, and takes them off the tail, in one statement. A transaction that
commits late simply appears in the tail late: nothing is remembered about the order of commits, so
nothing can be skipped.
"""

from __future__ import annotations

import uuid

from payengine.ledger.balances import SUMS, account_effects
from payengine.storage import Database, Session

__all__ = ["FOLD_AT_ONCE", "fold_all", "fold_tail"]

#: Transactions folded in one commit.
FOLD_AT_ONCE = 500

#: Commits for one tenant before the next tenant's turn.
_TURNS = 20

_TENANTS_AT_ONCE = 1_000

_FOLD = f"""
    WITH picked AS MATERIALIZED (
        SELECT transaction_id FROM ledger_tail
        WHERE tenant_id = $1 ORDER BY transaction_id LIMIT $2 FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM ledger_tail USING picked
        WHERE ledger_tail.tenant_id = $1
          AND ledger_tail.transaction_id = picked.transaction_id
        RETURNING ledger_tail.transaction_id
    ), effects AS MATERIALIZED (
        {account_effects("taken", more=", (t.created_at AT TIME ZONE 'UTC')::date AS day")}
    ), folded AS (
        INSERT INTO ledger_rollup AS kept (tenant_id, account, currency, {", ".join(SUMS)})
        SELECT $1::uuid, account, currency, {", ".join(f"sum({name})::bigint" for name in SUMS)}
        FROM effects
        GROUP BY account, currency ORDER BY account, currency
        ON CONFLICT (tenant_id, account, currency) DO UPDATE
        SET {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in SUMS)}
    ), dealt AS (
        INSERT INTO ledger_day AS kept (tenant_id, account, currency, day, {", ".join(SUMS)})
        SELECT $1::uuid, account, currency, day,
               {", ".join(f"sum({name})::bigint" for name in SUMS)}
        FROM effects
        GROUP BY account, currency, day ORDER BY account, currency, day
        ON CONFLICT (tenant_id, account, currency, day) DO UPDATE
        SET {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in SUMS)}
    )
    SELECT count(*) FROM taken
"""

_TENANTS = "SELECT DISTINCT tenant_id FROM ledger_tail ORDER BY tenant_id LIMIT $1"


async def fold_tail(session: Session, tenant_id: uuid.UUID, limit: int = FOLD_AT_ONCE) -> int:
    """Fold up to `limit` transactions; returns how many. Several may fold at the same time."""
    folded: int = await session.fetchval(_FOLD, tenant_id, limit)
    return folded


async def fold_all(database: Database) -> int:
    """Fold the tail of every tenant that has one; returns how many transactions were folded.

    Bounded: what a tenant has beyond 20 turns of 500 waits for the next call.
    """
    async with database.worker() as session:
        rows = await session.fetch(_TENANTS, _TENANTS_AT_ONCE)
    total = 0
    for row in rows:
        for _ in range(_TURNS):
            async with database.tenant(row["tenant_id"]) as session:
                folded = await fold_tail(session, row["tenant_id"])
            total += folded
            if folded < FOLD_AT_ONCE:
                break
    return total
