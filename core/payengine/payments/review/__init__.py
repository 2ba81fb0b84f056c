"""What waits for a person, and who settles it?

`Reviews` is the door; `verdicts` is pure.
"""

from __future__ import annotations

from payengine.payments.review.models import (
    ClaimReview,
    CloseReview,
    DecideReview,
    Decision,
    ReleaseReview,
    Review,
    ReviewAction,
    ReviewFilter,
    ReviewKind,
    SettledOutcome,
    SettleReview,
)
from payengine.payments.review.service import Reviews
from payengine.payments.review.verdicts import reasons_of, waiting_of

__all__ = [
    "ClaimReview",
    "CloseReview",
    "DecideReview",
    "Decision",
    "ReleaseReview",
    "Review",
    "ReviewAction",
    "ReviewFilter",
    "ReviewKind",
    "Reviews",
    "SettleReview",
    "SettledOutcome",
    "reasons_of",
    "waiting_of",
]
