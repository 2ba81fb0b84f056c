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
from payengine.fraud.decisions import DecisionRow
from payengine.ids import new_id
from payengine.ledger import HoldLine, Posting
from payengine.payments.books import postings_of
from payengine.payments.findings import Finding
from payengine.payments.fold import HOLD_EXPIRED, refold
from payengine.payments.models import Evidence, Operation, OperationStatus, Payment
from payengine.payments.orphans import LATE_SUCCESS, orphans
from payengine.payments.transitions import GIVEN_UP, OPEN_OPERATION, operation_may_move
from payengine.plugin import Outcome, to_plain

__all__ = ["CONTRADICTED", "Change", "event_of", "next_look", "recheck_at", "settle"]

_FIRST_LOOK_S = 0.5
_LONGEST_WAIT_S = 600.0
#: How long after one look an operation that was given up without the provider's word for it is
#: looked up once more: ten minutes, an hour and a day after it was given up.
_RECHECKS = (timedelta(minutes=10), timedelta(minutes=50), timedelta(hours=23))

_DID_NOT_HAPPEN = frozenset({"declined", "not_sent"})
_WAITING = {"pending", "requires_action"}

#: The anomaly of a dispute of which the provider has told what cannot be true together.
CONTRADICTED = "dispute_contradicted"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one finding changes; `before` versions guard the write.

    `decision` is what fraud rules said of it, where that changes nothing.
    """

    payment_before: Payment
    payment: Payment
    operation_before: Operation
    operation: Operation
    canceled: Operation | None
    evidence: Evidence | None
    postings: tuple[Posting, ...]
    events: tuple[NewEvent, ...]
    decision: DecisionRow | None = None


def next_look(tries: int, *, at: datetime) -> datetime:
    """When to look again after `tries` looks: half a second, 1 s, 2 s … at most 10 minutes."""
    return at + timedelta(seconds=min(_FIRST_LOOK_S * 2 ** min(tries, 20), _LONGEST_WAIT_S))


def recheck_at(looks: int, *, at: datetime) -> datetime | None:
    """When to look again after `looks` looks at what was given up; None after the last one."""
    return at + _RECHECKS[looks] if looks < len(_RECHECKS) else None


def settle(
    payment: Payment,
    operations: Sequence[Operation],
    operation: Operation,
    finding: Finding,
    *,
    holds: Sequence[HoldLine] = (),
    at: datetime,
    wall: datetime | None = None,
) -> Change | None:
    """The change that `finding` makes, or None where it tells nothing new.

    `at` is business time; `wall`, from which the next look counts, is the wall's (None: the same).
    """
    moved = _moved(payment, operation, finding, at=at, wall=wall or at)
    if moved is None:
        return None
    canceled = _canceled_by(moved, operations, at=at)
    replaced = {moved.id: moved} | ({canceled.id: canceled} if canceled else {})
    after = [replaced.get(each.id, each) for each in operations]
    folded = refold(payment, after, at=at)
    # An anomaly that a person has looked at is no news.
    doubtful = finding.mismatch or not set(folded.anomalies) <= set(payment.anomalies)
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
        evidence=_evidence(payment, moved, finding, after, at=at),
        postings=_postings(folded, moved, holds, was=operation.status),
        events=(
            *_events(payment, folded, moved, finding, was=operation.status, at=at),
            *_orphan_events(folded, moved, before=operations, after=after, at=at),
        ),
    )


def _postings(
    payment: Payment, moved: Operation, holds: Sequence[HoldLine], *, was: OperationStatus
) -> tuple[Posting, ...]:
    """What is only contradicted has been booked before, or never will be."""
    return tuple(postings_of(payment, moved, holds=holds, was=was)) if moved.status != was else ()


def _changes_nothing(payment: Payment, operation: Operation, finding: Finding) -> bool:
    """Whether a finding that moves no status is no news either; news is recorded once."""
    if operation.kind == "dispute":
        return not finding.mismatch or operation.anomaly == CONTRADICTED
    if finding.unmodelled:
        return operation.status not in OPEN_OPERATION or operation.raw_status == finding.reason
    return not finding.mismatch or payment.conflicted


def _moved(
    payment: Payment, operation: Operation, finding: Finding, *, at: datetime, wall: datetime
) -> Operation | None:
    status = finding.status
    if operation.status == "succeeded" and status in _DID_NOT_HAPPEN:
        return _contradicted(operation, at=at)
    if finding.source == "answer" and {status, operation.status} == _WAITING:
        return None  # the request's own answer is the oldest word: what was heard since is newer
    if status == operation.status or not operation_may_move(operation.status, status):
        if _changes_nothing(payment, operation, finding):
            return None
        status = operation.status
    changes: dict[str, Any] = {
        "status": status,
        "version": operation.version + 1,
        "updated_at": at,
        "due_at": _due(operation, status, finding, at=wall),
        "anomaly": _anomaly(operation, status, finding),
        "raw_status": finding.reason or operation.raw_status,
    }
    changes |= _told_amount(operation, status, finding)
    if operation.kind == "void" and status == "succeeded" and operation.released_minor == 0:
        # It was to cancel what waited for the buyer, who was quicker: it released the hold.
        changes["released_minor"] = payment.capturable_minor
    outcome = finding.outcome
    if outcome is not None and not finding.mismatch:
        changes |= {
            "provider_reference": outcome.provider_reference or operation.provider_reference,
            "next_action_url": outcome.next_action.url if outcome.next_action else None,
            "bank_details": _bank_details(outcome),
            "fee_minor": outcome.fee_minor,
            "hold_expires_at": outcome.expires_at,
            "decline_code": outcome.decline.code if outcome.decline else None,
            "raw_code": outcome.decline.raw_code if outcome.decline else None,
            "raw_text": outcome.decline.raw_text if outcome.decline else None,
        }
    return msgspec.structs.replace(operation, **changes)


def _bank_details(outcome: Outcome) -> dict[str, Any] | None:
    details = outcome.next_action.bank_details if outcome.next_action else None
    return None if details is None else to_plain(details)


def _contradicted(operation: Operation, *, at: datetime) -> Operation | None:
    """It succeeded, and somebody says that it did not: it is marked as a success that came late.

    So the order in which the two are heard makes no difference. It is recorded once.
    """
    if operation.kind == "dispute" or operation.anomaly is not None:
        return None
    return msgspec.structs.replace(
        operation, anomaly=LATE_SUCCESS, version=operation.version + 1, updated_at=at
    )


def _late(operation: Operation, status: OperationStatus) -> bool:
    return operation.status in GIVEN_UP and status == "succeeded"


def _anomaly(operation: Operation, status: OperationStatus, finding: Finding) -> str | None:
    if operation.kind == "dispute":
        return CONTRADICTED if finding.mismatch else operation.anomaly
    return LATE_SUCCESS if _late(operation, status) else operation.anomaly


def _due(
    operation: Operation, status: OperationStatus, finding: Finding, *, at: datetime
) -> datetime | None:
    """When the reconciler must look at it next, counted from the wall's instant `at`."""
    if finding.mismatch or operation.kind == "dispute":
        return None
    if status in ("unknown", "pending", "requires_action"):
        return next_look(operation.tries, at=at)
    if status == "succeeded":
        # Where nobody can use it any more, it must be given back.
        is_stray = _late(operation, status) and operation.kind == "authorize"
        return at if is_stray else None
    if finding.source == "lookup" and status == "not_sent":
        return recheck_at(0, at=at)
    return None


def _told_amount(operation: Operation, status: OperationStatus, finding: Finding) -> dict[str, Any]:
    """A person may prove that another amount moved than was asked: then that is what is booked."""
    said = finding.outcome.amount if finding.outcome is not None else None
    if finding.source != "person" or status != "succeeded" or said is None:
        return {}
    changes: dict[str, Any] = {"amount_minor": said.minor}
    if operation.kind == "capture" and operation.final:
        rest = operation.amount_minor + operation.released_minor - said.minor
        changes["released_minor"] = max(rest, 0)
    return changes


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
                each,
                status="canceled",
                due_at=None,
                version=each.version + 1,
                updated_at=at,
            )
    return None


def _evidence(
    payment: Payment,
    operation: Operation,
    finding: Finding,
    operations: Sequence[Operation],
    *,
    at: datetime,
) -> Evidence | None:
    """A row wherever more than the plain answer to the first request decided."""
    released = _released_by(operation, operations)
    plain = finding.source == "answer" and not finding.mismatch and not finding.unmodelled
    if plain and released is None:
        return None
    data = finding.as_data() | ({"releases": released} if released else {})
    return Evidence(
        id=new_id("evd"),
        payment_id=payment.id,
        operation_id=operation.id,
        source=finding.source,
        finding=finding.status,
        data=data,
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
    ("refund", "canceled"): "refund.failed",
    ("dispute", "pending"): "dispute.opened",
    ("dispute", "canceled"): "dispute.won",
    ("dispute", "succeeded"): "dispute.lost",
}


def _released_by(operation: Operation, operations: Sequence[Operation]) -> str | None:
    """The orphan that this operation has given back, or None."""
    if operation.kind not in ("void", "refund") or operation.status != "succeeded":
        return None
    if not any(each.anomaly == LATE_SUCCESS for each in operations):
        return None
    attempt = operation.attempt_id
    found = (o.operation for o in orphans(operations) if o.operation.attempt_id == attempt)
    return next((each.id for each in found), None)


def _orphan_events(
    payment: Payment,
    moved: Operation,
    *,
    before: Sequence[Operation],
    after: Sequence[Operation],
    at: datetime,
) -> list[NewEvent]:
    """Money that nobody can use was found, or has been given back."""
    if not payment.anomalies:
        return []
    known = {each.operation.id for each in orphans(before)}
    found = [o.operation for o in orphans(after) if o.operation.id not in known]
    events = [event_of("payment.orphan_found", payment, each, at=at) for each in found]
    if _released_by(moved, after) is not None:
        events.append(event_of("payment.orphan_released", payment, moved, at=at))
    return events


def _events(
    before: Payment,
    after: Payment,
    operation: Operation,
    finding: Finding,
    *,
    was: OperationStatus,
    at: datetime,
) -> list[NewEvent]:
    events = []
    if operation.status != was:
        events.append(event_of(_event_type(after, operation), after, operation, at=at))
    if finding.unmodelled:
        strange = event_of("payment.status_unmodelled", after, operation, at=at)
        strange.data["raw_status"] = finding.unmodelled
        events.append(strange)
    if after.conflicted and not before.conflicted:
        events.append(event_of("payment.conflicted", after, operation, at=at))
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
        "charged_back_minor": payment.charged_back_minor,
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
