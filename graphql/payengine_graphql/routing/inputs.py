"""What may a client send about routing?"""

from __future__ import annotations

import strawberry

from payengine_graphql.scalars import JSON, DateTime

__all__ = [
    "ActivateRoutingPolicyInput",
    "RollBackRoutingPolicyInput",
    "SaveRoutingPolicyInput",
    "SimulateRoutingInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_REASON = "Why, for those who read it later; 1 to 500 characters."
_POLICY = "The document; routingPolicySchema tells its form."


@strawberry.input(description="A new version of the policy.")
class SaveRoutingPolicyInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    policy: JSON = strawberry.field(description=_POLICY)
    reason: str = strawberry.field(description=_REASON)
    activate: bool = strawberry.field(
        description="Whether it holds at once; else activateRoutingPolicy lets it.", default=False
    )


@strawberry.input(description="Let a version hold.")
class ActivateRoutingPolicyInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    reason: str = strawberry.field(description=_REASON)
    routing_policy_id: strawberry.ID | None = strawberry.field(
        description="The policy's id, rtp_…; without it, the default holds: no rules.", default=None
    )


@strawberry.input(description="Let hold again what held before the present policy.")
class RollBackRoutingPolicyInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    reason: str = strawberry.field(description=_REASON)


@strawberry.input(description="Try a policy on past payments.")
class SimulateRoutingInput:
    """See the description."""

    policy: JSON = strawberry.field(description=_POLICY)
    since: DateTime = strawberry.field(description="Payments made from then on.")
    until: DateTime = strawberry.field(description="And before then.")
