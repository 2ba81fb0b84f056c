"""What do a dispute's reports and steps add up to?

Pure, and indifferent to the order in which they came: reports count in the order of their own
instants, a dispute never goes back, and lost is final; a status unknown here moves nothing. So the
same reports, however often and in whatever order they arrive, give the same dispute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from payengine.payments.disputes.models import Dispute, DisputeStatus, Report, Step
from payengine.payments.models import OperationStatus

__all__ = ["REMIND_BEFORE", "contradicts", "fold_dispute", "operation_status"]

#: How long before the evidence's deadline the merchant is reminded.
REMIND_BEFORE = timedelta(days=3)

_REPORTED: dict[str, DisputeStatus] = {
    "needs_response": "NEEDS_RESPONSE",
    "under_review": "UNDER_REVIEW",
    "won": "WON",
    "lost": "LOST",
}
_DONE: dict[str, DisputeStatus] = {"submit_evidence": "UNDER_REVIEW", "accept_dispute": "LOST"}
_RANK: dict[DisputeStatus, int] = {"NEEDS_RESPONSE": 0, "UNDER_REVIEW": 1, "WON": 2, "LOST": 3}

_OPERATION: dict[DisputeStatus, OperationStatus] = {
    "NEEDS_RESPONSE": "pending",
    "UNDER_REVIEW": "pending",
    "WON": "canceled",
    "LOST": "succeeded",
}


def operation_status(dispute: Dispute) -> OperationStatus:
    """Where the dispute's operation stands: the money is gone, on its way, or back."""
    return _OPERATION[dispute.status]


def fold_dispute(dispute: Dispute, reports: Iterable[Report], steps: Iterable[Step]) -> Dispute:
    """The dispute as all its reports and steps say; amount and currency stay the first ones."""
    told = sorted(reports, key=lambda each: (each.occurred_at, each.event_id))
    statuses = [_REPORTED[each.status] for each in told if each.status in _REPORTED]
    statuses += [_DONE[each.kind] for each in steps if each.status == "succeeded"]
    status = max((dispute.status, *statuses), key=_RANK.__getitem__)
    due_at = next((r.evidence_due_at for r in reversed(told) if r.evidence_due_at), None)
    reminds = dispute.remind_at
    if due_at != dispute.evidence_due_at:
        reminds = due_at - REMIND_BEFORE if due_at is not None else None
    return msgspec.structs.replace(
        dispute,
        status=status,
        reason=next((each.reason for each in reversed(told) if each.reason), ""),
        fee_minor=dispute.fee_minor or next((r.fee_minor for r in told if r.fee_minor), 0),
        fee_returned=any(each.fee_returned for each in told),
        evidence_due_at=due_at,
        remind_at=reminds if status == "NEEDS_RESPONSE" else None,
    )


def contradicts(dispute: Dispute, reports: Sequence[Report], steps: Iterable[Step]) -> bool:
    """Whether the provider has told what cannot be true together."""
    said = {each.status for each in reports}
    gave_up = any(s.kind == "accept_dispute" and s.status == "succeeded" for s in steps)
    amounts = {(each.amount_minor, each.currency) for each in reports}
    fees = {each.fee_minor for each in reports if each.fee_minor}
    return (
        ("won" in said and ("lost" in said or gave_up))
        or bool(amounts - {(dispute.amount_minor, dispute.currency)})
        or bool(fees - {dispute.fee_minor})
    )
