"""How may a payment and an operation move?

The tables are data. The database checks the same tables by a trigger
(`migrations/versions/0001_foundation.py`); a test compares the two pair by pair.
"""

from __future__ import annotations

from payengine.payments.models import OperationStatus, PaymentStatus

__all__ = [
    "GIVEN_UP",
    "OPEN_OPERATION",
    "OPERATION_TRANSITIONS",
    "PAYMENT_TRANSITIONS",
    "operation_may_move",
]

#: The statuses after which an operation's outcome is still awaited.
OPEN_OPERATION: frozenset[OperationStatus] = frozenset(
    {"created", "sending", "unknown", "pending", "requires_action"}
)

#: The statuses of an operation that ended without moving money; it may yet turn out otherwise.
GIVEN_UP: frozenset[OperationStatus] = frozenset({"declined", "not_sent", "canceled", "expired"})

#: `declined`, `not_sent`, `canceled` and `expired` may yet turn out to have succeeded: what
#: happened is recorded, and marked as an anomaly. Nothing leaves `succeeded`. Of facts that
#: contradict each other the later one in the row waiting, `not_sent`, `declined`, `succeeded`
#: stands, so that the order in which they are heard makes no difference.
OPERATION_TRANSITIONS: dict[OperationStatus, tuple[OperationStatus, ...]] = {
    "created": ("sending", "not_sent", "canceled"),
    "sending": ("succeeded", "declined", "requires_action", "pending", "not_sent", "unknown"),
    "unknown": ("succeeded", "declined", "requires_action", "pending", "not_sent", "canceled"),
    "pending": ("succeeded", "declined", "requires_action", "not_sent", "canceled", "expired"),
    "requires_action": ("succeeded", "declined", "pending", "not_sent", "canceled", "expired"),
    "declined": ("succeeded",),
    "not_sent": ("succeeded", "declined"),
    "canceled": ("succeeded",),
    "expired": ("succeeded",),
    "succeeded": (),
}

PAYMENT_TRANSITIONS: dict[PaymentStatus, tuple[PaymentStatus, ...]] = {
    "CREATED": ("PROCESSING", "IN_REVIEW", "DECLINED", "CANCELED", "AUTHORIZED", "CAPTURED"),
    "PROCESSING": (
        "CREATED",
        "REQUIRES_ACTION",
        "IN_REVIEW",
        "AUTHORIZED",
        "CAPTURED",
        "DECLINED",
        "CANCELED",
        "EXPIRED",
    ),
    "REQUIRES_ACTION": (
        "CREATED",
        "PROCESSING",
        "IN_REVIEW",
        "AUTHORIZED",
        "CAPTURED",
        "DECLINED",
        "CANCELED",
        "EXPIRED",
    ),
    "IN_REVIEW": ("PROCESSING", "AUTHORIZED", "CAPTURED", "DECLINED", "CANCELED", "EXPIRED"),
    "AUTHORIZED": ("CAPTURED", "CANCELED", "EXPIRED"),
    "DECLINED": ("PROCESSING", "CANCELED", "IN_REVIEW", "AUTHORIZED", "CAPTURED"),
    "CANCELED": ("PROCESSING", "IN_REVIEW", "AUTHORIZED", "CAPTURED"),
    "EXPIRED": ("IN_REVIEW", "AUTHORIZED", "CAPTURED"),
    "CAPTURED": (),
}


def operation_may_move(old: OperationStatus, new: OperationStatus) -> bool:
    """Whether an operation may go from `old` to `new`; staying is no move."""
    return new in OPERATION_TRANSITIONS[old]
