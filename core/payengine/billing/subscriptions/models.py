"""What is kept of a subscription, and what is asked to change it?"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from payengine.billing.dunning_words import Access
from payengine.billing.periods import Cadence, Interval, IntervalUnit
from payengine.billing.proration import Behavior, Mode

__all__ = [
    "MOST_ITEMS",
    "ArchiveCoupon",
    "CancelSubscription",
    "ChangeKind",
    "ChangeStatus",
    "ChangeSubscription",
    "CreateCoupon",
    "CreateSubscription",
    "ItemEdit",
    "ItemRow",
    "KeptCoupon",
    "PauseSubscription",
    "ResumeSubscription",
    "ScheduleSubscriptionChange",
    "ScheduledChange",
    "Subscription",
    "SubscriptionStatus",
    "WantedItem",
    "WantedPhase",
    "When",
    "WithdrawScheduledChange",
]

#: The items of one subscription.
MOST_ITEMS = 100

SubscriptionStatus = Literal[
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
    "needs_operator",
]

#: At once, or where the present period ends.
When = Literal["now", "period_end"]

ChangeKind = Literal["change", "cancel", "pause", "resume"]
ChangeStatus = Literal["waiting", "done", "failed", "withdrawn"]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as one row; its items are rows of their own.

    `coupons` spells what it holds: a coupon's id, since when, and before when a period must begin
    to have it. `phases` are the terms that follow the present ones, each with its instant. `due_at`
    is the earliest of what time alone will do to it.
    """

    id: str
    customer_id: str
    currency: str
    status: SubscriptionStatus
    access: Access
    anchor: datetime
    anchor_day: int | None
    interval_unit: IntervalUnit
    interval_count: int
    time_zone: str
    period_start: datetime
    period_end: datetime
    trial_end: datetime | None
    cancel_at_period_end: bool
    pause_at_period_end: bool
    payment_method_id: str | None
    coupons: list[dict[str, Any]]
    phases: list[dict[str, Any]]
    proration_mode: Mode
    metadata: dict[str, Any]
    version: int
    change_at: datetime | None
    notice_at: datetime | None
    due_at: datetime | None
    created_at: datetime
    canceled_at: datetime | None
    ended_at: datetime | None

    @property
    def interval(self) -> Interval:
        """How far one boundary is from the next."""
        return Interval(unit=self.interval_unit, count=self.interval_count)

    @property
    def cadence(self) -> Cadence:
        """All of its boundaries."""
        return Cadence(
            anchor=self.anchor,
            interval=self.interval,
            time_zone=self.time_zone,
            anchor_day=self.anchor_day,
        )


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    """So many of a price, from `starts_at` on and before `ended_at`."""

    id: str
    subscription_id: str
    price_id: str
    quantity: str
    starts_at: datetime
    ended_at: datetime | None = None


class ScheduledChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done at an instant; `failure` is the code of the error that it met."""

    id: str
    subscription_id: str
    at: datetime
    change: dict[str, Any]
    status: ChangeStatus
    failure: str | None
    created_at: datetime


class KeptCoupon(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon as it is kept; `code` is the shop's own name for it. It never changes."""

    id: str
    code: str
    terms: dict[str, Any]
    created_at: datetime
    archived_at: datetime | None = None


# -- requests --------------------------------------------------------------------------------------


class WantedItem(msgspec.Struct, frozen=True, kw_only=True):
    """So many of a price."""

    price_id: str
    quantity: Decimal = Decimal(1)


class WantedPhase(msgspec.Struct, frozen=True, kw_only=True):
    """Terms for so many periods of their prices' interval; None: without end."""

    items: tuple[WantedItem, ...]
    periods: int | None = None


class CreateSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A new subscription, which begins at once or at `starts_at` in the past.

    Either `items` or `phases` says what it has. Periods are counted from the start, from the end of
    the trial, or from `anchor`, up to whose next boundary the first period is then prorated.
    `anchor_day` is the day of the month that was meant where the anchor's own day was cut short.
    `coupons` are ids.
    """

    idempotency_key: str
    customer_id: str
    currency: str
    items: tuple[WantedItem, ...] = ()
    phases: tuple[WantedPhase, ...] = ()
    trial_days: int | None = None
    trial_end: datetime | None = None
    starts_at: datetime | None = None
    anchor: datetime | None = None
    anchor_day: int | None = None
    time_zone: str = "UTC"
    coupons: tuple[str, ...] = ()
    payment_method_id: str | None = None
    proration_mode: Mode = "second"
    metadata: dict[str, Any] = {}


class ItemEdit(msgspec.Struct, frozen=True, kw_only=True):
    """Another price or quantity for an item, or its end; without `item_id`, a new item."""

    item_id: str | None = None
    price_id: str | None = None
    quantity: Decimal | None = None
    remove: bool = False


class ChangeSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """Other terms from now on, or from `at` in the present period.

    What is None stays as it is. `coupons` replaces those that it has. `drop_phases` ends what was
    laid out to follow. `expected_version` refuses to change what the caller has not seen.
    """

    idempotency_key: str
    subscription_id: str
    items: tuple[ItemEdit, ...] = ()
    behavior: Behavior = "create_prorations"
    coupons: tuple[str, ...] | None = None
    payment_method_id: str | None = None
    metadata: dict[str, Any] | None = None
    at: datetime | None = None
    drop_phases: bool = False
    expected_version: int | None = None


class CancelSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """The end, now or where the period ends; `prorate` gives back what is left of the period."""

    idempotency_key: str
    subscription_id: str
    when: When = "period_end"
    prorate: bool = False
    expected_version: int | None = None


class PauseSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """No invoices and no access until it is resumed."""

    idempotency_key: str
    subscription_id: str
    when: When = "period_end"
    prorate: bool = False
    expected_version: int | None = None


class ResumeSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """A paused or unpaid one begins a new period; of others, a pending end or pause is undone."""

    idempotency_key: str
    subscription_id: str
    expected_version: int | None = None


class ScheduleSubscriptionChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done at `at`, or, without it, where the present period ends."""

    idempotency_key: str
    subscription_id: str
    kind: ChangeKind = "change"
    at: datetime | None = None
    items: tuple[ItemEdit, ...] = ()
    behavior: Behavior = "create_prorations"
    coupons: tuple[str, ...] | None = None
    prorate: bool = False


class WithdrawScheduledChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that waits is not made."""

    idempotency_key: str
    scheduled_change_id: str


class CreateCoupon(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the price or an amount of one currency, for `periods` periods; None: for ever.

    `products` are the ids of those that it is good for; none named means all.
    """

    idempotency_key: str
    code: str
    percent_bps: int | None = None
    amount_off: int | None = None
    currency: str | None = None
    products: tuple[str, ...] = ()
    periods: int | None = None


class ArchiveCoupon(msgspec.Struct, frozen=True, kw_only=True):
    """From then on no subscription may take it; those that have it keep it."""

    idempotency_key: str
    coupon_id: str
