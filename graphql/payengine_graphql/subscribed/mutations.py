"""What may be done about subscriptions, coupons and test clocks?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.billing.clocked import TestClock as ClockRow
from payengine.billing.subscriptions.models import KeptCoupon
from payengine.billing.subscriptions.models import Subscription as SubscriptionRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.subscribed import inputs, payloads
from payengine_graphql.subscribed.types import show_clock, show_coupon, show_subscription
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "billing:write"


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Begin a subscription, with its first invoice. Needs the scope `billing:write`.")
    async def create_subscription(
        self, info: Wire, input: Annotated[inputs.CreateSubscriptionInput, _INPUT]
    ) -> payloads.CreateSubscriptionPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> SubscriptionRow:
            return await context.engine.subscribing.subscriptions.create(
                context.tenant, input.to_core()
            )

        row, errors = await guarded(info, "createSubscription", input, work, scope=_SCOPE)
        shown = show_subscription(row) if row else None
        return payloads.CreateSubscriptionPayload(subscription=shown, errors=errors)

    @mutation("Change what a subscription has. Needs the scope `billing:write`.")
    async def change_subscription(
        self, info: Wire, input: Annotated[inputs.ChangeSubscriptionInput, _INPUT]
    ) -> payloads.ChangeSubscriptionPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> SubscriptionRow:
            return await context.engine.subscribing.subscriptions.change(
                context.tenant, input.to_core()
            )

        row, errors = await guarded(info, "changeSubscription", input, work, scope=_SCOPE)
        shown = show_subscription(row) if row else None
        return payloads.ChangeSubscriptionPayload(subscription=shown, errors=errors)

    @mutation("Pause a subscription. Needs the scope `billing:write`.")
    async def pause_subscription(
        self, info: Wire, input: Annotated[inputs.PauseSubscriptionInput, _INPUT]
    ) -> payloads.PauseSubscriptionPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> SubscriptionRow:
            return await context.engine.subscribing.subscriptions.pause(
                context.tenant, input.to_core()
            )

        row, errors = await guarded(info, "pauseSubscription", input, work, scope=_SCOPE)
        shown = show_subscription(row) if row else None
        return payloads.PauseSubscriptionPayload(subscription=shown, errors=errors)

    @mutation(
        "Let a subscription go on, or undo a pending end or pause. Needs the scope `billing:write`."
    )
    async def resume_subscription(
        self, info: Wire, input: Annotated[inputs.ResumeSubscriptionInput, _INPUT]
    ) -> payloads.ResumeSubscriptionPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> SubscriptionRow:
            return await context.engine.subscribing.subscriptions.resume(
                context.tenant, input.to_core()
            )

        row, errors = await guarded(info, "resumeSubscription", input, work, scope=_SCOPE)
        shown = show_subscription(row) if row else None
        return payloads.ResumeSubscriptionPayload(subscription=shown, errors=errors)

    @mutation("End a subscription. Needs the scope `billing:write`.")
    async def cancel_subscription(
        self, info: Wire, input: Annotated[inputs.CancelSubscriptionInput, _INPUT]
    ) -> payloads.CancelSubscriptionPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> SubscriptionRow:
            return await context.engine.subscribing.subscriptions.cancel(
                context.tenant, input.to_core()
            )

        row, errors = await guarded(info, "cancelSubscription", input, work, scope=_SCOPE)
        shown = show_subscription(row) if row else None
        return payloads.CancelSubscriptionPayload(subscription=shown, errors=errors)

    @mutation("Keep a change of a subscription for later. Needs the scope `billing:write`.")
    async def schedule_subscription_change(
        self, info: Wire, input: Annotated[inputs.ScheduleSubscriptionChangeInput, _INPUT]
    ) -> payloads.ScheduleSubscriptionChangePayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> SubscriptionRow:
            return await context.engine.subscribing.subscriptions.schedule(
                context.tenant, input.to_core()
            )

        row, errors = await guarded(info, "scheduleSubscriptionChange", input, work, scope=_SCOPE)
        shown = show_subscription(row) if row else None
        return payloads.ScheduleSubscriptionChangePayload(subscription=shown, errors=errors)

    @mutation("A scheduled change is not made. Needs the scope `billing:write`.")
    async def withdraw_scheduled_change(
        self, info: Wire, input: Annotated[inputs.WithdrawScheduledChangeInput, _INPUT]
    ) -> payloads.WithdrawScheduledChangePayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> SubscriptionRow:
            return await context.engine.subscribing.subscriptions.withdraw(
                context.tenant, input.to_core()
            )

        row, errors = await guarded(info, "withdrawScheduledChange", input, work, scope=_SCOPE)
        shown = show_subscription(row) if row else None
        return payloads.WithdrawScheduledChangePayload(subscription=shown, errors=errors)

    @mutation("Make a coupon. Needs the scope `billing:write`.")
    async def create_coupon(
        self, info: Wire, input: Annotated[inputs.CreateCouponInput, _INPUT]
    ) -> payloads.CreateCouponPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> KeptCoupon:
            return await context.engine.subscribing.coupons.create(context.tenant, input.to_core())

        row, errors = await guarded(info, "createCoupon", input, work, scope=_SCOPE)
        shown = show_coupon(row) if row else None
        return payloads.CreateCouponPayload(coupon=shown, errors=errors)

    @mutation("Give a coupon no more. Needs the scope `billing:write`.")
    async def archive_coupon(
        self, info: Wire, input: Annotated[inputs.ArchiveCouponInput, _INPUT]
    ) -> payloads.ArchiveCouponPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> KeptCoupon:
            return await context.engine.subscribing.coupons.archive(context.tenant, input.to_core())

        row, errors = await guarded(info, "archiveCoupon", input, work, scope=_SCOPE)
        shown = show_coupon(row) if row else None
        return payloads.ArchiveCouponPayload(coupon=shown, errors=errors)

    @mutation("Give this test world a clock of its own. Needs the scope `billing:write`.")
    async def create_test_clock(
        self, info: Wire, input: Annotated[inputs.CreateTestClockInput, _INPUT]
    ) -> payloads.CreateTestClockPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> ClockRow:
            return await context.engine.test_clocks.create(context.tenant, input.to_core())

        row, errors = await guarded(info, "createTestClock", input, work, scope=_SCOPE)
        shown = show_clock(row) if row else None
        return payloads.CreateTestClockPayload(test_clock=shown, errors=errors)

    @mutation("Let time pass in this test world. Needs the scope `billing:write`.")
    async def advance_test_clock(
        self, info: Wire, input: Annotated[inputs.AdvanceTestClockInput, _INPUT]
    ) -> payloads.AdvanceTestClockPayload:
        """See `payengine.billing`."""
        context = info.context

        async def work() -> ClockRow:
            return await context.engine.test_clocks.advance(context.tenant, input.to_core())

        row, errors = await guarded(info, "advanceTestClock", input, work, scope=_SCOPE)
        shown = show_clock(row) if row else None
        return payloads.AdvanceTestClockPayload(test_clock=shown, errors=errors)
