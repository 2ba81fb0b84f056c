"""What does a mutation about providers' webhooks answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.inbound.types import GatewayEndpoint, ReceivedWebhook
from payengine_graphql.types.problems import Problem

__all__ = [
    "CreateGatewayEndpointPayload",
    "ReplayWebhookPayload",
    "RevokeGatewayEndpointPayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to createGatewayEndpoint.")
class CreateGatewayEndpointPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    gateway_endpoint: GatewayEndpoint | None = strawberry.field(
        description="The new endpoint.", default=None
    )
    path: str | None = strawberry.field(
        description=(
            "Give the provider the platform's address and this path. It is a secret, and shown "
            "once: none where the request is repeated."
        ),
        default=None,
    )


@strawberry.type(description="The answer to revokeGatewayEndpoint.")
class RevokeGatewayEndpointPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    gateway_endpoint: GatewayEndpoint | None = strawberry.field(
        description="The endpoint, revoked.", default=None
    )


@strawberry.type(description="The answer to replayWebhook.")
class ReplayWebhookPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    received_webhook: ReceivedWebhook | None = strawberry.field(
        description="The received webhook, about to be applied.", default=None
    )
