"""How are webhook endpoints and the log of what they were sent shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from payengine.webhooks.models import Attempt as AttemptRow
from payengine.webhooks.models import Delivery as DeliveryRow
from payengine.webhooks.models import Endpoint as EndpointRow
from payengine.webhooks.models import Redelivery as RedeliveryRow
from payengine.webhooks.models import Secret as SecretRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.nodes import Node

__all__ = [
    "WebhookAttempt",
    "WebhookAttemptError",
    "WebhookAttemptReason",
    "WebhookDelivery",
    "WebhookDeliveryStatus",
    "WebhookDisabledReason",
    "WebhookEndpoint",
    "WebhookEndpointStatus",
    "WebhookRedelivery",
    "WebhookRedeliveryStatus",
    "WebhookResume",
    "WebhookSecret",
    "read_delivery",
    "read_endpoint",
    "read_redelivery",
    "show_attempt",
    "show_delivery",
    "show_endpoint",
    "show_redelivery",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Whether an endpoint is told of what happens.")
class WebhookEndpointStatus(Enum):
    """See the description."""

    ENABLED = _value("enabled", "It is told.")
    DISABLED = _value("disabled", "It is told nothing; its place in the log is kept.")


@strawberry.enum(description="Why an endpoint is disabled.")
class WebhookDisabledReason(Enum):
    """See the description."""

    TENANT = _value("tenant", "You disabled it.")
    EXHAUSTED = _value("exhausted", "One event was tried for three days in vain.")
    GONE = _value("gone", "It answered 410 Gone.")


@strawberry.enum(description="Where an endpoint that was disabled goes on.")
class WebhookResume(Enum):
    """See the description."""

    LEFT_OFF = _value("left_off", "With the event at which it stopped: nothing is left out.")
    NEXT = _value("next", "Behind the event that failed.")
    NOW = _value("now", "With what happens from now on.")


@strawberry.enum(description="What became of a message to an endpoint.")
class WebhookDeliveryStatus(Enum):
    """See the description."""

    PENDING = _value("pending", "A test that is under way.")
    RETRYING = _value("retrying", "It failed, and is tried again at `nextAttemptAt`.")
    DELIVERED = _value("delivered", "The endpoint answered with a 2xx status.")
    FAILED = _value("failed", "A test that failed; tests are not tried again.")
    EXHAUSTED = _value("exhausted", "It failed for three days, or the endpoint was gone.")
    SKIPPED = _value("skipped", "It was left out when the endpoint was enabled again.")


@strawberry.enum(description="Why a message was sent.")
class WebhookAttemptReason(Enum):
    """See the description."""

    EVENT = _value("event", "It happened.")
    REDELIVERY = _value("redelivery", "Somebody asked for it once more.")
    TEST = _value("test", "Somebody asked for a test.")


@strawberry.enum(description="Why an attempt failed.")
class WebhookAttemptError(Enum):
    """See the description."""

    STATUS = _value("status", "The answer's status was not 2xx.")
    REDIRECT = _value("redirect", "The answer was a redirect, which is never followed.")
    TIMEOUT = _value("timeout", "There was no answer in time.")
    CONNECT_FAILED = _value("connect_failed", "No connection could be made.")
    TLS_FAILED = _value("tls_failed", "The certificate could not be verified, or TLS failed.")
    NAME_UNKNOWN = _value("name_unknown", "The host's name has no address.")
    ADDRESS_REFUSED = _value("address_refused", "The name leads to an address that is refused.")
    BROKEN_ANSWER = _value("broken_answer", "What came back was no HTTP, or broke off.")


@strawberry.enum(description="Where a redelivery stands.")
class WebhookRedeliveryStatus(Enum):
    """See the description."""

    OPEN = _value("open", "Events are waiting to be sent.")
    DONE = _value("done", "All were sent and taken.")
    EXHAUSTED = _value("exhausted", "One of them was tried for three days in vain.")


@strawberry.type(description="A secret that signs; it was shown when it was made.")
class WebhookSecret:
    """See the description."""

    row: strawberry.Private[SecretRow]
    id: strawberry.ID = column("The secret's id.")
    last_four: str = column("Its last four characters.")
    created_at: DateTime = column("When it was made.")
    expires_at: DateTime | None = column("Until when it signs beside the newer one.")


@strawberry.type(description="Where you want to be told, by a signed POST, of which events.")
class WebhookEndpoint(Node):
    """See the description."""

    row: strawberry.Private[EndpointRow]
    id: strawberry.ID = column("The endpoint's id.")
    url: str = column("Where messages go.")
    description: str = column("Your own words.")
    status: WebhookEndpointStatus = column("Whether it is told of what happens.")
    disabled_reason: WebhookDisabledReason | None = column("Why it is disabled.")
    disabled_at: DateTime | None = column("Since when it is disabled.")
    created_at: DateTime = column("When it was made.")
    updated_at: DateTime = column("When you, or three days of failures, changed it last.")

    @computed("How often in a row its next event has failed.")
    def failures(self) -> int:
        """0 where it is well."""
        return self.row.tries

    @computed("When the event that failed is tried again.")
    def next_attempt_at(self) -> DateTime | None:
        """None where it is well, or disabled."""
        return DateTime(self.row.retry_at) if self.row.retry_at else None

    @computed("Types such as `payment.captured`, or `payment.*`; empty for all.")
    def event_types(self) -> list[str]:
        """As they were given."""
        return list(self.row.event_types)

    @computed("The secrets that sign now, the newest first. Needs `webhooks:read`.")
    async def secrets(self, info: Wire) -> list[WebhookSecret]:
        """By the loader."""
        rows = await info.context.loaders.webhook_secrets.load(self.row.id)
        return [WebhookSecret(row=row) for row in rows]


@strawberry.type(description="One try to deliver a message.")
class WebhookAttempt:
    """See the description."""

    row: strawberry.Private[AttemptRow]
    number: int = column("Counts the tries of this message, from 1.")
    reason: WebhookAttemptReason = column("Why it was sent.")
    status_code: int | None = column("The answer's HTTP status.")
    error: WebhookAttemptError | None = column("Why it failed; none where it was taken.")
    response: str | None = column("How the answer's body began, up to 2 KiB.")
    latency_ms: int = column("How long it took, in milliseconds.")
    created_at: DateTime = column("When it ended.")


@strawberry.type(description="A message for an endpoint, and what became of it.")
class WebhookDelivery(Node):
    """See the description."""

    row: strawberry.Private[DeliveryRow]
    id: strawberry.ID = column("The delivery's id.")
    endpoint_id: strawberry.ID = column("The endpoint's id.")
    event_id: strawberry.ID = column("The event's id: the message's `webhook-id`.")
    event_type: str = column("The event's type.")
    status: WebhookDeliveryStatus = column("What became of it.")
    tries: int = column("How often it was sent.")
    next_attempt_at: DateTime | None = column("When it is tried again.")
    delivered_at: DateTime | None = column("When it was taken last.")
    created_at: DateTime = column("When it was first tried.")
    updated_at: DateTime = column("When it was last tried, or left out.")

    @computed("Every try, in order. Needs the scope `webhooks:read`.")
    async def attempts(self, info: Wire) -> list[WebhookAttempt]:
        """By the loader."""
        rows = await info.context.loaders.webhook_attempts.load(self.row.id)
        return [show_attempt(row) for row in rows]

    @computed("The endpoint; none where it was deleted. Needs `webhooks:read`.")
    async def endpoint(self, info: Wire) -> WebhookEndpoint | None:
        """By the loader."""
        found = await info.context.loaders.webhook_endpoints.load(self.row.endpoint_id)
        return show_endpoint(found) if found else None


@strawberry.type(description="Events that are sent once more because somebody asked for it.")
class WebhookRedelivery(Node):
    """See the description."""

    row: strawberry.Private[RedeliveryRow]
    id: strawberry.ID = column("The redelivery's id.")
    endpoint_id: strawberry.ID = column("The endpoint's id.")
    event_id: strawberry.ID | None = column("The one event that was asked for.")
    since: DateTime | None = column("Since when what occurred was asked for.")
    status: WebhookRedeliveryStatus = column("Where it stands.")
    delivered: int = column("How many events were taken so far.")
    created_at: DateTime = column("When it was asked for.")


def show_endpoint(row: EndpointRow) -> WebhookEndpoint:
    """The endpoint for the wire."""
    return WebhookEndpoint(row=row)


def show_delivery(row: DeliveryRow) -> WebhookDelivery:
    """The delivery for the wire."""
    return WebhookDelivery(row=row)


def show_attempt(row: AttemptRow) -> WebhookAttempt:
    """The attempt for the wire."""
    return WebhookAttempt(row=row)


def show_redelivery(row: RedeliveryRow) -> WebhookRedelivery:
    """The redelivery for the wire."""
    return WebhookRedelivery(row=row)


async def read_endpoint(context: RequestContext, endpoint_id: str) -> Node | None:
    """By the loader; None where there is none."""
    row = await context.loaders.webhook_endpoints.load(endpoint_id)
    return show_endpoint(row) if row else None


async def read_delivery(context: RequestContext, delivery_id: str) -> Node | None:
    """By the loader; None where there is none."""
    row = await context.loaders.webhook_deliveries.load(delivery_id)
    return show_delivery(row) if row else None


async def read_redelivery(context: RequestContext, redelivery_id: str) -> Node | None:
    """By the loader; None where there is none."""
    row = await context.loaders.webhook_redeliveries.load(redelivery_id)
    return show_redelivery(row) if row else None
