"""How does a dispute look at the sandbox, in its books and on the wire?"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from payengine.plugin import (
    Amount,
    Decline,
    DisputeEvent,
    DisputeReport,
    DisputeStatus,
    Outcome,
)

__all__ = [
    "Dispute",
    "DisputeNotice",
    "DisputeStep",
    "ShownDispute",
    "dispute_event_of",
    "outcome_of_step",
]


class Dispute(msgspec.Struct, frozen=True):
    """The provider's record; the fields stand in the order of the table's columns.

    `key` and `operation` name the disputed authorization or capture; `changes` counts what was told
    of it. Times are microseconds since 1970, in UTC.
    """

    reference: str
    account: str
    key: str
    operation: str
    status: DisputeStatus
    amount_minor: int
    currency: str
    reason: str
    fee_minor: int
    fee_returned: bool
    due_us: int
    changes: int
    pieces: int


class DisputeStep(msgspec.Struct, frozen=True, kw_only=True):
    """What the merchant asks: `digest` tells one body from another under the same key."""

    kind: Literal["submit_evidence", "accept_dispute"]
    key: str
    reference: str
    pieces: int = 0
    digest: str = ""


class ShownDispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute as the provider shows it; `refused` says why the last step was not taken."""

    reference: str
    key: str
    operation: str
    status: DisputeStatus
    amount_minor: int
    currency: str
    reason: str
    fee_minor: int
    fee_returned: bool
    evidence_due_at: datetime
    pieces: int = 0
    refused: str = ""


class DisputeNotice(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="dispute.updated",
):
    """The body of a webhook about a dispute."""

    id: str
    account: str
    created_at: datetime
    dispute: ShownDispute


_REFUSALS = {
    "evidence_overdue": "The last day for evidence is over.",
    "not_open": "The dispute does not wait for this.",
}


def dispute_event_of(notice: DisputeNotice) -> DisputeEvent:
    """The notice in the words of the plugin contract."""
    shown = notice.dispute
    return DisputeEvent(
        event_id=notice.id,
        key=shown.key,
        provider_reference=shown.operation,
        dispute=DisputeReport(
            reference=shown.reference,
            status=shown.status,
            amount=Amount(shown.amount_minor, shown.currency),
            reason=shown.reason,
            fee_minor=shown.fee_minor,
            fee_returned=shown.fee_returned,
            evidence_due_at=shown.evidence_due_at,
        ),
        occurred_at=notice.created_at,
    )


def outcome_of_step(shown: ShownDispute) -> Outcome:
    """What became of a submission or an acceptance."""
    if shown.refused:
        text = _REFUSALS.get(shown.refused, "")
        decline = Decline(code="transaction_not_allowed", raw_code=shown.refused, raw_text=text)
        return Outcome(status="declined", decline=decline, raw_status=shown.refused)
    return Outcome(status="succeeded", provider_reference=shown.reference, raw_status=shown.status)
