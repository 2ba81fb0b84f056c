"""What may a client send about webhooks?"""

from __future__ import annotations

import strawberry
from payengine.webhooks.models import (
    CreateEndpoint,
    DeleteEndpoint,
    DeliveryFilter,
    DisableEndpoint,
    EnableEndpoint,
    Redeliver,
    RotateSecret,
    SendTest,
    UpdateEndpoint,
)

from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import DateTime
from payengine_graphql.webhooks.types import WebhookDeliveryStatus, WebhookResume

__all__ = [
    "CreateWebhookEndpointInput",
    "DeleteWebhookEndpointInput",
    "DisableWebhookEndpointInput",
    "EnableWebhookEndpointInput",
    "RedeliverWebhookInput",
    "RotateWebhookSecretInput",
    "SendTestWebhookInput",
    "UpdateWebhookEndpointInput",
    "WebhookDeliveryFilterInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_ENDPOINT = "The endpoint's id, whe_…."
_TYPES = "Types such as `payment.captured`, or `payment.*` for all of a kind; empty for all types."


@strawberry.input(description="A new endpoint; it is told of what happens from now on.")
class CreateWebhookEndpointInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    url: str = strawberry.field(description="Where messages go; https.")
    event_types: list[str] = strawberry.field(description=_TYPES, default_factory=list)
    description: str = strawberry.field(
        description="Your own words, up to 500 characters.", default=""
    )

    def to_core(self) -> CreateEndpoint:
        """For the engine."""
        return CreateEndpoint(
            idempotency_key=self.idempotency_key,
            url=self.url,
            event_types=tuple(self.event_types),
            description=self.description,
        )


@strawberry.input(description="What is left out stays as it is.")
class UpdateWebhookEndpointInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint_id: strawberry.ID = strawberry.field(description=_ENDPOINT)
    url: str | None = strawberry.field(
        description="Where messages go; what failed is tried there at once.", default=None
    )
    event_types: list[str] | None = strawberry.field(description=_TYPES, default=None)
    description: str | None = strawberry.field(description="Your own words.", default=None)

    def to_core(self) -> UpdateEndpoint:
        """For the engine."""
        return UpdateEndpoint(
            idempotency_key=self.idempotency_key,
            endpoint_id=self.webhook_endpoint_id,
            url=self.url,
            event_types=None if self.event_types is None else tuple(self.event_types),
            description=self.description,
        )


@strawberry.input(description="Tell an endpoint again.")
class EnableWebhookEndpointInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint_id: strawberry.ID = strawberry.field(description=_ENDPOINT)
    resume: WebhookResume = strawberry.field(
        description="Where it goes on.", default=WebhookResume.LEFT_OFF
    )

    def to_core(self) -> EnableEndpoint:
        """For the engine."""
        return EnableEndpoint(
            idempotency_key=self.idempotency_key,
            endpoint_id=self.webhook_endpoint_id,
            resume=self.resume.value,
        )


@strawberry.input(description="Tell an endpoint nothing until it is enabled again.")
class DisableWebhookEndpointInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint_id: strawberry.ID = strawberry.field(description=_ENDPOINT)

    def to_core(self) -> DisableEndpoint:
        """For the engine."""
        return DisableEndpoint(
            idempotency_key=self.idempotency_key, endpoint_id=self.webhook_endpoint_id
        )


@strawberry.input(description="Tell an endpoint nothing any more.")
class DeleteWebhookEndpointInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint_id: strawberry.ID = strawberry.field(description=_ENDPOINT)

    def to_core(self) -> DeleteEndpoint:
        """For the engine."""
        return DeleteEndpoint(
            idempotency_key=self.idempotency_key, endpoint_id=self.webhook_endpoint_id
        )


@strawberry.input(description="Make a new secret.")
class RotateWebhookSecretInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint_id: strawberry.ID = strawberry.field(description=_ENDPOINT)
    overlap_seconds: int = strawberry.field(
        description="How long the old secret signs beside the new one: 0 to 604800, a week.",
        default=86_400,
    )

    def to_core(self) -> RotateSecret:
        """For the engine."""
        return RotateSecret(
            idempotency_key=self.idempotency_key,
            endpoint_id=self.webhook_endpoint_id,
            overlap_s=self.overlap_seconds,
        )


@strawberry.input(description="Send a message that tells of nothing.")
class SendTestWebhookInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint_id: strawberry.ID = strawberry.field(description=_ENDPOINT)

    def to_core(self) -> SendTest:
        """For the engine."""
        return SendTest(idempotency_key=self.idempotency_key, endpoint_id=self.webhook_endpoint_id)


@strawberry.input(description="Send events once more: give eventId or since.")
class RedeliverWebhookInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    webhook_endpoint_id: strawberry.ID = strawberry.field(description=_ENDPOINT)
    event_id: strawberry.ID | None = strawberry.field(
        description="The event's id, evt_…; it is sent whatever the endpoint's types.", default=None
    )
    since: DateTime | None = strawberry.field(
        description="All that occurred since, of the endpoint's types; within the last 30 days.",
        default=None,
    )

    def to_core(self) -> Redeliver:
        """For the engine."""
        return Redeliver(
            idempotency_key=self.idempotency_key,
            endpoint_id=self.webhook_endpoint_id,
            event_id=self.event_id,
            since=self.since,
        )


@strawberry.input(description="Which deliveries to list; all that is given must hold.")
class WebhookDeliveryFilterInput:
    """See the description."""

    status: WebhookDeliveryStatus | None = strawberry.field(
        description="In this status.", default=None
    )
    event_id: strawberry.ID | None = strawberry.field(description="Of this event.", default=None)

    def to_core(self, endpoint_id: str) -> DeliveryFilter:
        """For the engine; raises `InputInvalid`."""
        if self.event_id is not None:
            check_id(self.event_id, "evt", field="eventId")
        return DeliveryFilter(
            endpoint_id=endpoint_id,
            event_id=self.event_id,
            status=self.status.value if self.status else None,
        )
