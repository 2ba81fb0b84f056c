"""Which of these facts contradict each other?

Pure: rows and movements in, contradictions out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from payengine.payments.fold import fold
from payengine.payments.models import BLOCKED, Operation, Payment
from payengine.payments.orphans import orphans
from payengine.payments.transitions import OPEN_OPERATION
from payengine.plugin import Movement

__all__ = ["broken_payment", "differing_movements", "unreleased"]


def broken_payment(payment: Payment, operations: Sequence[Operation]) -> Iterator[str]:
    """Where the payment's row differs from the fold of its operations, or was charged twice."""
    # What fraud rules stopped before its first attempt has no operation that could say so.
    stopped = not operations and payment.status == "DECLINED" and payment.decline_code == BLOCKED
    for name, value in msgspec.structs.asdict(fold(operations)).items():
        if stopped and name in ("status", "decline_code"):
            continue
        if getattr(payment, name) != value:
            yield f"{name} is {getattr(payment, name)!r}, its operations say {value!r}"
    charges = sum(
        operation.kind == "authorize" and operation.status == "succeeded"
        for operation in operations
    )
    charges -= sum(orphan.is_released for orphan in orphans(operations))
    if charges > 1:
        yield f"it was charged {charges} times"
    if payment.captured_minor > payment.refunded_minor and charges == 0:
        yield "it is captured, and no charge succeeded"


def unreleased(operations: Sequence[Operation]) -> Iterator[tuple[str, str]]:
    """(operation, complaint) for money that a payment can no longer use and still has."""
    for orphan in orphans(operations):
        if not orphan.is_released:
            what = f"{orphan.left_minor} is not given back"
            if orphan.is_underway:
                what = "its money is on the way back, and has not arrived"
            yield orphan.operation.id, f"nobody can use what it took: {what}"


def _is_money(operation: Operation) -> bool:
    return operation.kind in ("capture", "refund") or (
        operation.kind == "authorize" and operation.capture
    )


def differing_movements(
    movements: Sequence[Movement],
    operations: Mapping[str, Operation],
    fees: Mapping[str, int],
    *,
    settled_before: datetime,
) -> Iterator[tuple[str, str]]:
    """(subject, contradiction) between a gateway's books and our operations with it.

    An operation whose outcome is still open is no contradiction: its evidence is yet to come.
    """
    twice = Counter(movement.key for movement in movements)
    seen: dict[str, Movement] = {movement.key: movement for movement in movements}
    for key, times in twice.items():
        if times > 1:
            yield key, f"the gateway moved money {times} times for this operation"
    for key, movement in seen.items():
        operation = operations.get(key)
        if operation is None:
            yield key, "the gateway moved money that no operation asked for"
        elif operation.status not in OPEN_OPERATION:
            yield from _differences(movement, operation, fee_minor=fees.get(key, 0))
    for operation in operations.values():
        if (
            operation.status == "succeeded"
            and _is_money(operation)
            and operation.updated_at < settled_before
            and operation.id not in seen
        ):
            yield operation.id, "we booked it, and the gateway knows nothing of it"


def _differences(
    movement: Movement, operation: Operation, *, fee_minor: int
) -> Iterator[tuple[str, str]]:
    if operation.status != "succeeded":
        yield operation.id, f"the gateway moved money, and it is {operation.status} here"
        return
    sign = -1 if operation.kind == "refund" else 1
    ours = (sign * operation.amount_minor, operation.currency)
    theirs = (movement.amount.minor, movement.amount.currency)
    if ours != theirs:
        yield operation.id, f"the gateway moved {theirs}, we booked {ours}"
    if movement.fee_minor != fee_minor:
        yield operation.id, f"the gateway's fee is {movement.fee_minor}, we booked {fee_minor}"
