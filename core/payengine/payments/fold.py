"""What do a payment's operations add up to?

One pure function makes the payment's status and amounts from its operations; the row in the
database is a copy of its result, and `payengine verify` compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from payengine.payments.models import Operation, Payment, PaymentStatus

__all__ = ["HOLD_EXPIRED", "Folded", "fold", "made_after", "refold"]

#: `raw_status` of the release that the engine records when a hold has run out.
HOLD_EXPIRED = "hold_expired"

_AWAITED = frozenset({"created", "sending", "unknown", "pending"})


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """The derived columns of a payment; amounts in minor units of its currency."""

    status: PaymentStatus
    authorized_minor: int
    captured_minor: int
    voided_minor: int
    refunded_minor: int
    charged_back_minor: int
    capture_reserved_minor: int
    void_reserved_minor: int
    refund_reserved_minor: int
    next_action_url: str | None
    decline_code: str | None
    hold_expires_at: datetime | None
    anomalies: tuple[str, ...]


def fold(operations: Sequence[Operation]) -> Folded:
    """Add up `operations`, in the order in which they were made.

    A dispute counts as charged back while it is open and when it is lost: the bank has taken the
    money. One in another currency than the payment's first operation adds up to nothing.
    """
    done = [operation for operation in operations if operation.status == "succeeded"]
    awaited = [operation for operation in operations if operation.status in _AWAITED]
    authorized = _sum(done, "authorize") + _sum(done, "increment")
    taken_at_once = sum(o.amount_minor for o in done if o.kind == "authorize" and o.capture)
    captured = taken_at_once + _sum(done, "capture")
    voided = sum(operation.released_minor for operation in done)
    refunded = _sum(done, "refund")
    charged_back = _charged_back(operations)
    promised = _sum(awaited, "refund")
    last = next((o for o in reversed(operations) if o.kind == "authorize"), None)
    status = _status(operations, last, authorized=authorized, captured=captured, voided=voided)
    return Folded(
        status=status,
        authorized_minor=authorized,
        captured_minor=captured,
        voided_minor=voided,
        refunded_minor=refunded,
        charged_back_minor=charged_back,
        capture_reserved_minor=_sum(awaited, "capture"),
        void_reserved_minor=sum(operation.released_minor for operation in awaited),
        refund_reserved_minor=promised,
        next_action_url=last.next_action_url if last and status == "REQUIRES_ACTION" else None,
        decline_code=last.decline_code if last and status == "DECLINED" else None,
        hold_expires_at=_hold_end(done) if authorized > captured + voided else None,
        anomalies=_anomalies(
            operations,
            over_captured=captured + voided > authorized,
            over_refunded=refunded + promised + charged_back > captured,
        ),
    )


def refold(payment: Payment, operations: Sequence[Operation], *, at: datetime) -> Payment:
    """The payment as its operations say at the instant `at`; its version rises by one."""
    changes = msgspec.structs.asdict(fold(operations))
    return msgspec.structs.replace(payment, **changes, version=payment.version + 1, updated_at=at)


def made_after(operations: Sequence[Operation], *, at: datetime) -> datetime:
    """When a new operation was made: `at`, but after all that were there when it was made.

    The fold reads operations in this order; two processes' clocks need not agree on it.
    """
    last = max((operation.created_at for operation in operations), default=None)
    return at if last is None or last < at else last + timedelta(microseconds=1)


def _sum(operations: Sequence[Operation], kind: str) -> int:
    return sum(operation.amount_minor for operation in operations if operation.kind == kind)


def _charged_back(operations: Sequence[Operation]) -> int:
    return sum(
        operation.amount_minor
        for operation in operations
        if operation.kind == "dispute"
        and (operation.status == "succeeded" or operation.status in _AWAITED)
        and operation.currency == operations[0].currency
    )


def _hold_end(done: Sequence[Operation]) -> datetime | None:
    ends = [o.hold_expires_at for o in done if o.kind in ("authorize", "increment")]
    return max((end for end in ends if end is not None), default=None)


def _status(
    operations: Sequence[Operation],
    last: Operation | None,
    *,
    authorized: int,
    captured: int,
    voided: int,
) -> PaymentStatus:
    if captured > 0:
        return "CAPTURED"
    released = [o for o in operations if o.kind == "void" and o.status == "succeeded"]
    if authorized > voided:
        return "IN_REVIEW" if any(_is_held(each) for each in operations) else "AUTHORIZED"
    if authorized > 0 and released:
        return "EXPIRED" if released[-1].raw_status == HOLD_EXPIRED else "CANCELED"
    if last is None:
        return "CREATED"
    if released and operations.index(released[-1]) > operations.index(last):
        return "CANCELED"
    return _STATUS_OF_LAST[last.status]


def _is_held(operation: Operation) -> bool:
    """Whether it is an authorization that nothing may be captured of before a review."""
    return operation.kind == "authorize" and operation.status == "succeeded" and operation.final


_STATUS_OF_LAST: dict[str, PaymentStatus] = {
    "created": "PROCESSING",
    "sending": "PROCESSING",
    "unknown": "PROCESSING",
    "pending": "PROCESSING",
    "requires_action": "REQUIRES_ACTION",
    "declined": "DECLINED",
    "not_sent": "CREATED",
    "canceled": "CANCELED",
    "expired": "EXPIRED",
    "succeeded": "AUTHORIZED",
}


def _anomalies(
    operations: Sequence[Operation], *, over_captured: bool, over_refunded: bool
) -> tuple[str, ...]:
    found = {operation.anomaly for operation in operations if operation.anomaly}
    if over_captured:
        found.add("over_captured")
    if over_refunded:
        found.add("over_refunded")
    return tuple(sorted(found))
