"""What may a client send about reviews?"""

from __future__ import annotations

import strawberry
from payengine.payments.review import (
    ClaimReview,
    CloseReview,
    DecideReview,
    ReleaseReview,
    ReviewFilter,
    SettleReview,
)

from payengine_graphql.inputs import check_id
from payengine_graphql.review.types import ReviewDecision, ReviewKind, SettledOutcome
from payengine_graphql.types.money import MoneyInput

__all__ = [
    "ClaimReviewInput",
    "CloseReviewInput",
    "DecideReviewInput",
    "ReleaseReviewInput",
    "ReviewFilterInput",
    "SettleReviewInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_REVIEW = "The review's id, rev_…."
_PERSON = "Who acts: the name of a person, kept with what they do."
_REASON = "Why, in words that an auditor understands."


@strawberry.input(description="Take a review on, for half an hour; again renews it.")
class ClaimReviewInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    review_id: strawberry.ID = strawberry.field(description=_REVIEW)
    person: str = strawberry.field(description=_PERSON)

    def to_core(self) -> ClaimReview:
        """For the engine."""
        return ClaimReview(
            idempotency_key=self.idempotency_key, review_id=self.review_id, person=self.person
        )


@strawberry.input(description="Let a claim go before its time.")
class ReleaseReviewInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    review_id: strawberry.ID = strawberry.field(description=_REVIEW)
    person: str = strawberry.field(description=_PERSON)

    def to_core(self) -> ReleaseReview:
        """For the engine."""
        return ReleaseReview(
            idempotency_key=self.idempotency_key, review_id=self.review_id, person=self.person
        )


@strawberry.input(description="Say what became of one open operation.")
class SettleReviewInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    review_id: strawberry.ID = strawberry.field(description=_REVIEW)
    operation_id: strawberry.ID = strawberry.field(
        description="One of the review's `openOperations`."
    )
    outcome: SettledOutcome = strawberry.field(description="What became of it.")
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)
    amount: MoneyInput | None = strawberry.field(
        description="What really moved, where it is not what was asked.", default=None
    )
    reference: str | None = strawberry.field(
        description="The provider's own name for it.", default=None
    )
    decline_code: str | None = strawberry.field(
        description="Why the provider refused; a code of the taxonomy.", default=None
    )

    def to_core(self) -> SettleReview:
        """For the engine."""
        check_id(self.operation_id, "op", "ref", field="operationId")
        return SettleReview(
            idempotency_key=self.idempotency_key,
            review_id=self.review_id,
            operation_id=self.operation_id,
            outcome=self.outcome.value,
            person=self.person,
            reason=self.reason,
            amount_minor=self.amount.amount_minor if self.amount else None,
            currency=self.amount.currency if self.amount else None,
            reference=self.reference,
            decline_code=self.decline_code,
        )


@strawberry.input(description="Say whether a payment that is held may go on.")
class DecideReviewInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    review_id: strawberry.ID = strawberry.field(description=_REVIEW)
    decision: ReviewDecision = strawberry.field(description="Whether it may go on.")
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)
    is_fraud: bool | None = strawberry.field(
        description="Whether you know it to be fraud, or to be none: the rules learn it.",
        default=None,
    )

    def to_core(self) -> DecideReview:
        """For the engine."""
        return DecideReview(
            idempotency_key=self.idempotency_key,
            review_id=self.review_id,
            decision=self.decision.value,
            person=self.person,
            reason=self.reason,
            is_fraud=self.is_fraud,
        )


@strawberry.input(description="Say that nothing is left to do.")
class CloseReviewInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    review_id: strawberry.ID = strawberry.field(description=_REVIEW)
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)

    def to_core(self) -> CloseReview:
        """For the engine."""
        return CloseReview(
            idempotency_key=self.idempotency_key,
            review_id=self.review_id,
            person=self.person,
            reason=self.reason,
        )


@strawberry.input(description="Which reviews to list; by default those that wait.")
class ReviewFilterInput:
    """See the description."""

    is_open: bool = strawberry.field(
        description="Those that wait; false for those that are closed.", default=True
    )
    claimed_by: str | None = strawberry.field(
        description="Those that this person has claimed now.", default=None
    )
    kind: ReviewKind | None = strawberry.field(description="Of this kind only.", default=None)
    unclaimed: bool = strawberry.field(
        description="Only those that nobody has claimed now.", default=False
    )

    def to_core(self) -> ReviewFilter:
        """For the engine."""
        return ReviewFilter(
            is_open=self.is_open,
            claimed_by=self.claimed_by,
            kind=self.kind.value if self.kind else None,
            unclaimed=self.unclaimed,
        )
