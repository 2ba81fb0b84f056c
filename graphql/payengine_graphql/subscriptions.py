"""What may be watched?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from payengine_graphql.context import Wire
from payengine_graphql.inputs import PaymentEventFilter
from payengine_graphql.types.events import PaymentEvent, show_live
from payengine_graphql.types.fields import subscription

__all__ = ["Subscription"]


@strawberry.type(description="What may be watched, over the protocol graphql-transport-ws.")
class Subscription:
    """See the description."""

    @subscription(
        "What happens to payments, as it happens. With `after` it begins behind that cursor "
        "and leaves nothing out. Needs the scope `events:read`."
    )
    async def payment_events(
        self,
        info: Wire,
        filter: Annotated[
            PaymentEventFilter | None, strawberry.argument(description="Which events to send.")
        ] = None,
        after: Annotated[
            str | None,
            strawberry.argument(description="The cursor of the last event that was seen."),
        ] = None,
    ) -> AsyncGenerator[PaymentEvent, None]:
        """Ends after an item with `resync`."""
        context = info.context
        context.require("events:read")
        wanted = (filter or PaymentEventFilter()).to_core()
        items = context.engine.feed.subscribe(context.tenant, wanted, after=after)
        try:
            async for item in items:
                context.forget()
                yield show_live(item)
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()  # leaves the feed at once, not when it is collected
