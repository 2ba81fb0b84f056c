"""What may be read of providers' webhooks?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.inbound.inputs import ReceivedWebhookFilterInput
from payengine_graphql.inbound.types import (
    GatewayEndpoint,
    ReceivedWebhook,
    WebhookRequest,
    read_webhook,
    show_endpoint,
    show_request,
    show_webhook,
)
from payengine_graphql.inputs import check_id
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_Filter = Annotated[
    ReceivedWebhookFilterInput | None,
    strawberry.argument(description="Which received webhooks to list."),
]
_WebhookId = Annotated[
    strawberry.ID, strawberry.argument(description="The received webhook's id, rwh_….")
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("The addresses for gateways' webhooks, the newest first. Needs `plugins:read`.")
    async def gateway_endpoints(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[GatewayEndpoint]:
        """A page; revoked ones too."""
        rows = await info.context.engine.inbound.endpoints.page(
            info.context.tenant, first=check_first(first), after=_cursor(after, "gwe")
        )
        return connect(
            rows, first=first, after=after, show=show_endpoint, cursor=lambda row: row.id
        )

    @computed("What providers told us, the newest first. Needs the scope `webhooks:read`.")
    async def received_webhooks(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _Filter = None,
    ) -> Connection[ReceivedWebhook]:
        """A page."""
        info.context.require("webhooks:read")
        rows = await info.context.engine.inbound.received.page(
            info.context.tenant,
            (filter or ReceivedWebhookFilterInput()).to_core(),
            first=check_first(first),
            after=_cursor(after, "rwh"),
        )
        return connect(rows, first=first, after=after, show=show_webhook, cursor=lambda row: row.id)

    @computed("One received webhook. Needs the scope `webhooks:read`.")
    async def received_webhook(self, info: Wire, id: _WebhookId) -> ReceivedWebhook | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        check_id(id, "rwh", field="id")
        info.context.require("webhooks:read")
        found = await read_webhook(info.context, id)
        if found is None:
            raise NotFound("There is no such received webhook.", path=("id",))
        assert isinstance(found, ReceivedWebhook)
        return found

    @computed(
        "The call that brought a received webhook. It may hold personal data: needs the scope "
        "`webhooks:write`."
    )
    async def webhook_request(self, info: Wire, id: _WebhookId) -> WebhookRequest | None:
        """By the received webhook's id; NOT_FOUND where there is none in this tenant."""
        check_id(id, "rwh", field="id")
        kept = await info.context.engine.inbound.received.request_of(info.context.tenant, id)
        return show_request(kept)


def _cursor(after: str | None, prefix: str) -> str | None:
    """The id of the object behind which the page begins."""
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))
    return after
