"""What may a client send about subscriptions, coupons and test clocks?"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import strawberry
from payengine.billing import parse_decimal
from payengine.billing.clocked import AdvanceTestClock, CreateTestClock
from payengine.billing.subscriptions import models
from payengine.errors import InputInvalid

from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import JSON, BigInt, Currency, DateTime, MinorUnits
from payengine_graphql.subscribed.types import ChangeEffect, ProrationBehavior, ProrationMode

__all__ = [
    "AdvanceTestClockInput",
    "ArchiveCouponInput",
    "CancelSubscriptionInput",
    "ChangeSubscriptionInput",
    "CreateCouponInput",
    "CreateSubscriptionInput",
    "CreateTestClockInput",
    "PauseSubscriptionInput",
    "PreviewSubscriptionCancelInput",
    "PreviewSubscriptionChangeInput",
    "PreviewSubscriptionInput",
    "PreviewSubscriptionPauseInput",
    "PreviewSubscriptionResumeInput",
    "ResumeSubscriptionInput",
    "ScheduleSubscriptionChangeInput",
    "SubscriptionItemEditInput",
    "SubscriptionItemInput",
    "SubscriptionPhaseInput",
    "WithdrawScheduledChangeInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_SUBSCRIPTION = "The subscription's id, sub_…."
_AT_PERIOD_END = "Where the present period ends; false: at once."
_PRORATE = "Whether what is left of a period that is broken off is given back."
_VERSION = "Refuse it unless the subscription is at this version."
#: Previews claim no key.
_NO_KEY = "preview"


def _field(description: str) -> Any:
    return strawberry.field(description=description)


def _optional(description: str) -> Any:
    return strawberry.field(description=description, default=None)


def _quantity(text: str | None) -> Decimal | None:
    return None if text is None else parse_decimal(text, name="quantity")


def _when(at_period_end: bool) -> models.When:
    return "period_end" if at_period_end else "now"


def _metadata(given: object) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise InputInvalid("Metadata is an object of texts.", path=("metadata",))
    return given


@strawberry.input(description="So many of a price.")
class SubscriptionItemInput:
    """See the description."""

    price_id: strawberry.ID = _field("The price's id, prc_….")
    quantity: str = strawberry.field(description="How many; a decimal.", default="1")

    def to_core(self) -> models.WantedItem:
        """For the engine."""
        quantity = parse_decimal(self.quantity, name="quantity")
        return models.WantedItem(price_id=self.price_id, quantity=quantity)


@strawberry.input(description="Terms for a number of periods.")
class SubscriptionPhaseInput:
    """See the description."""

    items: list[SubscriptionItemInput] = _field("What it has.")
    periods: int | None = _optional("How many periods; none: without end.")

    def to_core(self) -> models.WantedPhase:
        """For the engine."""
        items = tuple(each.to_core() for each in self.items)
        return models.WantedPhase(items=items, periods=self.periods)


@strawberry.input(description="Another price or quantity for an item, its end, or a new item.")
class SubscriptionItemEditInput:
    """See the description."""

    item_id: strawberry.ID | None = _optional("The item's id, sit_…; none: a new one.")
    price_id: strawberry.ID | None = _optional("The price it has from then on.")
    quantity: str | None = _optional("How many from then on; a decimal.")
    remove: bool = strawberry.field(description="End it.", default=False)

    def to_core(self) -> models.ItemEdit:
        """For the engine."""
        return models.ItemEdit(
            item_id=self.item_id,
            price_id=self.price_id,
            quantity=_quantity(self.quantity),
            remove=self.remove,
        )


def _edits(given: Sequence[SubscriptionItemEditInput] | None) -> tuple[models.ItemEdit, ...]:
    return tuple(each.to_core() for each in given or ())


def _coupons(given: Sequence[strawberry.ID] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    for each in given:
        check_id(each, "cpn", field="couponIds")
    return tuple(given)


@strawberry.input(description="A new subscription, as it would be made.")
class PreviewSubscriptionInput:
    """See the description."""

    customer_id: strawberry.ID = _field("The customer's id, cus_….")
    currency: Currency = _field("What it is charged in.")
    items: list[SubscriptionItemInput] | None = _optional("What it has; or `phases`.")
    phases: list[SubscriptionPhaseInput] | None = _optional("What it has, one after the other.")
    trial_days: int | None = _optional("How many days nothing is charged.")
    trial_end: DateTime | None = _optional("Until when nothing is charged.")
    starts_at: DateTime | None = _optional("When it began, in the past; none: now.")
    anchor: DateTime | None = _optional("From where its periods are counted.")
    anchor_day: int | None = _optional("The day of the month that was meant, 1 to 31.")
    time_zone: str = strawberry.field(
        description="Whose wall clock the periods keep.", default="UTC"
    )
    coupon_ids: list[strawberry.ID] | None = _optional("The coupons that it holds.")
    payment_method_id: strawberry.ID | None = _optional("What is charged.")
    proration_mode: ProrationMode = strawberry.field(
        description="What is counted for parts of a period.", default=ProrationMode.SECOND
    )
    metadata: JSON | None = _optional("Your own notes: texts.")

    def asked(self, key: str = _NO_KEY) -> models.CreateSubscription:
        """For the engine."""
        return models.CreateSubscription(
            idempotency_key=key,
            customer_id=self.customer_id,
            currency=self.currency,
            items=tuple(each.to_core() for each in self.items or ()),
            phases=tuple(each.to_core() for each in self.phases or ()),
            trial_days=self.trial_days,
            trial_end=self.trial_end,
            starts_at=self.starts_at,
            anchor=self.anchor,
            anchor_day=self.anchor_day,
            time_zone=self.time_zone,
            coupons=_coupons(self.coupon_ids) or (),
            payment_method_id=self.payment_method_id,
            proration_mode=self.proration_mode.value,
            metadata=_metadata(self.metadata) or {},
        )


@strawberry.input(description="A new subscription.")
class CreateSubscriptionInput(PreviewSubscriptionInput):
    """See the description."""

    idempotency_key: str = _field(_KEY)

    def to_core(self) -> models.CreateSubscription:
        """For the engine."""
        return self.asked(self.idempotency_key)


@strawberry.input(description="Other terms, from now on or from an instant in the period.")
class PreviewSubscriptionChangeInput:
    """See the description."""

    subscription_id: strawberry.ID = _field(_SUBSCRIPTION)
    items: list[SubscriptionItemEditInput] | None = _optional("What changes of its items.")
    behavior: ProrationBehavior = strawberry.field(
        description="What it puts on invoices.", default=ProrationBehavior.CREATE_PRORATIONS
    )
    coupon_ids: list[strawberry.ID] | None = _optional("The coupons that it holds from then on.")
    payment_method_id: strawberry.ID | None = _optional("What is charged from then on.")
    metadata: JSON | None = _optional("Your own notes from then on.")
    at: DateTime | None = _optional("Since when, within the present period; none: now.")
    drop_phases: bool = strawberry.field(
        description="Whether what was laid out to follow is dropped.", default=False
    )
    expected_version: BigInt | None = _optional(_VERSION)

    def asked(self, key: str = _NO_KEY) -> models.ChangeSubscription:
        """For the engine."""
        return models.ChangeSubscription(
            idempotency_key=key,
            subscription_id=self.subscription_id,
            items=_edits(self.items),
            behavior=self.behavior.value,
            coupons=_coupons(self.coupon_ids),
            payment_method_id=self.payment_method_id,
            metadata=_metadata(self.metadata),
            at=self.at,
            drop_phases=self.drop_phases,
            expected_version=self.expected_version,
        )


@strawberry.input(description="Other terms for a subscription.")
class ChangeSubscriptionInput(PreviewSubscriptionChangeInput):
    """See the description."""

    idempotency_key: str = _field(_KEY)

    def to_core(self) -> models.ChangeSubscription:
        """For the engine."""
        return self.asked(self.idempotency_key)


@strawberry.input(description="The end of a subscription, as it would be.")
class PreviewSubscriptionCancelInput:
    """See the description."""

    subscription_id: strawberry.ID = _field(_SUBSCRIPTION)
    at_period_end: bool = strawberry.field(description=_AT_PERIOD_END, default=True)
    prorate: bool = strawberry.field(description=_PRORATE, default=False)
    expected_version: BigInt | None = _optional(_VERSION)

    def asked(self, key: str = _NO_KEY) -> models.CancelSubscription:
        """For the engine."""
        return models.CancelSubscription(
            idempotency_key=key,
            subscription_id=self.subscription_id,
            when=_when(self.at_period_end),
            prorate=self.prorate,
            expected_version=self.expected_version,
        )


@strawberry.input(description="The end of a subscription.")
class CancelSubscriptionInput(PreviewSubscriptionCancelInput):
    """See the description."""

    idempotency_key: str = _field(_KEY)

    def to_core(self) -> models.CancelSubscription:
        """For the engine."""
        return self.asked(self.idempotency_key)


@strawberry.input(description="A pause of a subscription, as it would be.")
class PreviewSubscriptionPauseInput:
    """See the description."""

    subscription_id: strawberry.ID = _field(_SUBSCRIPTION)
    at_period_end: bool = strawberry.field(description=_AT_PERIOD_END, default=True)
    prorate: bool = strawberry.field(description=_PRORATE, default=False)
    expected_version: BigInt | None = _optional(_VERSION)

    def asked(self, key: str = _NO_KEY) -> models.PauseSubscription:
        """For the engine."""
        return models.PauseSubscription(
            idempotency_key=key,
            subscription_id=self.subscription_id,
            when=_when(self.at_period_end),
            prorate=self.prorate,
            expected_version=self.expected_version,
        )


@strawberry.input(description="A pause of a subscription.")
class PauseSubscriptionInput(PreviewSubscriptionPauseInput):
    """See the description."""

    idempotency_key: str = _field(_KEY)

    def to_core(self) -> models.PauseSubscription:
        """For the engine."""
        return self.asked(self.idempotency_key)


@strawberry.input(description="A subscription goes on, as it would.")
class PreviewSubscriptionResumeInput:
    """See the description."""

    subscription_id: strawberry.ID = _field(_SUBSCRIPTION)
    expected_version: BigInt | None = _optional(_VERSION)

    def asked(self, key: str = _NO_KEY) -> models.ResumeSubscription:
        """For the engine."""
        return models.ResumeSubscription(
            idempotency_key=key,
            subscription_id=self.subscription_id,
            expected_version=self.expected_version,
        )


@strawberry.input(description="A subscription goes on, or a pending end or pause is undone.")
class ResumeSubscriptionInput(PreviewSubscriptionResumeInput):
    """See the description."""

    idempotency_key: str = _field(_KEY)

    def to_core(self) -> models.ResumeSubscription:
        """For the engine."""
        return self.asked(self.idempotency_key)


@strawberry.input(description="What is to be done to a subscription later.")
class ScheduleSubscriptionChangeInput:
    """See the description."""

    idempotency_key: str = _field(_KEY)
    subscription_id: strawberry.ID = _field(_SUBSCRIPTION)
    effect: ChangeEffect = strawberry.field(
        description="What it does.", default=ChangeEffect.CHANGE
    )
    at: DateTime | None = _optional("When; none: where the present period ends.")
    items: list[SubscriptionItemEditInput] | None = _optional("What changes of its items.")
    behavior: ProrationBehavior = strawberry.field(
        description="What it puts on invoices.", default=ProrationBehavior.CREATE_PRORATIONS
    )
    coupon_ids: list[strawberry.ID] | None = _optional("The coupons that it holds from then on.")
    prorate: bool = strawberry.field(description=_PRORATE, default=False)

    def to_core(self) -> models.ScheduleSubscriptionChange:
        """For the engine."""
        return models.ScheduleSubscriptionChange(
            idempotency_key=self.idempotency_key,
            subscription_id=self.subscription_id,
            kind=self.effect.value,
            at=self.at,
            items=_edits(self.items),
            behavior=self.behavior.value,
            coupons=_coupons(self.coupon_ids),
            prorate=self.prorate,
        )


@strawberry.input(description="A scheduled change is not made.")
class WithdrawScheduledChangeInput:
    """See the description."""

    idempotency_key: str = _field(_KEY)
    scheduled_change_id: strawberry.ID = _field("The change's id, sch_….")

    def to_core(self) -> models.WithdrawScheduledChange:
        """For the engine."""
        return models.WithdrawScheduledChange(
            idempotency_key=self.idempotency_key, scheduled_change_id=self.scheduled_change_id
        )


@strawberry.input(description="A coupon: a part of the price, or an amount of one currency.")
class CreateCouponInput:
    """See the description."""

    idempotency_key: str = _field(_KEY)
    code: str = _field("Your own name for it.")
    percent_bps: int | None = _optional("The part, in hundredths of a percent.")
    amount_off: MinorUnits | None = _optional("The amount, in minor units.")
    currency: Currency | None = _optional("The amount's currency.")
    product_ids: list[strawberry.ID] | None = _optional("What it is good for; none: everything.")
    periods: int | None = _optional("For how many periods; none: for ever.")

    def to_core(self) -> models.CreateCoupon:
        """For the engine."""
        return models.CreateCoupon(
            idempotency_key=self.idempotency_key,
            code=self.code,
            percent_bps=self.percent_bps,
            amount_off=self.amount_off,
            currency=self.currency,
            products=tuple(self.product_ids or ()),
            periods=self.periods,
        )


@strawberry.input(description="No subscription may take the coupon any more.")
class ArchiveCouponInput:
    """See the description."""

    idempotency_key: str = _field(_KEY)
    coupon_id: strawberry.ID = _field("The coupon's id, cpn_….")

    def to_core(self) -> models.ArchiveCoupon:
        """For the engine."""
        return models.ArchiveCoupon(idempotency_key=self.idempotency_key, coupon_id=self.coupon_id)


@strawberry.input(description="A clock for this test world.")
class CreateTestClockInput:
    """See the description."""

    idempotency_key: str = _field(_KEY)
    now_at: DateTime = _field("What time it is from now on, until the clock is advanced.")

    def to_core(self) -> CreateTestClock:
        """For the engine."""
        return CreateTestClock(idempotency_key=self.idempotency_key, now_at=self.now_at)


@strawberry.input(description="Time passes in this test world.")
class AdvanceTestClockInput:
    """See the description."""

    idempotency_key: str = _field(_KEY)
    to: DateTime = _field("Until when.")

    def to_core(self) -> AdvanceTestClock:
        """For the engine."""
        return AdvanceTestClock(idempotency_key=self.idempotency_key, to=self.to)
