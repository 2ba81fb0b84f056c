"""Has everybody got what is theirs, and stands what is kept or on its way where it is said to?

Whatever moved of a divided payment is shared among its owners to the last minor unit, and what is
held in escrow, kept in reserve or being paid out stands on the ledger as the rows say.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from payengine.ledger.balances import STANDING
from payengine.storage import Session

__all__ = ["misplaced", "unshared"]

_UNSHARED = """
    SELECT o.id, o.kind, o.amount_minor, shared.minor
    FROM payment_split s
    JOIN operation o ON o.tenant_id = s.tenant_id AND o.payment_id = s.payment_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN phase IN ('captured', 'refunded') THEN amount_minor
                                 WHEN phase = 'refund_failed' THEN -amount_minor
                                 ELSE 0 END), 0)::bigint AS minor
        FROM split_step t WHERE t.tenant_id = $1 AND t.operation_id = o.id
    ) AS shared
    WHERE s.tenant_id = $1 AND o.status = 'succeeded' AND o.currency = s.currency
      AND (o.kind IN ('capture', 'refund') OR (o.kind = 'authorize' AND o.capture))
      AND o.updated_at < $2 AND shared.minor <> o.amount_minor
    LIMIT 100
"""

#: What was shared of a step, and what the ledger moved for it.
_UNPOSTED = """
    SELECT t.operation_id AS id, t.phase,
           (SELECT coalesce(sum(abs((m ->> 3)::bigint)), 0)::bigint
            FROM jsonb_array_elements(t.moved) AS m) AS minor,
           (SELECT coalesce(sum(l.amount_minor), 0)::bigint FROM ledger_transfer l
            WHERE l.tenant_id = $1 AND l.phase = 'posted' AND l.transaction_id =
                  t.operation_id || ':split:' || t.phase || ':' || t.round) AS booked
    FROM split_step t WHERE t.tenant_id = $1
"""

_MISPLACED = f"""
    WITH said AS (
        SELECT 'payouts_in_transit:' || account_id AS account, currency,
               sum(amount_minor)::bigint AS minor
        FROM payout
        WHERE tenant_id = $1
          AND status IN ('pending', 'held', 'sending', 'unknown', 'in_transit')
        GROUP BY 1, 2
        UNION ALL
        SELECT 'reserve:' || account_id, currency, sum(amount_minor)::bigint FROM reserve_hold
        WHERE tenant_id = $1 AND released_at IS NULL GROUP BY 1, 2
        UNION ALL
        SELECT 'escrow:' || s.escrow_id, s.currency, sum(p.escrowed_minor)::bigint
        FROM payment_split s JOIN payment_part p USING (tenant_id, payment_id)
        WHERE s.tenant_id = $1 AND s.escrow_id IS NOT NULL GROUP BY 1, 2
    ), stands AS (
        SELECT account, currency, credits_posted - debits_posted AS minor
        FROM ({STANDING}) AS standing
        WHERE split_part(account, ':', 1) IN ('payouts_in_transit', 'reserve', 'escrow')
    )
    SELECT account, currency, coalesce(said.minor, 0) AS said, coalesce(stands.minor, 0) AS stands
    FROM said FULL JOIN stands USING (account, currency)
    WHERE coalesce(said.minor, 0) <> coalesce(stands.minor, 0)
    LIMIT 100
"""


async def unshared(
    session: Session, tenant_id: uuid.UUID, *, before: datetime
) -> list[tuple[str, str]]:
    """(operation, sentence) of what moved before the instant and is not its owners' yet."""
    rows = await session.fetch(_UNSHARED, tenant_id, before)
    booked = await session.fetch(
        f"SELECT * FROM ({_UNPOSTED}) AS steps WHERE minor <> booked LIMIT 100", tenant_id
    )
    found = [
        (row["id"], f"its {row['kind']} of {row['amount_minor']} is shared to {row['minor']}")
        for row in rows
    ]
    return found + [
        (row["id"], f"{row['phase']} moved {row['minor']}, and the ledger {row['booked']}")
        for row in booked
    ]


async def misplaced(session: Session, tenant_id: uuid.UUID) -> list[tuple[str, str]]:
    """(ledger account, sentence) of what is held, kept or on its way and stands otherwise."""
    rows = await session.fetch(_MISPLACED, tenant_id)
    return [
        (
            row["account"],
            f"the rows say {row['said']} {row['currency']}, the ledger {row['stands']}",
        )
        for row in rows
    ]
