"""What may a person do about what waits?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import strawberry
from payengine.payments.review import Review as ReviewRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.review import inputs, payloads
from payengine_graphql.review.types import Review, show_review
from payengine_graphql.types.fields import mutation
from payengine_graphql.types.problems import Problem

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Take a review on. Needs the scope `reviews:write`.")
    async def claim_review(
        self, info: Wire, input: Annotated[inputs.ClaimReviewInput, _INPUT]
    ) -> payloads.ClaimReviewPayload:
        """See `payengine.payments.review`."""
        claim = info.context.engine.reviews.claim
        review, errors = await _do(info, "claimReview", input, claim)
        return payloads.ClaimReviewPayload(review=review, errors=errors)

    @mutation("Let a review go. Needs the scope `reviews:write`.")
    async def release_review(
        self, info: Wire, input: Annotated[inputs.ReleaseReviewInput, _INPUT]
    ) -> payloads.ReleaseReviewPayload:
        """See `payengine.payments.review`."""
        release = info.context.engine.reviews.release
        review, errors = await _do(info, "releaseReview", input, release)
        return payloads.ReleaseReviewPayload(review=review, errors=errors)

    @mutation("Say what became of an operation. Needs the scope `reviews:write`.")
    async def settle_review(
        self, info: Wire, input: Annotated[inputs.SettleReviewInput, _INPUT]
    ) -> payloads.SettleReviewPayload:
        """See `payengine.payments.review`."""
        settle = info.context.engine.reviews.settle
        review, errors = await _do(info, "settleReview", input, settle)
        return payloads.SettleReviewPayload(review=review, errors=errors)

    @mutation("Say whether a held payment may go on. Needs the scope `reviews:write`.")
    async def decide_review(
        self, info: Wire, input: Annotated[inputs.DecideReviewInput, _INPUT]
    ) -> payloads.DecideReviewPayload:
        """See `payengine.payments.review`."""
        decide = info.context.engine.reviews.decide
        review, errors = await _do(info, "decideReview", input, decide)
        return payloads.DecideReviewPayload(review=review, errors=errors)

    @mutation("Say that nothing is left to do. Needs the scope `reviews:write`.")
    async def close_review(
        self, info: Wire, input: Annotated[inputs.CloseReviewInput, _INPUT]
    ) -> payloads.CloseReviewPayload:
        """See `payengine.payments.review`."""
        close = info.context.engine.reviews.close
        review, errors = await _do(info, "closeReview", input, close)
        return payloads.CloseReviewPayload(review=review, errors=errors)


async def _do(
    info: Wire, name: str, given: Any, change: Callable[[Any, Any], Awaitable[ReviewRow]]
) -> tuple[Review | None, list[Problem]]:
    async def work() -> ReviewRow:
        return await change(info.context.tenant, given.to_core())

    row, errors = await guarded(info, name, given, work, scope="reviews:write")
    return (show_review(row) if row else None), errors
