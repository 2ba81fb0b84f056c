"""What became known of a payment, and when?

A label counts from `observed_at` on, never from the payment's own time. It is written beside the
names of whom the payment concerned, so that the past of each of them finds it.
"""

from __future__ import annotations

import uuid

from payengine.clock import wall_now
from payengine.fraud.memory import microseconds
from payengine.fraud.plan import ENTITIES
from payengine.plugin.fraud import Label
from payengine.storage import Session

__all__ = ["write_label"]

_NAMES = ", ".join(ENTITIES)

#: A payment that never passed here has no names, and its label is kept all the same.
_WRITE = f"""
    INSERT INTO fraud_label (tenant_id, payment_id, number, observed_at, superseded_at, is_fraud,
        source, at, recorded_at, {_NAMES})
    SELECT $1, $2, e.number, $3,
        (SELECT min(later.observed_at) FROM fraud_label later
         WHERE later.tenant_id = $1 AND later.payment_id = $2 AND later.observed_at > $3),
        $4, $5, e.at, $6, {_NAMES}
    FROM (
        SELECT number, at, {_NAMES} FROM fraud_event WHERE tenant_id = $1 AND payment_id = $2
        UNION ALL
        SELECT 1, 0, {", ".join("NULL" for _ in ENTITIES)}
        WHERE NOT EXISTS (SELECT FROM fraud_event WHERE tenant_id = $1 AND payment_id = $2)
    ) e
    ON CONFLICT (tenant_id, payment_id, number, observed_at)
    DO UPDATE SET is_fraud = excluded.is_fraud, source = excluded.source
"""

_SUPERSEDE = """
    UPDATE fraud_label SET superseded_at = $3
    WHERE tenant_id = $1 AND payment_id = $2 AND observed_at < $3
      AND (superseded_at IS NULL OR superseded_at > $3)
"""


async def write_label(session: Session, tenant_id: uuid.UUID, label: Label) -> None:
    """Keep the label; one of the same instant is replaced, an older one ends when this begins."""
    observed_at = microseconds(label.observed_at)
    await session.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{tenant_id} {label.payment_id}"
    )
    await session.execute(
        _WRITE,
        tenant_id,
        label.payment_id,
        observed_at,
        label.is_fraud,
        label.source,
        wall_now(),
    )
    await session.execute(_SUPERSEDE, tenant_id, label.payment_id, observed_at)
