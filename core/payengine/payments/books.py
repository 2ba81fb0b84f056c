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
    dispute_lost,
    dispute_opened,
    dispute_reopened,
    dispute_won,
    expired,
    incremented,
    processor_fee,
    refund_failed,
    refund_reopened,
    refund_succeeded,
    voided,
)
from payengine.payments.fold import HOLD_EXPIRED
from payengine.payments.models import Operation, OperationStatus, Payment
from payengine.payments.transitions import GIVEN_UP

__all__ = ["postings_of"]


def postings_of(
    payment: Payment,
    operation: Operation,
    *,
    holds: Sequence[HoldLine],
    was: OperationStatus = "sending",
) -> Iterator[Posting]:
    """The postings of `operation`, which was `was` and has just got its status.

    `payment` is the payment as its operations now fold; `holds` are those still open.
    """
    holds = _of_gateway(operation, holds)
    if operation.kind == "dispute":
        yield from _dispute(payment, operation, was=was)
        return
    if operation.kind == "refund" and operation.status in GIVEN_UP and was not in GIVEN_UP:
        yield refund_failed(**_terms(operation, amount_minor=_asked_minor(operation)))
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
        yield from _refund(operation, was=was)
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


def _asked_minor(operation: Operation) -> int:
    """What was asked for; a person may have found that another amount moved."""
    asked: int = operation.request.get("amount", {}).get("minor", operation.amount_minor)
    return asked


def _refund(operation: Operation, *, was: OperationStatus) -> Iterator[Posting]:
    """What moved, and the difference to what had been taken from the merchant for it."""
    over = operation.amount_minor - _asked_minor(operation)
    if was in GIVEN_UP:
        over = operation.amount_minor
    if over > 0:
        yield refund_reopened(**_terms(operation, amount_minor=over))
    if over < 0:
        yield refund_failed(**_terms(operation, amount_minor=-over))
    yield refund_succeeded(**_terms(operation))


class _DisputeTerms(TypedDict):
    dispute_id: str
    payment_id: str
    gateway: str
    amount_minor: int
    currency: str


def _dispute(payment: Payment, operation: Operation, *, was: OperationStatus) -> Iterator[Posting]:
    """A dispute in a foreign currency is for a person; no account could tell its worth."""
    if operation.currency != payment.currency:
        return
    terms: _DisputeTerms = {
        "dispute_id": operation.id,
        "payment_id": operation.payment_id,
        "gateway": operation.gateway,
        "amount_minor": operation.amount_minor,
        "currency": operation.currency,
    }
    if operation.status == "pending":
        yield dispute_opened(**terms)
    elif operation.status == "canceled":
        yield dispute_won(**terms)
    elif operation.status == "succeeded":
        if was == "canceled":
            yield dispute_reopened(**terms)
        yield dispute_lost(**terms)


def _of_gateway(operation: Operation, holds: Sequence[HoldLine]) -> Sequence[HoldLine]:
    """The holds at the operation's own gateway: a superseded attempt's may be at another."""
    own = [h for h in holds if h.debit_account == f"psp_receivable:{operation.gateway}"]
    return own or holds


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
