"""What may be watched?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from payengine_graphql.context import Wire
from payengine_graphql.inputs import PaymentEventFilter
from payengine_graphql.types.events import PaymentEvent, show_live
from payengine_graphql.types.fields import subscription
from payengine_graphql.watching import Watch

__all__ = ["Subscription"]


@strawberry.type(description="What may be watched, over a WebSocket or as server-sent events.")
class Subscription:
    """See the description."""

    @subscription(
        "What happens to payments, as it happens. With `after` it begins behind that cursor "
        "and leaves nothing out. Needs the scope `events:read`."
    )
    def payment_events(
        self,
        info: Wire,
        filter: Annotated[
            PaymentEventFilter | None, strawberry.argument(description="Which events to send.")
        ] = None,
        after: Annotated[
            str | None,
            strawberry.argument(description="The cursor of the last event that was seen."),
        ] = None,
    ) -> AsyncIterator[PaymentEvent]:
        """Ends after an item with `resync`."""
        info.context.require("events:read")
        wanted = (filter or PaymentEventFilter()).to_core()
        return Watch(wanted, after, show_live)
