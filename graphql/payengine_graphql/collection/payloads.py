"""What does a mutation about a collection answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.collection.types import InvoiceCollection
from payengine_graphql.types.problems import Problem

__all__ = [
    "RetryCollectionPayload",
    "UpdateSubscriptionMethodPayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to retryCollection.")
class RetryCollectionPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    collection: InvoiceCollection | None = strawberry.field(
        description="The collection as it now stands; none where the input was refused.",
        default=None,
    )


@strawberry.type(description="The answer to updateSubscriptionMethod.")
class UpdateSubscriptionMethodPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    collections: list[InvoiceCollection] = strawberry.field(
        description="The collections that go on by the new method.", default_factory=list
    )
