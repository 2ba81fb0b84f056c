"""What may be read of webhook endpoints and their log?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)
from payengine_graphql.webhooks.inputs import WebhookDeliveryFilterInput
from payengine_graphql.webhooks.types import (
    WebhookDelivery,
    WebhookEndpoint,
    show_delivery,
    show_endpoint,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_Filter = Annotated[
    WebhookDeliveryFilterInput | None,
    strawberry.argument(description="Which deliveries to list."),
]
_EndpointId = Annotated[strawberry.ID, strawberry.argument(description="The endpoint's id, whe_….")]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One webhook endpoint. Needs the scope `webhooks:read`.")
    async def webhook_endpoint(self, info: Wire, id: _EndpointId) -> WebhookEndpoint | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("webhooks:read")
        check_id(id, "whe", field="id")
        return await _endpoint(info, id, field="id")

    @computed("Your webhook endpoints, the newest first. Needs the scope `webhooks:read`.")
    async def webhook_endpoints(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[WebhookEndpoint]:
        """A page."""
        info.context.require("webhooks:read")
        rows = await info.context.engine.webhooks.endpoints.page(
            info.context.tenant, first=check_first(first), after=_cursor(after, "whe")
        )
        return connect(
            rows, first=first, after=after, show=show_endpoint, cursor=lambda row: row.id
        )

    @computed("What an endpoint was sent, the newest first. Needs the scope `webhooks:read`.")
    async def webhook_deliveries(
        self,
        info: Wire,
        webhook_endpoint_id: _EndpointId,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _Filter = None,
    ) -> Connection[WebhookDelivery]:
        """A page; NOT_FOUND where there is no such endpoint."""
        info.context.require("webhooks:read")
        check_id(webhook_endpoint_id, "whe", field="webhookEndpointId")
        check_first(first)
        wanted = (filter or WebhookDeliveryFilterInput()).to_core(webhook_endpoint_id)
        behind = _cursor(after, "whd")
        await _endpoint(info, webhook_endpoint_id, field="webhookEndpointId")
        rows = await info.context.engine.webhooks.log.page(
            info.context.tenant, wanted, first=first, after=behind
        )
        return connect(
            rows, first=first, after=after, show=show_delivery, cursor=lambda row: row.id
        )


async def _endpoint(info: Wire, endpoint_id: str, *, field: str) -> WebhookEndpoint:
    row = await info.context.loaders.webhook_endpoints.load(endpoint_id)
    if row is None:
        raise NotFound("There is no such webhook endpoint.", path=(field,))
    return show_endpoint(row)


def _cursor(after: str | None, prefix: str) -> str | None:
    """A list's cursor is the id of the object behind which the page begins."""
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))
    return after
