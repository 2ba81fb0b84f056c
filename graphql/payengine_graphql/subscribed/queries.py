"""What may be read of subscriptions, coupons and test clocks, and what would be charged?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.subscribed import inputs
from payengine_graphql.subscribed.types import (
    BillingSubscription,
    Coupon,
    SubscriptionPreview,
    TestClock,
    read_coupon,
    read_subscription,
    show_clock,
    show_coupon,
    show_preview,
    show_subscription,
)
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import DEFAULT_PAGE, MAX_PAGE, Connection, check_first, connect

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_SubscriptionId = Annotated[
    strawberry.ID, strawberry.argument(description="The subscription's id, sub_….")
]
_CouponId = Annotated[strawberry.ID, strawberry.argument(description="The coupon's id, cpn_….")]
_CustomerId = Annotated[
    strawberry.ID | None, strawberry.argument(description="Those of this customer.")
]
_INPUT = strawberry.argument(description="What would be asked.")


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One subscription. Needs the scope `billing:read`.")
    async def subscription(self, info: Wire, id: _SubscriptionId) -> BillingSubscription | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("billing:read")
        check_id(id, "sub", field="id")
        found = await read_subscription(info.context, id)
        if found is None:
            raise NotFound("There is no such subscription.", path=("id",))
        return found

    @computed("Subscriptions, newest first. Needs the scope `billing:read`.")
    async def subscriptions(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        customer_id: _CustomerId = None,
    ) -> Connection[BillingSubscription]:
        """A page; a cursor is the last subscription's id."""
        context = info.context
        context.require("billing:read")
        if customer_id is not None:
            check_id(customer_id, "cus", field="customerId")
        rows = await context.engine.subscribing.reader.page(
            context.tenant,
            first=check_first(first),
            after=_cursor(after, "sub"),
            customer_id=customer_id,
        )
        return connect(
            rows, first=first, after=after, show=show_subscription, cursor=lambda row: row.id
        )

    @computed("One coupon. Needs the scope `billing:read`.")
    async def coupon(self, info: Wire, id: _CouponId) -> Coupon | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("billing:read")
        check_id(id, "cpn", field="id")
        found = await read_coupon(info.context, id)
        if found is None:
            raise NotFound("There is no such coupon.", path=("id",))
        return found

    @computed("Coupons, newest first. Needs the scope `billing:read`.")
    async def coupons(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[Coupon]:
        """A page; a cursor is the last coupon's id."""
        context = info.context
        context.require("billing:read")
        rows = await context.engine.subscribing.coupons.page(
            context.tenant, first=check_first(first), after=_cursor(after, "cpn")
        )
        return connect(rows, first=first, after=after, show=show_coupon, cursor=lambda row: row.id)

    @computed("What createSubscription would charge. Needs the scope `billing:read`.")
    async def preview_subscription(
        self, info: Wire, input: Annotated[inputs.PreviewSubscriptionInput, _INPUT]
    ) -> SubscriptionPreview:
        """Nothing is written."""
        context = info.context
        context.require("billing:read")
        found = await context.engine.subscribing.previews.creation(context.tenant, input.asked())
        return show_preview(found)

    @computed("What changeSubscription would charge. Needs the scope `billing:read`.")
    async def preview_subscription_change(
        self, info: Wire, input: Annotated[inputs.PreviewSubscriptionChangeInput, _INPUT]
    ) -> SubscriptionPreview:
        """Nothing is written."""
        context = info.context
        context.require("billing:read")
        found = await context.engine.subscribing.previews.change(context.tenant, input.asked())
        return show_preview(found)

    @computed("What cancelSubscription would charge. Needs the scope `billing:read`.")
    async def preview_subscription_cancel(
        self, info: Wire, input: Annotated[inputs.PreviewSubscriptionCancelInput, _INPUT]
    ) -> SubscriptionPreview:
        """Nothing is charged."""
        context = info.context
        context.require("billing:read")
        found = await context.engine.subscribing.previews.change(context.tenant, input.asked())
        return show_preview(found)

    @computed("What pauseSubscription would charge. Needs the scope `billing:read`.")
    async def preview_subscription_pause(
        self, info: Wire, input: Annotated[inputs.PreviewSubscriptionPauseInput, _INPUT]
    ) -> SubscriptionPreview:
        """Nothing is charged."""
        context = info.context
        context.require("billing:read")
        found = await context.engine.subscribing.previews.change(context.tenant, input.asked())
        return show_preview(found)

    @computed("What resumeSubscription would charge. Needs the scope `billing:read`.")
    async def preview_subscription_resume(
        self, info: Wire, input: Annotated[inputs.PreviewSubscriptionResumeInput, _INPUT]
    ) -> SubscriptionPreview:
        """Nothing is charged."""
        context = info.context
        context.require("billing:read")
        found = await context.engine.subscribing.previews.change(context.tenant, input.asked())
        return show_preview(found)

    @computed("The next invoice that time alone brings. Needs the scope `billing:read`.")
    async def preview_renewal(
        self, info: Wire, subscription_id: _SubscriptionId
    ) -> SubscriptionPreview:
        """Nothing is written."""
        context = info.context
        context.require("billing:read")
        previews = context.engine.subscribing.previews
        return show_preview(await previews.upcoming(context.tenant, subscription_id))

    @computed("What time it is in this test world; none where it is that of the wall.")
    async def test_clock(self, info: Wire) -> TestClock | None:
        """Needs the scope `billing:read`."""
        context = info.context
        found = await context.engine.test_clocks.get(context.tenant)
        return show_clock(found) if found else None


def _cursor(after: str | None, prefix: str) -> str | None:
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))
    return after
