"""What waits for a person, and who settles it?

`Reviews` is the door; `verdicts` is pure.
"""

from __future__ import annotations

from payengine.payments.review.models import (
    ClaimReview,
    CloseReview,
    ReleaseReview,
    Review,
    ReviewAction,
    ReviewFilter,
    SettledOutcome,
    SettleReview,
)
from payengine.payments.review.service import Reviews
from payengine.payments.review.verdicts import reasons_of, waiting_of

__all__ = [
    "ClaimReview",
    "CloseReview",
    "ReleaseReview",
    "Review",
    "ReviewAction",
    "ReviewFilter",
    "Reviews",
    "SettleReview",
    "SettledOutcome",
    "reasons_of",
    "waiting_of",
]
