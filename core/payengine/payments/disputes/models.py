"""What are a dispute, its reports, its evidence and its steps?

A dispute is what the provider has told of it and what was asked of the provider: a pure fold of its
reports and steps (`payengine.payments.disputes.folding`). Its id is that of its operation, through
which it moves the payment's amounts. Amounts are integers in minor units.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from payengine.plugin import DisputeStatus as ReportedStatus

__all__ = [
    "CATEGORIES",
    "Dispute",
    "DisputeFilter",
    "DisputeStatus",
    "Evidence",
    "OpenedEvidence",
    "Report",
    "Step",
    "StepKind",
    "StepStatus",
]

DisputeStatus = Literal["NEEDS_RESPONSE", "UNDER_REVIEW", "WON", "LOST"]
StepKind = Literal["submit_evidence", "accept_dispute"]
StepStatus = Literal["sending", "unknown", "succeeded", "declined", "not_sent", "abandoned"]

#: Closed: what a piece of evidence is about.
CATEGORIES = (
    "communication",
    "delivery",
    "description",
    "other",
    "policy",
    "receipt",
    "service",
)


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """The buyer asks the bank for the money back, as one row.

    `remind_at` is when the evidence's deadline is near; None where nobody need be reminded.
    """

    id: str
    payment_id: str
    gateway: str
    provider_reference: str
    status: DisputeStatus
    amount_minor: int
    currency: str
    created_at: datetime
    updated_at: datetime
    reason: str = ""
    fee_minor: int = 0
    fee_returned: bool = False
    evidence_due_at: datetime | None = None
    remind_at: datetime | None = None
    version: int = 1

    @property
    def is_open(self) -> bool:
        """Whether nobody has won yet."""
        return self.status in ("NEEDS_RESPONSE", "UNDER_REVIEW")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider told once, named by its event's id."""

    dispute_id: str
    event_id: str
    status: ReportedStatus
    amount_minor: int
    currency: str
    reason: str
    fee_minor: int
    fee_returned: bool
    occurred_at: datetime
    received_at: datetime
    evidence_due_at: datetime | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of evidence; its name and content rest sealed."""

    id: str
    dispute_id: str
    category: str
    media_type: str
    size_bytes: int
    actor: str
    created_at: datetime


class OpenedEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed of a piece of evidence; a text has no name."""

    name: str
    content: bytes


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One request about a dispute to its gateway and what became of it.

    Its id is the idempotency key that the provider gets; `evidence_ids` name what it carries.
    `abandoned`: the dispute ended before the outcome was known.
    """

    id: str
    dispute_id: str
    kind: StepKind
    status: StepStatus
    evidence_ids: tuple[str, ...]
    actor: str
    sent_at: datetime
    created_at: datetime
    updated_at: datetime
    raw_code: str | None = None
    raw_text: str | None = None
    due_at: datetime | None = None
    tries: int = 0
    version: int = 1


class DisputeFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which disputes a list shows; an empty filter shows all. `due_before` is exclusive."""

    statuses: tuple[DisputeStatus, ...] = ()
    payment_id: str | None = None
    due_before: datetime | None = None
