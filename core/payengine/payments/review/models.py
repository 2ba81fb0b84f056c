"""What waits for a person, and what has a person done about it?

A review is one payment that was flagged, or that is held because it may be fraud. It opens by
itself with the flag or the hold, and closes when a person has settled what was open, has decided,
or has said that nothing is left to do. Its actions are never changed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

__all__ = [
    "CLAIM_FOR",
    "ClaimReview",
    "CloseReview",
    "DecideReview",
    "Decision",
    "ReleaseReview",
    "Review",
    "ReviewAction",
    "ReviewFilter",
    "ReviewKind",
    "SettleReview",
    "SettledOutcome",
]

#: How long a claim holds; claiming again renews it.
CLAIM_FOR = timedelta(minutes=30)

SettledOutcome = Literal["SUCCEEDED", "DECLINED", "NOT_PROCESSED"]
#: A `flag` says that something happened that no machine can settle; `fraud`, that the payment is
#: held until somebody has decided whether it may go on.
ReviewKind = Literal["flag", "fraud"]
Decision = Literal["approved", "rejected"]


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that waits for a person, as one row.

    `claimed_by` is the person's name, `claimed_actor` the API key in whose name they act.
    `decide_by` is when the tenant's default decides; once there is a decision, when it is carried
    out. None where nothing is to be decided, or all is done.
    """

    id: str
    payment_id: str
    opened_at: datetime
    claimed_by: str | None = None
    claimed_actor: str | None = None
    claimed_until: datetime | None = None
    closed_by: str | None = None
    closed_actor: str | None = None
    closed_at: datetime | None = None
    kind: ReviewKind = "flag"
    decide_by: datetime | None = None
    decision: Decision | None = None
    version: int = 1

    def holder(self, *, at: datetime) -> tuple[str, str] | None:
        """(person, actor) who have claimed it at this instant, or None."""
        if self.claimed_by is None or self.claimed_actor is None or self.claimed_until is None:
            return None
        return (self.claimed_by, self.claimed_actor) if self.claimed_until > at else None


class ReviewAction(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did: who, in whose name, when and why."""

    id: str
    review_id: str
    kind: Literal["claimed", "released", "settled", "closed", "decided"]
    person: str
    actor: str
    reason: str
    data: dict[str, Any]
    created_at: datetime
    operation_id: str | None = None


class ReviewFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which reviews a list shows; by default those that are open, whoever has claimed them."""

    is_open: bool = True
    claimed_by: str | None = None
    kind: ReviewKind | None = None
    unclaimed: bool = False


class ClaimReview(msgspec.Struct, frozen=True, kw_only=True):
    """Take a review on, for half an hour."""

    idempotency_key: str
    review_id: str
    person: str


class ReleaseReview(msgspec.Struct, frozen=True, kw_only=True):
    """Let a claim go before its time."""

    idempotency_key: str
    review_id: str
    person: str


class SettleReview(msgspec.Struct, frozen=True, kw_only=True):
    """Say what became of one open operation, as the provider's own site shows it.

    SUCCEEDED takes what really moved: `amount_minor` in `currency` (None: as asked), under the
    provider's `reference`. DECLINED may carry the provider's `decline_code`.
    """

    idempotency_key: str
    review_id: str
    operation_id: str
    outcome: SettledOutcome
    person: str
    reason: str
    amount_minor: int | None = None
    currency: str | None = None
    reference: str | None = None
    decline_code: str | None = None


class DecideReview(msgspec.Struct, frozen=True, kw_only=True):
    """Say whether a payment that is held may go on.

    `is_fraud` says what the person knows of it, and is learnt from; None: nothing for certain.
    """

    idempotency_key: str
    review_id: str
    decision: Decision
    person: str
    reason: str
    is_fraud: bool | None = None


class CloseReview(msgspec.Struct, frozen=True, kw_only=True):
    """Say that nothing is left to do; refused while an operation has no known outcome."""

    idempotency_key: str
    review_id: str
    person: str
    reason: str
