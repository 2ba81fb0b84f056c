"""What does a mutation about a review answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.review.types import Review
from payengine_graphql.types.problems import Problem

__all__ = [
    "ClaimReviewPayload",
    "CloseReviewPayload",
    "DecideReviewPayload",
    "ReleaseReviewPayload",
    "SettleReviewPayload",
]

_ERRORS = "Why it was not done; empty where it was."
_STANDS = "The review as it now stands; none where the input was refused."


@strawberry.type(description="The answer to claimReview.")
class ClaimReviewPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    review: Review | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to releaseReview.")
class ReleaseReviewPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    review: Review | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to settleReview.")
class SettleReviewPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    review: Review | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to decideReview.")
class DecideReviewPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    review: Review | None = strawberry.field(description=_STANDS, default=None)


@strawberry.type(description="The answer to closeReview.")
class CloseReviewPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    review: Review | None = strawberry.field(description=_STANDS, default=None)
