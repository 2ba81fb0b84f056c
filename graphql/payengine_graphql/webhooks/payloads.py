"""What does a mutation about webhooks answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.types.problems import Problem
from payengine_graphql.webhooks.types import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookRedelivery,
)

__all__ = [
    "CreateWebhookEndpointPayload",
    "DeleteWebhookEndpointPayload",
    "DisableWebhookEndpointPayload",
    "EnableWebhookEndpointPayload",
    "RedeliverWebhookPayload",
    "RotateWebhookSecretPayload",
    "SendTestWebhookPayload",
    "UpdateWebhookEndpointPayload",
]

_ERRORS = "Why it was not done; empty where it was."
_SHOWN_ONCE = "The secret, `whsec_…`, this once: a key that was used before does not show it again."


@strawberry.type(description="The answer to createWebhookEndpoint.")
class CreateWebhookEndpointPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        description="The new endpoint.", default=None
    )
    secret: str | None = strawberry.field(description=_SHOWN_ONCE, default=None)


@strawberry.type(description="The answer to updateWebhookEndpoint.")
class UpdateWebhookEndpointPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        description="The endpoint as it now is.", default=None
    )


@strawberry.type(description="The answer to enableWebhookEndpoint.")
class EnableWebhookEndpointPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        description="The endpoint as it now is.", default=None
    )


@strawberry.type(description="The answer to disableWebhookEndpoint.")
class DisableWebhookEndpointPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        description="The endpoint as it now is.", default=None
    )


@strawberry.type(description="The answer to deleteWebhookEndpoint.")
class DeleteWebhookEndpointPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    deleted_id: strawberry.ID | None = strawberry.field(
        description="The id of the endpoint that is gone.", default=None
    )


@strawberry.type(description="The answer to rotateWebhookSecret.")
class RotateWebhookSecretPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    webhook_endpoint: WebhookEndpoint | None = strawberry.field(
        description="The endpoint with its secrets that sign now.", default=None
    )
    secret: str | None = strawberry.field(description=_SHOWN_ONCE, default=None)


@strawberry.type(description="The answer to sendTestWebhook.")
class SendTestWebhookPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    webhook_delivery: WebhookDelivery | None = strawberry.field(
        description="The test and what became of it.", default=None
    )
    attempt: WebhookAttempt | None = strawberry.field(
        description="What the endpoint answered; none for a key that was used before.", default=None
    )


@strawberry.type(description="The answer to redeliverWebhook.")
class RedeliverWebhookPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    webhook_redelivery: WebhookRedelivery | None = strawberry.field(
        description="What will be sent once more.", default=None
    )
