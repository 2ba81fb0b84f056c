"""What may be done about a collection?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.billing.collection.desk import CollectionView

from payengine_graphql.collection import inputs, payloads
from payengine_graphql.collection.types import show_collection
from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "billing:write"


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation(
        "Charge an invoice now, by the method that it has; a decline is a result. Needs the scope "
        "`billing:write`."
    )
    async def retry_collection(
        self, info: Wire, input: Annotated[inputs.RetryCollectionInput, _INPUT]
    ) -> payloads.RetryCollectionPayload:
        """See `payengine.billing.collection`."""

        async def work() -> CollectionView:
            desk = info.context.engine.collection.desk
            return await desk.retry(info.context.tenant, input.to_core())

        row, errors = await guarded(info, "retryCollection", input, work, scope=_SCOPE)
        shown = show_collection(row) if row else None
        return payloads.RetryCollectionPayload(collection=shown, errors=errors)

    @mutation(
        "Name the method by which a subscription is charged; what it owes is charged by it at "
        "once. Needs the scope `billing:write`."
    )
    async def update_subscription_method(
        self, info: Wire, input: Annotated[inputs.UpdateSubscriptionMethodInput, _INPUT]
    ) -> payloads.UpdateSubscriptionMethodPayload:
        """See `payengine.billing.collection`."""

        async def work() -> list[CollectionView]:
            desk = info.context.engine.collection.desk
            return await desk.update_method(info.context.tenant, input.to_core())

        rows, errors = await guarded(info, "updateSubscriptionMethod", input, work, scope=_SCOPE)
        shown = [show_collection(row) for row in rows or ()]
        return payloads.UpdateSubscriptionMethodPayload(collections=shown, errors=errors)
