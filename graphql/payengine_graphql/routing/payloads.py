"""What does a mutation about routing answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.routing.types import RoutingActivation, RoutingPolicy
from payengine_graphql.types.problems import Problem

__all__ = [
    "ActivateRoutingPolicyPayload",
    "RollBackRoutingPolicyPayload",
    "SaveRoutingPolicyPayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to saveRoutingPolicy.")
class SaveRoutingPolicyPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    routing_policy: RoutingPolicy | None = strawberry.field(
        description="The new version.", default=None
    )


@strawberry.type(description="The answer to activateRoutingPolicy.")
class ActivateRoutingPolicyPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    routing_activation: RoutingActivation | None = strawberry.field(
        description="What holds from now on.", default=None
    )


@strawberry.type(description="The answer to rollBackRoutingPolicy.")
class RollBackRoutingPolicyPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    routing_activation: RoutingActivation | None = strawberry.field(
        description="What holds from now on.", default=None
    )
