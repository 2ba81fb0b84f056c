"""How is an operation's outcome booked?

Pure: chooses the ledger's template. What happened is always booked: a capture that no hold covers
is posted without one, and the payment's anomaly tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

from payengine.ledger import HoldLine, Posting
from payengine.ledger.templates import (
    authorized,
    captured,
    captured_from_hold,
    expired,
    incremented,
    processor_fee,
    refund_failed,
    refund_reopened,
    refund_succeeded,
    voided,
)
from payengine.payments.fold import HOLD_EXPIRED
from payengine.payments.models import Operation, Payment

__all__ = ["postings_of"]


def postings_of(
    payment: Payment, operation: Operation, *, holds: Sequence[HoldLine]
) -> Iterator[Posting]:
    """The postings of `operation`, which has just got its status; `holds` are those still open.

    `payment` is the payment as its operations now fold.
    """
    if operation.kind == "refund" and operation.status in ("declined", "not_sent"):
        yield refund_failed(**_terms(operation))
    if operation.status != "succeeded":
        return
    if operation.kind == "authorize":
        yield (
            captured(**_terms(operation)) if operation.capture else authorized(**_terms(operation))
        )
    elif operation.kind == "increment":
        yield incremented(**_terms(operation))
    elif operation.kind == "capture":
        yield _capture(payment, operation, holds)
    elif operation.kind == "void" and holds and operation.released_minor > 0:
        yield _release(payment, operation, holds)
    elif operation.kind == "refund":
        if operation.anomaly == "late_success":
            yield refund_reopened(**_terms(operation))
        yield refund_succeeded(**_terms(operation))
    if operation.fee_minor > 0:
        yield processor_fee(**_terms(operation, amount_minor=operation.fee_minor))


class _Terms(TypedDict):
    operation_id: str
    payment_id: str
    gateway: str
    amount_minor: int
    currency: str


def _terms(operation: Operation, *, amount_minor: int | None = None) -> _Terms:
    return {
        "operation_id": operation.id,
        "payment_id": operation.payment_id,
        "gateway": operation.gateway,
        "amount_minor": operation.amount_minor if amount_minor is None else amount_minor,
        "currency": operation.currency,
    }


def _still_held(payment: Payment) -> int:
    return max(payment.authorized_minor - payment.captured_minor - payment.voided_minor, 0)


def _capture(payment: Payment, operation: Operation, holds: Sequence[HoldLine]) -> Posting:
    if not holds:
        return captured(**_terms(operation))
    return captured_from_hold(
        operation_id=operation.id,
        payment_id=operation.payment_id,
        holds=holds,
        amount_minor=operation.amount_minor,
        final=_still_held(payment) == 0,
        record_excess=True,
    )


def _release(payment: Payment, operation: Operation, holds: Sequence[HoldLine]) -> Posting:
    if operation.raw_status == HOLD_EXPIRED:
        return expired(operation_id=operation.id, payment_id=operation.payment_id, holds=holds)
    everything = _still_held(payment) == 0
    return voided(
        operation_id=operation.id,
        payment_id=operation.payment_id,
        holds=holds,
        amount_minor=None if everything else operation.released_minor,
    )
