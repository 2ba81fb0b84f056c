"""When can only a person tell what became of an operation?

Nothing is guessed and nothing fails because time ran out: the operation stays as it is, the payment
is flagged, and the reason is kept as a row and told with the event. A webhook may still end it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from payengine.context import TenantContext
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.payments import store
from payengine.payments.models import Evidence, Operation
from payengine.payments.settle import event_of
from payengine.plugin import Manifest
from payengine.storage import Session

__all__ = ["Hopeless", "cannot_be_known", "give_up", "takes_too_long"]

#: Why a person must look: its final state was not told in the time that its provider takes; nobody
#: told its outcome for a week; its provider offers no look-up and knows its key no more; its
#: provider knows its key no more and does not vouch for what it does not find.
Hopeless = Literal["pending_too_long", "never_answered", "nobody_to_ask", "key_window_closed"]

_NEVER_ANSWERED = timedelta(days=7)

_STOP = """
    UPDATE operation SET due_at = NULL, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING payment_id
"""

_FLAG = f"""
    UPDATE payment SET needs_review = true, version = version + 1, updated_at = $3
    WHERE tenant_id = $1 AND id = $2 AND NOT needs_review
    RETURNING {store.PAYMENT.listed}
"""

_KEEP = f"""
    INSERT INTO evidence (tenant_id, {store.EVIDENCE.listed})
    VALUES ($1, {store.EVIDENCE.parameters(2)})
"""


def takes_too_long(
    operation: Operation, manifest: Manifest | None, *, age: timedelta, may_resend: bool
) -> Hopeless | None:
    """Why waiting on is no use, `age` after the operation was sent first; None while it may be.

    `may_resend`: the provider still knows its key. Without a manifest the gateway was uninstalled.
    """
    if operation.status in ("pending", "requires_action") and manifest is not None:
        is_late = age > timedelta(seconds=manifest.pending_for_s)
        return "pending_too_long" if is_late else None
    if age > _NEVER_ANSWERED:
        return "never_answered"
    is_open = operation.status in ("sending", "unknown")
    if is_open and manifest is not None and not manifest.lookup and not may_resend:
        return "nobody_to_ask"
    return None


def cannot_be_known(manifest: Manifest, *, age: timedelta) -> bool:
    """Whether a look-up that finds nothing will neither be proof one day nor be followed by more.

    So it is where the key is forgotten, and "not found" proves something only after the time in
    which we ask.
    """
    consistent = timedelta(milliseconds=manifest.lookup_consistent_after_ms)
    return consistent > _NEVER_ANSWERED and age > timedelta(seconds=manifest.key_window_s)


async def give_up(
    session: Session,
    context: TenantContext,
    operation: Operation,
    reason: Hopeless,
    *,
    at: datetime,
) -> None:
    """Leave the operation to a person, unless it has moved on; `at` is business time."""
    payment = await store.payment_row(session, context.tenant_id, operation.payment_id, lock=True)
    stopped = await session.fetchval(_STOP, context.tenant_id, operation.id, operation.version)
    if payment is None or stopped is None:
        return
    kept = Evidence(
        id=new_id("evd"),
        payment_id=operation.payment_id,
        operation_id=operation.id,
        source="engine",
        finding=operation.status,
        data={"reason": reason, "outcome": None, "mismatch": False},
        created_at=at,
    )
    await session.execute(_KEEP, context.tenant_id, *store.EVIDENCE.values(kept))
    row = await session.fetchrow(_FLAG, context.tenant_id, payment.id, at)
    if row is None:
        return  # it waits for a person already
    event = event_of("payment.needs_review", store.PAYMENT.read(row), operation, at=at)
    event.data["reason"] = reason
    await insert_event(session, context.tenant_id, event)
