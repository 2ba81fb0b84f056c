"""What follows from a finding?

Pure: from a payment, its operations, one of them and a finding about it come the new rows, the
ledger's postings and the events, to be written in one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from payengine.events.models import NewEvent
from payengine.ids import new_id
from payengine.ledger import HoldLine, Posting
from payengine.payments.books import postings_of
from payengine.payments.findings import Finding
from payengine.payments.fold import HOLD_EXPIRED, refold
from payengine.payments.models import Evidence, Operation, Payment
from payengine.payments.transitions import operation_may_move

__all__ = ["Change", "event_of", "next_look", "settle"]

_FIRST_LOOK_S = 1.0
_LONGEST_WAIT_S = 600.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one finding changes; `before` versions guard the write."""

    payment_before: Payment
    payment: Payment
    operation_before: Operation
    operation: Operation
    canceled: Operation | None
    evidence: Evidence | None
    postings: tuple[Posting, ...]
    events: tuple[NewEvent, ...]


def next_look(tries: int, *, at: datetime) -> datetime:
    """When to look again after `tries` looks: 1 s, 2 s, 4 s … at most 10 minutes."""
    return at + timedelta(seconds=min(_FIRST_LOOK_S * 2 ** min(tries, 20), _LONGEST_WAIT_S))


def settle(
    payment: Payment,
    operations: Sequence[Operation],
    operation: Operation,
    finding: Finding,
    *,
    holds: Sequence[HoldLine] = (),
    at: datetime,
) -> Change | None:
    """The change that `finding` makes, or None where it tells nothing new."""
    moved = _moved(payment, operation, finding, at=at)
    if moved is None:
        return None
    canceled = _canceled_by(moved, operations, at=at)
    replaced = {moved.id: moved} | ({canceled.id: canceled} if canceled else {})
    folded = refold(payment, [replaced.get(each.id, each) for each in operations], at=at)
    doubtful = finding.mismatch or moved.anomaly is not None or bool(folded.anomalies)
    folded = msgspec.structs.replace(
        folded,
        needs_review=payment.needs_review or doubtful,
        conflicted=payment.conflicted or finding.mismatch,
    )
    return Change(
        payment_before=payment,
        payment=folded,
        operation_before=operation,
        operation=moved,
        canceled=canceled,
        evidence=_evidence(payment, operation, finding, at=at),
        postings=tuple(postings_of(folded, moved, holds=holds)),
        events=tuple(_events(payment, folded, moved, at=at)),
    )


def _moved(
    payment: Payment, operation: Operation, finding: Finding, *, at: datetime
) -> Operation | None:
    status = finding.status
    if status == operation.status or not operation_may_move(operation.status, status):
        # A contradiction is recorded once, also where it leaves the operation where it was.
        if not finding.mismatch or payment.conflicted:
            return None
        status = operation.status
    late = operation.status in ("declined", "not_sent", "canceled", "expired")
    late = late and status == "succeeded"
    awaited = status in ("unknown", "pending", "requires_action")
    changes: dict[str, Any] = {
        "status": status,
        "version": operation.version + 1,
        "updated_at": at,
        "due_at": next_look(operation.tries, at=at) if awaited and not finding.mismatch else None,
        "anomaly": "late_success" if late else operation.anomaly,
        "raw_status": finding.reason or operation.raw_status,
    }
    if operation.kind == "void" and status == "succeeded" and operation.released_minor == 0:
        # It was to cancel what waited for the buyer, who was quicker: it released the hold.
        changes["released_minor"] = payment.capturable_minor
    outcome = finding.outcome
    if outcome is not None and not finding.mismatch:
        changes |= {
            "provider_reference": outcome.provider_reference or operation.provider_reference,
            "next_action_url": outcome.next_action.url if outcome.next_action else None,
            "fee_minor": outcome.fee_minor,
            "hold_expires_at": outcome.expires_at,
            "decline_code": outcome.decline.code if outcome.decline else None,
            "raw_code": outcome.decline.raw_code if outcome.decline else None,
            "raw_text": outcome.decline.raw_text if outcome.decline else None,
        }
    return msgspec.structs.replace(operation, **changes)


def _canceled_by(
    moved: Operation, operations: Sequence[Operation], *, at: datetime
) -> Operation | None:
    """A void that succeeds ends the authorization that still waited for the buyer."""
    if moved.kind != "void" or moved.status != "succeeded":
        return None
    for each in operations:
        if (
            each.kind == "authorize"
            and each.attempt_id == moved.attempt_id
            and each.status in ("requires_action", "pending")
        ):
            return msgspec.structs.replace(
                each, status="canceled", due_at=None, version=each.version + 1, updated_at=at
            )
    return None


def _evidence(
    payment: Payment, operation: Operation, finding: Finding, *, at: datetime
) -> Evidence | None:
    """A row wherever more than the plain answer to the first request decided."""
    if finding.source == "answer" and not finding.mismatch:
        return None
    return Evidence(
        id=new_id("evd"),
        payment_id=payment.id,
        operation_id=operation.id,
        source=finding.source,
        finding=finding.status,
        data=finding.as_data(),
        created_at=at,
    )


_EVENT_TYPES: dict[tuple[str, str], str] = {
    ("authorize", "declined"): "payment.declined",
    ("authorize", "requires_action"): "payment.requires_action",
    ("authorize", "pending"): "payment.processing",
    ("authorize", "unknown"): "payment.processing",
    ("authorize", "not_sent"): "payment.not_sent",
    ("capture", "succeeded"): "payment.captured",
    ("capture", "declined"): "payment.capture_failed",
    ("capture", "not_sent"): "payment.capture_failed",
    ("increment", "succeeded"): "payment.authorization_increased",
    ("increment", "declined"): "payment.authorization_increase_failed",
    ("increment", "not_sent"): "payment.authorization_increase_failed",
    ("void", "declined"): "payment.void_failed",
    ("void", "not_sent"): "payment.void_failed",
    ("refund", "succeeded"): "refund.succeeded",
    ("refund", "declined"): "refund.failed",
    ("refund", "not_sent"): "refund.failed",
}


def _events(
    before: Payment, after: Payment, operation: Operation, *, at: datetime
) -> list[NewEvent]:
    events = [event_of(_event_type(after, operation), after, operation, at=at)]
    if after.needs_review and not before.needs_review:
        events.append(event_of("payment.needs_review", after, operation, at=at))
    return events


def _event_type(payment: Payment, operation: Operation) -> str:
    if operation.status == "succeeded":
        if operation.kind == "authorize":
            return "payment.captured" if operation.capture else "payment.authorized"
        if operation.kind == "void":
            if operation.raw_status == HOLD_EXPIRED and payment.status == "EXPIRED":
                return "payment.expired"
            return "payment.canceled" if payment.status == "CANCELED" else "payment.voided"
    named = _EVENT_TYPES.get((operation.kind, operation.status))
    return named or f"{_noun(operation)}.pending"


def _noun(operation: Operation) -> str:
    return "refund" if operation.kind == "refund" else f"payment.{operation.kind}"


def event_of(kind: str, payment: Payment, operation: Operation | None, *, at: datetime) -> NewEvent:
    """An event that carries the payment as it now stands, and the operation that moved it."""
    data: dict[str, Any] = {
        "status": payment.status,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "authorized_minor": payment.authorized_minor,
        "captured_minor": payment.captured_minor,
        "voided_minor": payment.voided_minor,
        "refunded_minor": payment.refunded_minor,
        "version": payment.version,
    }
    if payment.decline_code is not None:
        data["decline_code"] = payment.decline_code
    if operation is not None:
        data["operation"] = {
            "id": operation.id,
            "kind": operation.kind,
            "status": operation.status,
            "amount_minor": operation.amount_minor,
            "gateway": operation.gateway,
        }
    return NewEvent(
        id=new_id("evt"),
        type=kind,
        payment_id=payment.id,
        operation_id=operation.id if operation else None,
        customer_id=payment.customer_id,
        data=data,
        occurred_at=at,
    )
