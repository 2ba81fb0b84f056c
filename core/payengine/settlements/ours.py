"""What do our own books say of what a provider's lines are about?

Money operations by the provider's references, disputes with their fees, payouts, and what of a
payment stands on the merchant's account. Rows in, plain records out.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from payengine.plugin import SettledKind
from payengine.storage import Session

__all__ = ["Own", "own_by_reference", "own_minor_of", "own_missing_there"]


class Own(NamedTuple):
    """One thing of ours that a provider's line may be about; minor units above zero."""

    kind: SettledKind
    reference: str
    amount_minor: int
    currency: str
    fee_minor: int
    payment_id: str | None
    operation_id: str | None
    payout_id: str | None


#: What a line of each kind may be about. An open or lost dispute was taken, a won one given back
#: too; a line that is known of already, of this kind, takes its operation out.
_OWN = """
    WITH named AS MATERIALIZED (
        SELECT o.* FROM operation o
        WHERE o.tenant_id = $1 AND o.gateway = $2 AND o.id IN (
            SELECT id FROM operation WHERE tenant_id = $1 AND provider_reference = ANY ($3)
            UNION SELECT unnest($3::text[]))
    ), own AS (
        SELECT CASE o.kind WHEN 'refund' THEN 'refund' ELSE 'capture' END AS kind, o.id,
               o.payment_id, o.provider_reference, o.amount_minor, o.currency, o.fee_minor
        FROM named o
        WHERE o.status = 'succeeded'
          AND (o.kind IN ('capture', 'refund') OR (o.kind = 'authorize' AND o.capture))
        UNION ALL
        SELECT side.kind, o.id, o.payment_id, o.provider_reference, o.amount_minor, o.currency,
               CASE side.kind WHEN 'dispute' THEN d.fee_minor ELSE 0 END
        FROM named o
        JOIN dispute d ON d.tenant_id = $1 AND d.id = o.id
        CROSS JOIN (VALUES ('dispute'), ('dispute_reversal')) AS side (kind)
        WHERE o.kind = 'dispute' AND (side.kind = 'dispute' OR d.status = 'WON')
    )
    SELECT own.kind, own.amount_minor,
           CASE WHEN own.provider_reference = ANY ($3) THEN own.provider_reference ELSE own.id END
               AS reference,
           own.currency,
           own.fee_minor, own.payment_id, own.id AS operation_id, NULL::text AS payout_id
    FROM own
    WHERE NOT EXISTS (
        SELECT FROM settlement_line l
        WHERE l.tenant_id = $1 AND l.operation_id = own.id AND l.kind = own.kind)
    ORDER BY own.id
"""

_PAID_OUT = """
    SELECT side.kind, p.provider_reference AS reference, p.amount_minor, p.currency,
           0::bigint AS fee_minor, NULL::text AS payment_id, NULL::text AS operation_id,
           p.id AS payout_id
    FROM payout p
    CROSS JOIN (VALUES ('payout'), ('transfer')) AS side (kind)
    WHERE p.tenant_id = $1 AND p.provider_reference = ANY ($2)
      AND p.status NOT IN ('pending', 'held', 'canceled')
      AND NOT EXISTS (
        SELECT FROM settlement_line l
        WHERE l.tenant_id = $1 AND l.payout_id = p.id AND l.kind IN ('payout', 'transfer'))
    ORDER BY p.id
"""

#: Done in that time, and in no line that was ever read; each is told of once.
_MISSING = """
    SELECT CASE o.kind WHEN 'refund' THEN 'refund' ELSE 'capture' END AS kind,
           coalesce(o.provider_reference, o.id) AS reference, o.amount_minor, o.currency,
           o.fee_minor, o.payment_id, o.id AS operation_id, NULL::text AS payout_id
    FROM operation o
    WHERE o.tenant_id = $1 AND o.gateway = $2 AND o.status = 'succeeded'
      AND (o.kind IN ('capture', 'refund') OR (o.kind = 'authorize' AND o.capture))
      AND o.updated_at >= $3 AND o.updated_at < $4
      AND NOT EXISTS (
        SELECT FROM settlement_line l
        WHERE l.tenant_id = $1 AND l.operation_id = o.id AND l.kind IN ('capture', 'refund'))
      AND NOT EXISTS (
        SELECT FROM settlement_item i
        WHERE i.tenant_id = $1 AND i.operation_id = o.id AND i.finding = 'missing_there')
    ORDER BY o.id LIMIT $5
"""

#: Refunds and disputes take from the account what the buyer gets back: they are settled apart.
_ON_ACCOUNT = """
    SELECT coalesce(sum(CASE WHEN credit_account = $3 THEN amount_minor ELSE -amount_minor END),
                    0)::bigint
    FROM ledger_transfer
    WHERE tenant_id = $1 AND payment_id = $2 AND currency = $4
      AND (debit_account = $3 OR credit_account = $3) AND phase IN ('posted', 'post')
      AND NOT starts_with(kind, 'refund.') AND NOT starts_with(kind, 'dispute.')
      AND NOT starts_with(kind, 'fx.')
"""


async def own_by_reference(
    session: Session, tenant_id: uuid.UUID, *, gateway: str, references: Sequence[str]
) -> list[Own]:
    """What of ours these names name, ours or the provider's, and that is in no line yet."""
    rows = await session.fetch(_OWN, tenant_id, gateway, list(references))
    rows += await session.fetch(_PAID_OUT, tenant_id, list(references))
    return [Own(**row) for row in rows]


async def own_missing_there(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    gateway: str,
    since: datetime,
    until: datetime,
    limit: int,
) -> list[Own]:
    """What we did in this time and the provider told nothing of."""
    rows = await session.fetch(_MISSING, tenant_id, gateway, since, until, limit)
    return [Own(**row) for row in rows]


async def own_minor_of(
    session: Session, tenant_id: uuid.UUID, *, payment_id: str, account: str, currency: str
) -> int:
    """How much of what a payment brought stands on the account, refunds apart."""
    minor: int = await session.fetchval(_ON_ACCOUNT, tenant_id, payment_id, account, currency)
    return minor
