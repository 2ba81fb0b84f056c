"""What does a mutation about subscriptions answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.subscribed.types import BillingSubscription, Coupon, TestClock
from payengine_graphql.types.problems import Problem

__all__ = [
    "AdvanceTestClockPayload",
    "ArchiveCouponPayload",
    "CancelSubscriptionPayload",
    "ChangeSubscriptionPayload",
    "CreateCouponPayload",
    "CreateSubscriptionPayload",
    "CreateTestClockPayload",
    "PauseSubscriptionPayload",
    "ResumeSubscriptionPayload",
    "ScheduleSubscriptionChangePayload",
    "WithdrawScheduledChangePayload",
]

_ERRORS = "Why it was not done; empty where it was."
_SUBSCRIPTION = "The subscription as it now stands."


@strawberry.type(description="The answer to createSubscription.")
class CreateSubscriptionPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    subscription: BillingSubscription | None = strawberry.field(
        description=_SUBSCRIPTION, default=None
    )


@strawberry.type(description="The answer to changeSubscription.")
class ChangeSubscriptionPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    subscription: BillingSubscription | None = strawberry.field(
        description=_SUBSCRIPTION, default=None
    )


@strawberry.type(description="The answer to pauseSubscription.")
class PauseSubscriptionPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    subscription: BillingSubscription | None = strawberry.field(
        description=_SUBSCRIPTION, default=None
    )


@strawberry.type(description="The answer to resumeSubscription.")
class ResumeSubscriptionPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    subscription: BillingSubscription | None = strawberry.field(
        description=_SUBSCRIPTION, default=None
    )


@strawberry.type(description="The answer to cancelSubscription.")
class CancelSubscriptionPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    subscription: BillingSubscription | None = strawberry.field(
        description=_SUBSCRIPTION, default=None
    )


@strawberry.type(description="The answer to scheduleSubscriptionChange.")
class ScheduleSubscriptionChangePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    subscription: BillingSubscription | None = strawberry.field(
        description=_SUBSCRIPTION, default=None
    )


@strawberry.type(description="The answer to withdrawScheduledChange.")
class WithdrawScheduledChangePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    subscription: BillingSubscription | None = strawberry.field(
        description=_SUBSCRIPTION, default=None
    )


@strawberry.type(description="The answer to createCoupon.")
class CreateCouponPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    coupon: Coupon | None = strawberry.field(description="The coupon.", default=None)


@strawberry.type(description="The answer to archiveCoupon.")
class ArchiveCouponPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    coupon: Coupon | None = strawberry.field(description="The coupon.", default=None)


@strawberry.type(description="The answer to createTestClock.")
class CreateTestClockPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    test_clock: TestClock | None = strawberry.field(
        description="The clock as it now stands.", default=None
    )


@strawberry.type(description="The answer to advanceTestClock.")
class AdvanceTestClockPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    test_clock: TestClock | None = strawberry.field(
        description="The clock as it now stands.", default=None
    )
