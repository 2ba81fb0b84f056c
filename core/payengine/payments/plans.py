"""May this be asked of the payment now?

Pure: each function answers with what to reserve or raises the typed error that says why not. The
database guards the same rules once more when the reservation is written. `at` is business time, by
which holds expire; `wall` is the wall's, by which leases do (None: no lease is over).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from payengine.errors import (
    AuthorizationExceeded,
    CaptureExceedsAuthorized,
    HoldExpired,
    InputInvalid,
    OperationInFlight,
    RefundExceedsCaptured,
    TransitionRefused,
)
from payengine.money import MAX_MINOR
from payengine.payments.models import Operation, OperationKind, Payment
from payengine.plugin import Manifest

__all__ = ["Plan", "plan_capture", "plan_increment", "plan_refund", "plan_void", "settled_hold"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One operation to come: what it moves, what it lets go of and what it refers to."""

    kind: OperationKind
    amount_minor: int
    released_minor: int
    final: bool
    attempt_id: str
    gateway: str
    provider_reference: str


def settled_hold(operations: Sequence[Operation]) -> Operation | None:
    """The authorization that succeeded last, or None."""
    return next(
        (o for o in reversed(operations) if o.kind == "authorize" and o.status == "succeeded"),
        None,
    )


def _plan(
    hold: Operation,
    kind: OperationKind,
    *,
    amount_minor: int,
    released_minor: int = 0,
    final: bool = False,
) -> Plan:
    return Plan(
        kind=kind,
        amount_minor=amount_minor,
        released_minor=released_minor,
        final=final,
        attempt_id=hold.attempt_id,
        gateway=hold.gateway,
        provider_reference=hold.provider_reference or "",
    )


def _in_flight(operations: Sequence[Operation], *kinds: OperationKind) -> bool:
    awaited = ("created", "sending", "unknown", "pending")
    return any(o.kind in kinds and o.status in awaited for o in operations)


def _require_known(
    payment: Payment, operations: Sequence[Operation], *, wall: datetime | None
) -> None:
    """Nothing new may begin before what nobody answered for has been repaired.

    That is an operation whose outcome is unknown, that is being sent for longer than its lease at
    the wall's instant `wall`, or that waits for a person.
    """
    for each in operations:
        overdue = wall is not None and each.due_at is not None and each.due_at <= wall
        if each.status == "unknown" or (each.status in ("created", "sending") and overdue):
            raise OperationInFlight
        is_left = each.status in ("pending", "requires_action") and each.due_at is None
        if is_left and payment.needs_review and each.kind != "dispute":
            raise OperationInFlight("An earlier operation waits for a person to settle it.")


def _require_hold(payment: Payment, operations: Sequence[Operation], *, at: datetime) -> Operation:
    if payment.status == "PROCESSING":
        raise OperationInFlight("The authorization has no known outcome yet; nothing may follow.")
    hold = settled_hold(operations)
    if payment.status == "EXPIRED" or (
        payment.hold_expires_at is not None and payment.hold_expires_at <= at
    ):
        raise HoldExpired
    if hold is None or payment.status not in ("AUTHORIZED", "CAPTURED", "IN_REVIEW"):
        raise TransitionRefused(f"A payment that is {payment.status} holds nothing.")
    return hold


def plan_capture(
    payment: Payment,
    operations: Sequence[Operation],
    manifest: Manifest,
    *,
    amount_minor: int | None,
    final: bool,
    at: datetime,
    wall: datetime | None = None,
) -> Plan:
    """Capture `amount_minor` (None: all that is held); raises typed errors."""
    _require_known(payment, operations, wall=wall)
    if payment.status == "IN_REVIEW":
        raise TransitionRefused("The payment is in review; nothing is captured before it ends.")
    hold = _require_hold(payment, operations, at=at)
    left = payment.capturable_minor
    amount = left if amount_minor is None else amount_minor
    if left == 0:
        raise TransitionRefused("Nothing is held any more: it was captured, voided or reserved.")
    if _in_flight(operations, "increment"):
        raise OperationInFlight("The authorization is being raised; capture when that is known.")
    if amount > left:
        raise CaptureExceedsAuthorized(
            f"{amount} exceeds the {left} minor units that may still be captured.",
            path=("amountMinor",),
        )
    if not manifest.multiple_captures:
        if payment.captured_minor > 0 or payment.capture_reserved_minor > 0:
            raise TransitionRefused("This gateway captures a payment once only.")
        if not final:
            raise InputInvalid("This gateway captures once: final must be true.", path=("final",))
    if _in_flight(operations, "capture"):
        # A final capture would release at the gateway what the other one is about to take.
        if final and amount < left:
            raise OperationInFlight("Another capture has no known outcome yet; release later.")
        return _plan(hold, "capture", amount_minor=amount)
    released = left - amount if final else 0
    return _plan(
        hold, "capture", amount_minor=amount, released_minor=released, final=final or amount == left
    )


def plan_void(
    payment: Payment,
    operations: Sequence[Operation],
    *,
    at: datetime,
    wall: datetime | None = None,
) -> Plan | None:
    """Release all that is held, or cancel what waits for the buyer; None: nothing to send."""
    _require_known(payment, operations, wall=wall)
    if _in_flight(operations, "void", "capture", "increment"):
        raise OperationInFlight
    if payment.status in ("CREATED", "DECLINED"):
        return None
    waiting = next((o for o in reversed(operations) if o.kind == "authorize"), None)
    if payment.status == "REQUIRES_ACTION" and waiting is not None:
        return _plan(waiting, "void", amount_minor=payment.amount_minor)
    hold = _require_hold(payment, operations, at=at)
    left = payment.capturable_minor
    if left == 0:
        raise TransitionRefused("Nothing is held any more; to give money back, refund it.")
    return _plan(hold, "void", amount_minor=left, released_minor=left, final=True)


def plan_refund(
    payment: Payment,
    operations: Sequence[Operation],
    *,
    amount_minor: int | None,
    wall: datetime | None = None,
) -> Plan:
    """Refund `amount_minor` (None: all that is left); raises typed errors."""
    _require_known(payment, operations, wall=wall)
    hold = settled_hold(operations)
    if hold is None or payment.captured_minor == 0:
        raise TransitionRefused(f"Nothing was captured: the payment is {payment.status}.")
    left = payment.refundable_minor
    amount = left if amount_minor is None else amount_minor
    if amount > left or left == 0:
        raise RefundExceedsCaptured(
            f"{amount_minor if amount_minor is not None else 'All'} exceeds the {left} minor units "
            "that may still be refunded.",
            path=("amountMinor",),
        )
    return _plan(hold, "refund", amount_minor=amount)


def plan_increment(
    payment: Payment,
    operations: Sequence[Operation],
    manifest: Manifest,
    *,
    amount_minor: int,
    at: datetime,
    wall: datetime | None = None,
) -> Plan:
    """Raise the hold by `amount_minor`; raises typed errors."""
    if "increment" not in manifest.operations:
        raise TransitionRefused("This gateway cannot raise an authorization.")
    _require_known(payment, operations, wall=wall)
    hold = _require_hold(payment, operations, at=at)
    if payment.status != "AUTHORIZED":
        raise TransitionRefused("Only a payment that is AUTHORIZED can be raised.")
    if _in_flight(operations, "capture", "void", "increment"):
        raise OperationInFlight
    if payment.authorized_minor + amount_minor > MAX_MINOR:
        raise AuthorizationExceeded(path=("amountMinor",))
    return _plan(hold, "increment", amount_minor=amount_minor)
