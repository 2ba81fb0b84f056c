"""What does a connected account have, in each currency?"""

from __future__ import annotations

import uuid
from datetime import datetime

from payengine.ledger import balances
from payengine.marketplace.connected_models import AccountStanding
from payengine.marketplace.postings import vendor_account
from payengine.storage import Session

__all__ = ["account_standing", "pending_minor", "still_open"]

#: Where refunds took more than is left of a day's sales, nothing of that currency is pending.
_PENDING = """
    SELECT currency, greatest(sum(amount_minor), 0)::bigint AS amount FROM account_pending
    WHERE tenant_id = $1 AND account_id = $2 AND available_at > $3
    GROUP BY currency
"""

_ESCROWED = """
    SELECT s.currency, sum(p.escrowed_minor)::bigint AS amount
    FROM payment_part p JOIN payment_split s USING (tenant_id, payment_id)
    WHERE p.tenant_id = $1 AND p.account_id = $2 AND p.escrowed_minor > 0
    GROUP BY s.currency
"""

#: What may still move an account whose balances are all nothing: the account's payouts under way,
#: payments that are divided with it and may still be captured, those of which something is not
#: shared yet, and disputes that are not decided.
_STILL_OPEN = """
    SELECT 'payout ' || id FROM payout
    WHERE tenant_id = $1 AND account_id = $2 AND ended_at IS NULL
    UNION ALL
    SELECT 'payment ' || y.id
    FROM payment_part p
    JOIN payment_split s USING (tenant_id, payment_id)
    JOIN payment y ON y.tenant_id = p.tenant_id AND y.id = p.payment_id
    WHERE p.tenant_id = $1 AND p.account_id = $2
      AND (s.due_at IS NOT NULL
           OR y.status IN ('CREATED', 'PROCESSING', 'REQUIRES_ACTION', 'IN_REVIEW', 'AUTHORIZED'))
    UNION ALL
    SELECT 'payment ' || p.payment_id
    FROM split_cursor c
    JOIN event e ON e.tenant_id = c.tenant_id AND (e.position IS NULL OR e.position > c.position)
    JOIN payment_part p ON p.tenant_id = e.tenant_id AND p.payment_id = e.payment_id
    WHERE c.tenant_id = $1 AND p.account_id = $2
      AND split_part(e.type, '.', 1) IN ('payment', 'refund', 'dispute')
    UNION ALL
    SELECT 'dispute ' || d.id
    FROM dispute d
    JOIN payment_part p ON p.tenant_id = d.tenant_id AND p.payment_id = d.payment_id
    WHERE d.tenant_id = $1 AND p.account_id = $2 AND d.status IN ('NEEDS_RESPONSE', 'UNDER_REVIEW')
    LIMIT 1
"""


async def still_open(session: Session, tenant_id: uuid.UUID, account_id: str) -> str | None:
    """The kind and id of something that may still move the account; None where nothing can."""
    found: str | None = await session.fetchval(_STILL_OPEN, tenant_id, account_id)
    return found


async def pending_minor(
    session: Session, tenant_id: uuid.UUID, account_id: str, currency: str, *, at: datetime
) -> int:
    """The minor units of its sales that are not available at the instant yet."""
    return (await _pending(session, tenant_id, account_id, at=at)).get(currency, 0)


async def _pending(
    session: Session, tenant_id: uuid.UUID, account_id: str, *, at: datetime
) -> dict[str, int]:
    rows = await session.fetch(_PENDING, tenant_id, account_id, at)
    return {row["currency"]: row["amount"] for row in rows}


async def account_standing(
    session: Session, tenant_id: uuid.UUID, account_id: str, *, at: datetime
) -> list[AccountStanding]:
    """Its balances, ordered by currency; exact at the ledger's snapshot."""
    pending = await _pending(session, tenant_id, account_id, at=at)
    payable = {
        each.currency: each.available
        for each in await balances(session, tenant_id, account=vendor_account(account_id))
    }
    reserved = {
        each.currency: each.available
        for each in await balances(session, tenant_id, account=f"reserve:{account_id}")
    }
    rows = await session.fetch(_ESCROWED, tenant_id, account_id)
    escrowed = {row["currency"]: row["amount"] for row in rows}
    return [
        AccountStanding(
            currency=currency,
            available_minor=payable.get(currency, 0) - pending.get(currency, 0),
            pending_minor=pending.get(currency, 0),
            reserved_minor=reserved.get(currency, 0),
            in_escrow_minor=escrowed.get(currency, 0),
        )
        for currency in sorted({*pending, *payable, *reserved, *escrowed})
    ]
