"""How is what waits for a person shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.payments.review import Review as ReviewRow
from payengine.payments.review import ReviewAction as ReviewActionRow
from payengine.payments.review import reasons_of, waiting_of

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.fraud.decisions import FraudDecision, show_decision
from payengine_graphql.scalars import DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.nodes import Node
from payengine_graphql.types.payments import (
    Evidence,
    Operation,
    Payment,
    show_operation,
    show_payment,
)

__all__ = [
    "Review",
    "ReviewAction",
    "ReviewActionKind",
    "ReviewDecision",
    "ReviewKind",
    "SettledOutcome",
    "read_review",
    "show_review",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="What a person did about a review.")
class ReviewActionKind(Enum):
    """See the description."""

    CLAIMED = _value("claimed", "Took it on.")
    RELEASED = _value("released", "Let it go.")
    SETTLED = _value("settled", "Said what became of an operation.")
    CLOSED = _value("closed", "Said that nothing is left to do.")
    DECIDED = _value("decided", "Said whether a payment that was held may go on.")


@strawberry.enum(description="Why a payment waits for a person.")
class ReviewKind(Enum):
    """See the description."""

    FLAG = _value("flag", "Something happened that no machine can settle: see `openOperations`.")
    FRAUD = _value("fraud", "It is held because it may be fraud: see `fraudDecisions`.")


@strawberry.enum(description="Whether a payment that is held may go on.")
class ReviewDecision(Enum):
    """See the description."""

    APPROVED = _value("approved", "It goes on; what was to be captured at once is captured.")
    REJECTED = _value("rejected", "The hold is released, and nothing is taken.")


@strawberry.enum(description="What became of an operation, as the provider's own site shows it.")
class SettledOutcome(Enum):
    """See the description."""

    SUCCEEDED = _value("SUCCEEDED", "It was done; `amount` says what moved, if not what was asked.")
    DECLINED = _value("DECLINED", "The provider refused it.")
    NOT_PROCESSED = _value("NOT_PROCESSED", "The provider did nothing.")


@strawberry.type(description="What a person did, in whose name and why. Kept for ever.")
class ReviewAction:
    """See the description."""

    row: strawberry.Private[ReviewActionRow]
    id: strawberry.ID = column("The action's id.")
    kind: ReviewActionKind = column("What was done.")
    person: str = column("Who did it.")
    actor: str = column("The API key in whose name.")
    reason: str = column("Why, in the person's words.")
    operation_id: strawberry.ID | None = column("The operation that was settled.")
    created_at: DateTime = column("When.")


@strawberry.type(description="A payment that waits for a person.")
class Review(Node):
    """See the description."""

    row: strawberry.Private[ReviewRow]
    payment_id: strawberry.ID = column("The payment that waits.")
    opened_at: DateTime = column("Since when it waits.")
    claimed_by: str | None = column("Who has claimed it last; see `claimedUntil`.")
    claimed_until: DateTime | None = column("Until when that claim holds.")
    closed_by: str | None = column("Who closed it.")
    closed_at: DateTime | None = column("When it was closed; none while it waits.")
    decide_by: DateTime | None = column(
        "When the tenant's default decides on what is held, or when a decision is carried out."
    )

    @computed("Why it waits for a person.")
    def kind(self) -> ReviewKind:
        """From the row."""
        return ReviewKind(self.row.kind)

    @computed("What was decided; none while it waits, and where there was nothing to decide.")
    def decision(self) -> ReviewDecision | None:
        """From the row."""
        return ReviewDecision(self.row.decision) if self.row.decision else None

    @computed("What the fraud rules said of the payment. Needs the scope `fraud:read`.")
    async def fraud_decisions(self, info: Wire) -> list[FraudDecision]:
        """By the loader."""
        rows = await info.context.loaders.fraud_decisions.load(self.row.payment_id)
        return [show_decision(row) for row in rows]

    @computed(
        "Why it waits: the payment's anomalies, `conflicted` where the provider named another "
        "amount or currency, `outcome_unknown` where nobody can be asked any more, "
        "`pending_too_long` where the gateway or the buyer ended nothing in time, "
        "`suspicious` where it is held because of the fraud rules."
    )
    async def reasons(self, info: Wire) -> list[str]:
        """From the payment and its operations as they stand."""
        context = info.context
        payment = await context.loaders.payments.load(self.row.payment_id)
        operations = await context.loaders.operations.load(self.row.payment_id)
        return reasons_of(payment, operations) if payment else []

    @computed("The payment that waits. Needs the scope `payments:read`.")
    async def payment(self, info: Wire) -> Payment | None:
        """By the loader."""
        found = await info.context.loaders.payments.load(self.row.payment_id)
        return show_payment(found) if found else None

    @computed("The operations that `settleReview` takes, the oldest first.")
    async def open_operations(self, info: Wire) -> list[Operation]:
        """By the loader."""
        rows = await info.context.loaders.operations.load(self.row.payment_id)
        return [show_operation(row) for row in waiting_of(rows)]

    @computed("What is known so far of all the payment's operations, the oldest first.")
    async def evidence(self, info: Wire) -> list[Evidence]:
        """By the loaders."""
        loaders = info.context.loaders
        operations = await loaders.operations.load(self.row.payment_id)
        found = await loaders.evidence.load_many([each.id for each in operations])
        rows = sorted((row for rows in found for row in rows), key=lambda row: row.id)
        return [Evidence(row=row) for row in rows]

    @computed("What people have done about it, the oldest first.")
    async def actions(self, info: Wire) -> list[ReviewAction]:
        """By the loader."""
        rows = await info.context.loaders.review_actions.load(self.row.id)
        return [ReviewAction(row=row) for row in rows]


def show_review(row: ReviewRow) -> Review:
    """The review for the wire."""
    return Review(id=strawberry.ID(row.id), row=row)


async def read_review(context: RequestContext, review_id: str) -> Review | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.reviews.load(review_id)
    return show_review(row) if row else None
