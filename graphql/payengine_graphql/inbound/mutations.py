"""What may be done about providers' webhooks?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from payengine.errors import NotFound
from payengine.payments.inbound import GatewayEndpoint as EndpointRow
from payengine.payments.inbound import ReceivedWebhook as WebhookRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.inbound import inputs, payloads
from payengine_graphql.inbound.types import show_endpoint, show_webhook
from payengine_graphql.inputs import check_id
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Make an address for a gateway's webhooks. Needs the scope `plugins:write`.")
    async def create_gateway_endpoint(
        self, info: Wire, input: Annotated[inputs.CreateGatewayEndpointInput, _INPUT]
    ) -> payloads.CreateGatewayEndpointPayload:
        """See `payengine.payments.inbound`."""
        made, errors = await guarded(
            info,
            "createGatewayEndpoint",
            input,
            lambda: _create(info, input),
            scope="plugins:write",
        )
        row, path = made or (None, None)
        return payloads.CreateGatewayEndpointPayload(
            gateway_endpoint=show_endpoint(row) if row else None, path=path, errors=errors
        )

    @mutation(
        "Take nothing at an address any more, within five seconds. Needs the scope `plugins:write`."
    )
    async def revoke_gateway_endpoint(
        self, info: Wire, input: Annotated[inputs.RevokeGatewayEndpointInput, _INPUT]
    ) -> payloads.RevokeGatewayEndpointPayload:
        """See `payengine.payments.inbound`."""
        row, errors = await guarded(
            info,
            "revokeGatewayEndpoint",
            input,
            lambda: _revoke(info, input),
            scope="plugins:write",
        )
        return payloads.RevokeGatewayEndpointPayload(
            gateway_endpoint=show_endpoint(row) if row else None, errors=errors
        )

    @mutation(
        "Apply a received webhook once more; what is known already changes nothing. Needs the "
        "scope `webhooks:write`."
    )
    async def replay_webhook(
        self, info: Wire, input: Annotated[inputs.ReplayWebhookInput, _INPUT]
    ) -> payloads.ReplayWebhookPayload:
        """See `payengine.payments.inbound`."""
        row, errors = await guarded(
            info, "replayWebhook", input, lambda: _replay(info, input), scope="webhooks:write"
        )
        return payloads.ReplayWebhookPayload(
            received_webhook=show_webhook(row) if row else None, errors=errors
        )


async def _create(
    info: Wire, given: inputs.CreateGatewayEndpointInput
) -> tuple[EndpointRow, str | None]:
    context = info.context
    endpoints = context.engine.inbound.endpoints

    async def do() -> tuple[str, tuple[EndpointRow, str | None]]:
        row, path = await endpoints.create(context.tenant, given.gateway)
        return row.id, (row, path)

    async def again(endpoint_id: str) -> tuple[EndpointRow, str | None]:
        return await _endpoint(info, endpoint_id), None

    return await context.services.once.run(
        context.tenant, "createGatewayEndpoint", given, at=_now(info), do=do, again=again
    )


async def _revoke(info: Wire, given: inputs.RevokeGatewayEndpointInput) -> EndpointRow:
    context = info.context
    endpoint_id = check_id(given.gateway_endpoint_id, "gwe", field="gatewayEndpointId")

    async def do() -> tuple[str, EndpointRow]:
        row = await context.engine.inbound.endpoints.revoke(context.tenant, endpoint_id)
        return row.id, row

    async def again(found: str) -> EndpointRow:
        return await _endpoint(info, found)

    return await context.services.once.run(
        context.tenant, "revokeGatewayEndpoint", given, at=_now(info), do=do, again=again
    )


async def _replay(info: Wire, given: inputs.ReplayWebhookInput) -> WebhookRow:
    context = info.context
    received = context.engine.inbound.received
    webhook_id = check_id(given.received_webhook_id, "rwh", field="receivedWebhookId")

    async def do() -> tuple[str, WebhookRow]:
        row = await received.replay(context.tenant, webhook_id)
        return row.id, row

    async def again(found: str) -> WebhookRow:
        rows = await received.get_many(context.tenant, [found])
        if found not in rows:
            raise NotFound("There is no such received webhook.")
        return rows[found]

    return await context.services.once.run(
        context.tenant, "replayWebhook", given, at=_now(info), do=do, again=again
    )


async def _endpoint(info: Wire, endpoint_id: str) -> EndpointRow:
    found = await info.context.engine.inbound.endpoints.get_many(info.context.tenant, [endpoint_id])
    if endpoint_id not in found:
        raise NotFound("There is no such gateway endpoint.")
    return found[endpoint_id]


def _now(info: Wire) -> datetime:
    return info.context.engine.clock.now(info.context.tenant.tenant_id)
