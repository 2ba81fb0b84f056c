"""How are gateway endpoints and received webhooks shown?"""

from __future__ import annotations

import base64
from enum import Enum
from typing import Any

import strawberry
from payengine.payments.inbound import GatewayEndpoint as EndpointRow
from payengine.payments.inbound import KeptRequest
from payengine.payments.inbound import ReceivedWebhook as WebhookRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import DateTime
from payengine_graphql.types.enums import OperationKind
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.nodes import Node
from payengine_graphql.types.payments import Operation, Payment, show_operation, show_payment

__all__ = [
    "GatewayEndpoint",
    "ReceivedWebhook",
    "ReceivedWebhookState",
    "WebhookHeader",
    "WebhookRequest",
    "read_endpoint",
    "read_webhook",
    "show_endpoint",
    "show_request",
    "show_webhook",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="What became of a provider's webhook.")
class ReceivedWebhookState(Enum):
    """See the description."""

    PENDING = _value("pending", "Stored, and about to be applied.")
    APPLIED = _value("applied", "It changed something.")
    STALE = _value("stale", "It told nothing that was not known.")
    UNMATCHED = _value("unmatched", "It speaks of an operation that nobody here asked for.")
    HELD = _value("held", "Applying it failed too often; somebody must look.")


@strawberry.type(description="An address at which a gateway's webhooks are taken for this tenant.")
class GatewayEndpoint(Node):
    """See the description."""

    row: strawberry.Private[EndpointRow]
    id: strawberry.ID = column("The endpoint's id; it is not part of its address.")
    plugin: str = column("The plugin that verifies what comes in.")
    gateway: str = column("The gateway.")
    last_four: str = column("How the address ends.")
    created_at: DateTime = column("When it was made.")
    revoked_at: DateTime | None = column("Since when nothing is taken there.")


@strawberry.type(description="One verified fact that a provider told us by webhook.")
class ReceivedWebhook(Node):
    """See the description."""

    row: strawberry.Private[WebhookRow]
    id: strawberry.ID = column("The received webhook's id.")
    plugin: str = column("The plugin that verified it.")
    gateway: str = column("The gateway whose endpoint it came to.")
    event_id: str = column("The provider's id of the fact; told twice, it is kept once.")
    kind: OperationKind = column("What kind of operation it speaks of.")
    state: ReceivedWebhookState = column("What became of it.")
    problem: str | None = column("Why it is not applied.")
    needs_review: bool = column("Whether it waits for a person: nothing tries it again by itself.")
    tries: int = column("How often it was taken up.")
    occurred_at: DateTime = column("When it happened, by the provider's clock.")
    received_at: DateTime = column("When it came in.")
    settled_at: DateTime | None = column("When it was done with.")
    payment_id: strawberry.ID | None = column("The payment that it speaks of.")
    operation_id: strawberry.ID | None = column("The operation that it speaks of.")

    @computed("The status that it tells, such as `succeeded`.")
    def told(self) -> str:
        """The outcome's or the dispute's."""
        return self.row.said

    @computed("When it is tried next.")
    def next_try_at(self) -> DateTime | None:
        """None where it is done with, or waits for a person."""
        return DateTime(self.row.due_at) if self.row.due_at else None

    @computed("The payment as it is now. Needs the scope `payments:read`.")
    async def payment(self, info: Wire) -> Payment | None:
        """By the loader."""
        if self.row.payment_id is None:
            return None
        info.context.require("payments:read")
        found = await info.context.loaders.payments.load(self.row.payment_id)
        return show_payment(found) if found else None

    @computed("The operation as it is now. Needs the scope `payments:read`.")
    async def operation(self, info: Wire) -> Operation | None:
        """By the loader."""
        if self.row.operation_id is None:
            return None
        info.context.require("payments:read")
        found = await info.context.loaders.operations_by_id.load(self.row.operation_id)
        return show_operation(found) if found else None


@strawberry.type(description="One header of a provider's call.")
class WebhookHeader:
    """See the description."""

    name: str = strawberry.field(description="In lower case.")
    value: str = strawberry.field(description="As it came.")


@strawberry.type(
    description="A provider's call as it came, without cookies and headers of the connection."
)
class WebhookRequest:
    """See the description."""

    id: strawberry.ID = strawberry.field(description="The call's id.")
    received_at: DateTime = strawberry.field(description="When it came in.")
    headers: list[WebhookHeader] = strawberry.field(description="In the order in which they came.")
    body: str | None = strawberry.field(description="The body; none where it is not UTF-8.")
    body_base64: str = strawberry.field(description="The body's exact bytes, in base64.")
    redacted: bool = strawberry.field(
        description="Whether a card number was taken out of what is kept."
    )


def show_endpoint(row: EndpointRow) -> GatewayEndpoint:
    """The endpoint for the wire."""
    return GatewayEndpoint(row=row)


def show_webhook(row: WebhookRow) -> ReceivedWebhook:
    """The received webhook for the wire."""
    return ReceivedWebhook(row=row)


def show_request(kept: KeptRequest) -> WebhookRequest:
    """The call for the wire."""
    try:
        body = kept.body.decode()
    except UnicodeDecodeError:
        body = None
    return WebhookRequest(
        id=strawberry.ID(kept.id),
        received_at=DateTime(kept.received_at),
        headers=[WebhookHeader(name=name, value=value) for name, value in kept.headers],
        body=body,
        body_base64=base64.b64encode(kept.body).decode(),
        redacted=kept.redacted,
    )


async def read_endpoint(context: RequestContext, endpoint_id: str) -> Node | None:
    """The endpoint with this id, for `node`."""
    found = await context.engine.inbound.endpoints.get_many(context.tenant, [endpoint_id])
    return show_endpoint(found[endpoint_id]) if endpoint_id in found else None


async def read_webhook(context: RequestContext, webhook_id: str) -> Node | None:
    """The received webhook with this id, for `node`."""
    found = await context.engine.inbound.received.get_many(context.tenant, [webhook_id])
    return show_webhook(found[webhook_id]) if webhook_id in found else None
