"""How do an invoice and a subscription come to stand otherwise because of money?

The one place that moves `invoice.status` to paid and void, and `subscription.status` and `access`
by what became of its invoices. Each statement is conditional: a move that was made before, or that
is not allowed from where the row stands, changes nothing, says nothing and answers False.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from payengine.billing.collection.entitled import tell_entitlements
from payengine.billing.dunning_words import Access, SubscriptionStanding
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.storage import Session

__all__ = [
    "invoice_event",
    "mark_paid",
    "mark_uncollectible",
    "mark_void",
    "move_access",
    "move_subscription",
    "others_open",
    "restore_access",
    "subscription_event",
]

_INVOICE = """
    id, number, customer_id, subscription_id, status, currency, total, amount_due, amount_paid,
    amount_credited, payment_id
"""

#: What was written off may still be paid, or voided.
_PAID = f"""
    UPDATE invoice SET status = 'paid', paid_at = $3, payment_id = coalesce($4, payment_id),
        amount_paid = amount_due, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status IN ('open', 'uncollectible')
    RETURNING {_INVOICE}
"""
_VOID = f"""
    UPDATE invoice SET status = 'void', version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status IN ('open', 'uncollectible')
    RETURNING {_INVOICE}
"""
_UNCOLLECTIBLE = f"""
    UPDATE invoice SET status = 'uncollectible', version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status = 'open'
    RETURNING {_INVOICE}
"""
_READ = f"SELECT {_INVOICE} FROM invoice WHERE tenant_id = $1 AND id = $2"

_OTHERS = """
    SELECT count(*) FROM invoice
    WHERE tenant_id = $1 AND subscription_id = $2 AND id <> $3 AND status = 'open'
"""

_SUBSCRIPTION = "id, customer_id, status, access, period_start, period_end"

#: From where a subscription may come to stand so. Paused ones stay so whatever their invoices do.
_FROM: dict[SubscriptionStanding, tuple[str, ...]] = {
    "incomplete": (),
    "active": ("incomplete", "past_due", "unpaid"),
    "past_due": ("trialing", "active"),
    "unpaid": ("trialing", "active", "past_due"),
    "canceled": ("incomplete", "trialing", "active", "past_due", "unpaid", "paused"),
    "incomplete_expired": ("incomplete",),
}
_ENDED = ("canceled", "incomplete_expired")

_MOVE = f"""
    UPDATE subscription SET status = $3, version = subscription.version + 1,
        due_at = CASE $3
            WHEN 'active' THEN least(subscription.period_end, change_at, notice_at)
            WHEN 'past_due' THEN least(subscription.period_end, change_at, notice_at)
            WHEN 'unpaid' THEN least(change_at, notice_at)
        END,
        canceled_at = CASE WHEN $3 = 'canceled' THEN coalesce(canceled_at, $5) ELSE canceled_at END,
        ended_at = CASE WHEN $6 THEN $5 ELSE ended_at END
    FROM (SELECT id AS old_id, status AS before FROM subscription
          WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE) AS old
    WHERE tenant_id = $1 AND id = $2 AND id = old_id AND status = ANY ($4)
    RETURNING {_SUBSCRIPTION}, before
"""
_WITHDRAW = """
    UPDATE scheduled_change SET status = 'withdrawn'
    WHERE tenant_id = $1 AND subscription_id = $2 AND status = 'waiting'
"""

_ACCESS_FROM: dict[Access, tuple[str, ...]] = {
    "withheld": (),
    "granted": ("withheld", "suspended"),
    "suspended": ("granted",),
    "ended": ("withheld", "granted", "suspended"),
}
_MOVE_ACCESS = f"""
    UPDATE subscription SET access = $3, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND access = ANY ($4)
    RETURNING {_SUBSCRIPTION}
"""

_STATUS = "SELECT status FROM subscription WHERE tenant_id = $1 AND id = $2"

_NAMES: dict[tuple[str, str], str] = {("incomplete", "active"): "subscription.activated"}
_TYPES: dict[str, str] = {
    "active": "subscription.recovered",
    "past_due": "subscription.past_due",
    "unpaid": "subscription.unpaid",
    "canceled": "subscription.canceled",
    "incomplete_expired": "subscription.expired",
}


async def mark_paid(
    session: Session,
    tenant_id: uuid.UUID,
    invoice_id: str,
    *,
    at: datetime,
    payment_id: str | None = None,
) -> bool:
    """The invoice is paid in full, by this payment if it is one; tells `invoice.paid`."""
    row = await session.fetchrow(_PAID, tenant_id, invoice_id, at, payment_id)
    if row is None:
        return False
    await insert_event(session, tenant_id, _invoice_event("invoice.paid", row, at=at))
    return True


async def mark_void(
    session: Session, tenant_id: uuid.UUID, invoice_id: str, *, at: datetime
) -> bool:
    """The invoice is owed no more; tells `invoice.voided`."""
    row = await session.fetchrow(_VOID, tenant_id, invoice_id)
    if row is None:
        return False
    await insert_event(session, tenant_id, _invoice_event("invoice.voided", row, at=at))
    return True


async def mark_uncollectible(
    session: Session, tenant_id: uuid.UUID, invoice_id: str, *, at: datetime
) -> bool:
    """Nobody hopes to be paid any more; tells `invoice.uncollectible`."""
    row = await session.fetchrow(_UNCOLLECTIBLE, tenant_id, invoice_id)
    if row is None:
        return False
    await insert_event(session, tenant_id, _invoice_event("invoice.uncollectible", row, at=at))
    return True


async def others_open(
    session: Session, tenant_id: uuid.UUID, subscription_id: str | None, invoice_id: str
) -> int:
    """How many of the subscription's other invoices are open."""
    if subscription_id is None:
        return 0
    found: int = await session.fetchval(_OTHERS, tenant_id, subscription_id, invoice_id)
    return found


async def move_subscription(
    session: Session,
    tenant_id: uuid.UUID,
    subscription_id: str,
    status: SubscriptionStanding,
    *,
    at: datetime,
    invoice_id: str | None = None,
) -> str | None:
    """The subscription stands so from now on; what it was before, or None where it did not move.

    It never comes to stand better than its worst invoice: who calls has counted the open ones. Of
    one that has ended, nothing that was scheduled happens any more.
    """
    row = await session.fetchrow(
        _MOVE,
        tenant_id,
        subscription_id,
        status,
        list(_FROM[status]),
        at,
        status in _ENDED,
    )
    if row is None:
        return None
    if status in _ENDED:
        await session.execute(_WITHDRAW, tenant_id, subscription_id)
    before: str = row["before"]
    kind = _NAMES.get((before, status), _TYPES[status])
    told = subscription_event(kind, row, at=at, before=before, invoice_id=invoice_id)
    await insert_event(session, tenant_id, told)
    await tell_entitlements(session, tenant_id, row["customer_id"], at)
    return before


async def move_access(
    session: Session, tenant_id: uuid.UUID, subscription_id: str, access: Access, *, at: datetime
) -> bool:
    """What the customer may use of the subscription is this; tells what they may use now."""
    row = await session.fetchrow(
        _MOVE_ACCESS, tenant_id, subscription_id, access, list(_ACCESS_FROM[access])
    )
    if row is None:
        return False
    event = subscription_event("subscription.access_changed", row, at=at)
    await insert_event(session, tenant_id, event)
    await tell_entitlements(session, tenant_id, row["customer_id"], at)
    return True


async def restore_access(
    session: Session, tenant_id: uuid.UUID, subscription_id: str, *, at: datetime
) -> None:
    """Give the access back that was withheld or suspended, if the subscription is active."""
    status = await session.fetchval(_STATUS, tenant_id, subscription_id)
    if status in ("trialing", "active"):
        await move_access(session, tenant_id, subscription_id, "granted", at=at)


async def invoice_event(
    session: Session,
    tenant_id: uuid.UUID,
    invoice_id: str,
    kind: str,
    *,
    at: datetime,
    **more: Any,
) -> None:
    """Tell something of an invoice as it now stands."""
    row = await session.fetchrow(_READ, tenant_id, invoice_id)
    if row is not None:
        await insert_event(session, tenant_id, _invoice_event(kind, row, at=at, **more))


def _invoice_event(kind: str, row: Mapping[str, Any], *, at: datetime, **more: Any) -> NewEvent:
    names = ("number", "status", "currency", "total", "amount_due", "amount_paid")
    return NewEvent(
        id=new_id("evt"),
        type=kind,
        payment_id=more.pop("payment_id", row["payment_id"]),
        customer_id=row["customer_id"],
        data={
            "invoice_id": row["id"],
            "subscription_id": row["subscription_id"],
            **{name: row[name] for name in names},
            **more,
        },
        occurred_at=at,
    )


def subscription_event(kind: str, row: Mapping[str, Any], *, at: datetime, **more: Any) -> NewEvent:
    """An event that carries a subscription as its row now stands."""
    return NewEvent(
        id=new_id("evt"),
        type=kind,
        customer_id=row["customer_id"],
        data={
            "subscription_id": row["id"],
            "status": row["status"],
            "access": row["access"],
            "period_start": row["period_start"].isoformat(),
            "period_end": row["period_end"].isoformat(),
            **{name: value for name, value in more.items() if value is not None},
        },
        occurred_at=at,
    )
