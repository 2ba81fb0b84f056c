"""What may be done about webhook endpoints?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry
from payengine.context import TenantContext
from payengine.webhooks.models import Endpoint as EndpointRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.types.fields import mutation
from payengine_graphql.types.problems import Problem
from payengine_graphql.webhooks import inputs, payloads
from payengine_graphql.webhooks.types import (
    WebhookEndpoint,
    show_attempt,
    show_delivery,
    show_endpoint,
    show_redelivery,
)

__all__ = ["Mutation"]

T = TypeVar("T")

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Ask to be told of what happens. Needs the scope `webhooks:write`.")
    async def create_webhook_endpoint(
        self, info: Wire, input: Annotated[inputs.CreateWebhookEndpointInput, _INPUT]
    ) -> payloads.CreateWebhookEndpointPayload:
        """See `payengine.webhooks`."""
        create = info.context.engine.webhooks.endpoints.create
        made, errors = await _do(info, "createWebhookEndpoint", input, create)
        row, secret = made or (None, None)
        return payloads.CreateWebhookEndpointPayload(
            webhook_endpoint=_shown(row), secret=secret, errors=errors
        )

    @mutation("Change an endpoint. Needs the scope `webhooks:write`.")
    async def update_webhook_endpoint(
        self, info: Wire, input: Annotated[inputs.UpdateWebhookEndpointInput, _INPUT]
    ) -> payloads.UpdateWebhookEndpointPayload:
        """See `payengine.webhooks`."""
        update = info.context.engine.webhooks.endpoints.update
        row, errors = await _do(info, "updateWebhookEndpoint", input, update)
        return payloads.UpdateWebhookEndpointPayload(webhook_endpoint=_shown(row), errors=errors)

    @mutation("Tell a disabled endpoint again. Needs the scope `webhooks:write`.")
    async def enable_webhook_endpoint(
        self, info: Wire, input: Annotated[inputs.EnableWebhookEndpointInput, _INPUT]
    ) -> payloads.EnableWebhookEndpointPayload:
        """See `payengine.webhooks`."""
        enable = info.context.engine.webhooks.endpoints.enable
        row, errors = await _do(info, "enableWebhookEndpoint", input, enable)
        return payloads.EnableWebhookEndpointPayload(webhook_endpoint=_shown(row), errors=errors)

    @mutation("Tell an endpoint nothing; its place is kept. Needs the scope `webhooks:write`.")
    async def disable_webhook_endpoint(
        self, info: Wire, input: Annotated[inputs.DisableWebhookEndpointInput, _INPUT]
    ) -> payloads.DisableWebhookEndpointPayload:
        """See `payengine.webhooks`."""
        disable = info.context.engine.webhooks.endpoints.disable
        row, errors = await _do(info, "disableWebhookEndpoint", input, disable)
        return payloads.DisableWebhookEndpointPayload(webhook_endpoint=_shown(row), errors=errors)

    @mutation("Delete an endpoint; its secrets end. Needs the scope `webhooks:write`.")
    async def delete_webhook_endpoint(
        self, info: Wire, input: Annotated[inputs.DeleteWebhookEndpointInput, _INPUT]
    ) -> payloads.DeleteWebhookEndpointPayload:
        """See `payengine.webhooks`."""
        delete = info.context.engine.webhooks.endpoints.delete
        deleted, errors = await _do(info, "deleteWebhookEndpoint", input, delete)
        return payloads.DeleteWebhookEndpointPayload(
            deleted_id=strawberry.ID(deleted) if deleted else None, errors=errors
        )

    @mutation("Make a new secret; the old one signs on for a while. Needs `webhooks:write`.")
    async def rotate_webhook_secret(
        self, info: Wire, input: Annotated[inputs.RotateWebhookSecretInput, _INPUT]
    ) -> payloads.RotateWebhookSecretPayload:
        """See `payengine.webhooks`."""
        rotate = info.context.engine.webhooks.endpoints.rotate
        made, errors = await _do(info, "rotateWebhookSecret", input, rotate)
        row, secret = made or (None, None)
        return payloads.RotateWebhookSecretPayload(
            webhook_endpoint=_shown(row), secret=secret, errors=errors
        )

    @mutation("Send a test now and see the answer. Needs the scope `webhooks:write`.")
    async def send_test_webhook(
        self, info: Wire, input: Annotated[inputs.SendTestWebhookInput, _INPUT]
    ) -> payloads.SendTestWebhookPayload:
        """See `payengine.webhooks`."""
        send = info.context.engine.webhooks.by_hand.send_test
        sent, errors = await _do(info, "sendTestWebhook", input, send)
        delivery, attempt = sent or (None, None)
        return payloads.SendTestWebhookPayload(
            webhook_delivery=show_delivery(delivery) if delivery else None,
            attempt=show_attempt(attempt) if attempt else None,
            errors=errors,
        )

    @mutation("Send events once more, by their old ids. Needs the scope `webhooks:write`.")
    async def redeliver_webhook(
        self, info: Wire, input: Annotated[inputs.RedeliverWebhookInput, _INPUT]
    ) -> payloads.RedeliverWebhookPayload:
        """See `payengine.webhooks`."""
        redeliver = info.context.engine.webhooks.by_hand.redeliver
        row, errors = await _do(info, "redeliverWebhook", input, redeliver)
        return payloads.RedeliverWebhookPayload(
            webhook_redelivery=show_redelivery(row) if row else None, errors=errors
        )


async def _do(
    info: Wire,
    name: str,
    given: Any,
    change: Callable[[TenantContext, Any], Awaitable[T]],
) -> tuple[T | None, list[Problem]]:
    async def work() -> T:
        return await change(info.context.tenant, given.to_core())

    return await guarded(info, name, given, work, scope="webhooks:write")


def _shown(row: EndpointRow | None) -> WebhookEndpoint | None:
    return show_endpoint(row) if row else None
