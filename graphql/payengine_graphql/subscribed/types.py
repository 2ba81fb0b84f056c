"""How are subscriptions, what they would charge, coupons and test clocks shown?"""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry
from payengine.billing.clocked import TestClock as ClockRow
from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoicing import ComputedLine, invoice_hash
from payengine.billing.invoicing import Invoice as InvoiceRow
from payengine.billing.subscriptions.models import ItemRow, KeptCoupon
from payengine.billing.subscriptions.models import ScheduledChange as ChangeRow
from payengine.billing.subscriptions.models import Subscription as SubscriptionRow
from payengine.billing.subscriptions.previews import Preview as PreviewRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import JSON, BigInt, Currency, DateTime, MinorUnits
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.nodes import Node

__all__ = [
    "BillingSubscription",
    "ChangeEffect",
    "Coupon",
    "IntervalUnit",
    "PreviewLine",
    "PreviewedInvoice",
    "ProrationBehavior",
    "ProrationMode",
    "ScheduledChange",
    "ScheduledChangeStatus",
    "SubscriptionAccess",
    "SubscriptionItem",
    "SubscriptionPhase",
    "SubscriptionPreview",
    "SubscriptionStatus",
    "TestClock",
    "TestClockStatus",
    "read_coupon",
    "read_subscription",
    "show_clock",
    "show_coupon",
    "show_preview",
    "show_subscription",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Where a subscription stands.")
class SubscriptionStatus(Enum):
    """See the description."""

    INCOMPLETE = _value("incomplete", "Its first payment is awaited, for 23 hours.")
    INCOMPLETE_EXPIRED = _value("incomplete_expired", "Its first payment never came.")
    TRIALING = _value("trialing", "Nothing is charged yet.")
    ACTIVE = _value("active", "It renews, and everything is paid.")
    PAST_DUE = _value("past_due", "It renews, and an invoice is being collected.")
    UNPAID = _value("unpaid", "Collection failed; it does not renew until all is paid.")
    PAUSED = _value("paused", "It does not renew until it is resumed.")
    CANCELED = _value("canceled", "It is over.")
    NEEDS_OPERATOR = _value("needs_operator", "It stopped for a person to decide.")


@strawberry.enum(description="What the customer may use of a subscription.")
class SubscriptionAccess(Enum):
    """See the description."""

    WITHHELD = _value("withheld", "Nothing yet: the first payment is awaited.")
    GRANTED = _value("granted", "What its items grant.")
    SUSPENDED = _value("suspended", "Nothing while invoices stay unpaid.")
    ENDED = _value("ended", "Nothing any more.")


@strawberry.enum(description="The unit of an interval.")
class IntervalUnit(Enum):
    """See the description."""

    DAY = _value("day", "Days of the subscriber's calendar.")
    WEEK = _value("week", "Weeks.")
    MONTH = _value("month", "Months; the day of the month is kept where there is one.")
    YEAR = _value("year", "Years.")


@strawberry.enum(description="What is counted where a part of a period is charged.")
class ProrationMode(Enum):
    """See the description."""

    SECOND = _value("second", "Whole seconds.")
    DAY = _value("day", "Days of the subscriber's calendar.")


@strawberry.enum(description="What a change in the middle of a period puts on invoices.")
class ProrationBehavior(Enum):
    """See the description."""

    CREATE_PRORATIONS = _value("create_prorations", "Credits and debits, on the next invoice.")
    ALWAYS_INVOICE = _value("always_invoice", "Credits and debits, on an invoice at once.")
    NONE = _value("none", "Nothing.")
    RESET = _value("reset", "A new period at the full price; nothing is given back.")


@strawberry.enum(description="What a scheduled change does.")
class ChangeEffect(Enum):
    """See the description."""

    CHANGE = _value("change", "It changes items or coupons.")
    CANCEL = _value("cancel", "It ends the subscription.")
    PAUSE = _value("pause", "It pauses the subscription.")
    RESUME = _value("resume", "It lets the subscription go on.")


@strawberry.enum(description="What became of a scheduled change.")
class ScheduledChangeStatus(Enum):
    """See the description."""

    WAITING = _value("waiting", "Its instant has not come.")
    DONE = _value("done", "It was made.")
    FAILED = _value("failed", "It could not be made; `failure` says why.")
    WITHDRAWN = _value("withdrawn", "It is not made.")


@strawberry.enum(description="Whether a test clock stands.")
class TestClockStatus(Enum):
    """See the description."""

    __test__ = False

    READY = _value("ready", "It stands, and all that was due is done.")
    ADVANCING = _value("advancing", "Time passes.")


@strawberry.type(description="So many of a price in a subscription.")
class SubscriptionItem:
    """See the description."""

    row: strawberry.Private[ItemRow]
    id: strawberry.ID = column("The item's id, sit_….")
    price_id: strawberry.ID = column("The price's id.")
    quantity: str = column("How many; a decimal.")
    starts_at: DateTime = column("Since when.")


@strawberry.type(description="Terms that are to follow.")
class SubscriptionPhase:
    """See the description."""

    row: strawberry.Private[dict[str, Any]]

    @computed("When it begins.")
    def starts_at(self) -> DateTime:
        """As the row spells it."""
        return DateTime(datetime.fromisoformat(self.row["at"]))

    @computed("How many periods it lasts; none: without end.")
    def periods(self) -> int | None:
        """As the row spells it."""
        found: int | None = self.row.get("periods")
        return found

    @computed("Whether the subscription ends there.")
    def ends_subscription(self) -> bool:
        """As the row spells it."""
        return bool(self.row.get("ends"))

    @computed("The prices that it has.")
    def price_ids(self) -> list[strawberry.ID]:
        """As the row spells it."""
        return [strawberry.ID(each["price_id"]) for each in self.row.get("items", ())]


@strawberry.type(description="What is to be done to a subscription at an instant.")
class ScheduledChange:
    """See the description."""

    row: strawberry.Private[ChangeRow]
    id: strawberry.ID = column("The change's id, sch_….")
    at: DateTime = column("When.")
    status: ScheduledChangeStatus = column("What became of it.")
    failure: str | None = column("The code of the error that it met.")
    created_at: DateTime = column("When it was asked for.")

    @computed("What it does.")
    def effect(self) -> ChangeEffect:
        """As the row spells it."""
        return ChangeEffect(self.row.change["kind"])


@strawberry.type(description="What a customer has, period for period.")
class BillingSubscription(Node):
    """See the description."""

    row: strawberry.Private[SubscriptionRow]
    customer_id: strawberry.ID = column("The customer's id.")
    currency: Currency = column("What it is charged in.")
    status: SubscriptionStatus = column("Where it stands.")
    access: SubscriptionAccess = column("What the customer may use of it.")
    interval_unit: IntervalUnit = column("The unit of its interval.")
    interval_count: int = column("How many units a period lasts.")
    time_zone: str = column("Whose wall clock the periods keep.")
    anchor: DateTime = column("From where its periods are counted.")
    period_start: DateTime = column("When the present period began.")
    period_end: DateTime = column("When the present period ends.")
    trial_end: DateTime | None = column("When its trial ends or ended.")
    cancel_at_period_end: bool = column("Whether it ends with the period.")
    pause_at_period_end: bool = column("Whether it pauses with the period.")
    payment_method_id: strawberry.ID | None = column(
        "What is charged; none: the customer's newest saved method."
    )
    proration_mode: ProrationMode = column("What is counted for parts of a period.")
    version: BigInt = column("Rises with each change: send it as `expectedVersion`.")
    due_at: DateTime | None = column("When time will do something to it next.")
    created_at: DateTime = column("When it was made.")
    canceled_at: DateTime | None = column("When its end was decided.")
    ended_at: DateTime | None = column("When it ended.")

    @computed("Your own notes.")
    def metadata(self) -> JSON:
        """As they were given."""
        return JSON(self.row.metadata)

    @computed("The ids of the coupons that it holds, in their order.")
    def coupon_ids(self) -> list[strawberry.ID]:
        """As the row spells them."""
        return [strawberry.ID(each["coupon"]) for each in self.row.coupons]

    @computed("What it has now.")
    async def items(self, info: Wire) -> list[SubscriptionItem]:
        """By the loader."""
        rows = await info.context.loaders.subscription_items.load(self.row.id)
        return [SubscriptionItem(row=row) for row in rows]

    @computed("What is laid out to follow.")
    def phases(self) -> list[SubscriptionPhase]:
        """As the row spells them."""
        return [SubscriptionPhase(row=each) for each in self.row.phases]

    @computed("Its scheduled changes by their instants; those that are over too.")
    async def scheduled_changes(self, info: Wire) -> list[ScheduledChange]:
        """By the loader."""
        rows = await info.context.loaders.scheduled_changes.load(self.row.id)
        return [ScheduledChange(row=row) for row in rows]


@strawberry.type(description="A line that an invoice would have; amounts are in minor units.")
class PreviewLine:
    """See the description."""

    row: strawberry.Private[InvoiceLine]
    computed_line: strawberry.Private[ComputedLine | None] = None
    description: str = column("What it is about.")
    kind: str = column("recurring, usage, proration, adjustment or one_off.")
    amount: MinorUnits = column("Before discounts and tax; negative for a credit.")
    period_start: DateTime | None = column("Since when.")
    period_end: DateTime | None = column("Until when.")

    @computed("How many; a decimal.")
    def quantity(self) -> str | None:
        """As it is written."""
        return None if self.row.quantity is None else f"{self.row.quantity:f}"

    @computed("What coupons take off.")
    def discount(self) -> MinorUnits:
        """Zero for a line that waits."""
        return MinorUnits(self.computed_line.discount if self.computed_line else 0)

    @computed("Its tax.")
    def tax(self) -> MinorUnits:
        """Zero for a line that waits."""
        return MinorUnits(self.computed_line.tax if self.computed_line else 0)


@strawberry.type(description="An invoice that is not issued; amounts are in minor units.")
class PreviewedInvoice:
    """See the description."""

    row: strawberry.Private[InvoiceRow]
    currency: Currency = column("What it is in.")
    period_start: DateTime | None = column("When its period begins.")
    period_end: DateTime | None = column("When its period ends.")
    subtotal: MinorUnits = column("The sum of the lines.")
    discount_total: MinorUnits = column("What coupons take off.")
    tax_total: MinorUnits = column("The tax.")
    total: MinorUnits = column("What it comes to.")
    credit_applied: MinorUnits = column("What the customer's balance pays.")
    amount_due: MinorUnits = column("What is left to pay.")
    charge: MinorUnits = column("What is charged; less than a minimum waits.")

    @computed("SHA-256 of the invoice's one spelling: the invoice that follows has it too.")
    def hash(self) -> str:
        """Of `invoice_bytes`."""
        return invoice_hash(self.row)

    @computed("Its lines.")
    def lines(self) -> list[PreviewLine]:
        """In their order."""
        return [PreviewLine(row=each.line, computed_line=each) for each in self.row.lines]


@strawberry.type(description="What a mutation would make of a subscription and charge.")
class SubscriptionPreview:
    """See the description."""

    row: strawberry.Private[PreviewRow]
    at: DateTime = column("The instant that it holds for: send it as `at` or `startsAt`.")
    upcoming_at: DateTime | None = column("When the next invoice follows.")

    @computed("The invoice that is issued at once; none where there is none.")
    def invoice(self) -> PreviewedInvoice | None:
        """Not issued."""
        found = self.row.invoice
        return None if found is None else PreviewedInvoice(row=found)

    @computed("New lines, which the invoice at once or the next one takes.")
    def lines(self) -> list[PreviewLine]:
        """In their order."""
        return [PreviewLine(row=each) for each in self.row.lines]

    @computed("The next invoice that time alone brings.")
    def upcoming(self) -> PreviewedInvoice | None:
        """Not issued."""
        found = self.row.upcoming
        return None if found is None else PreviewedInvoice(row=found)

    @computed("Where the subscription would stand.")
    def status(self) -> SubscriptionStatus:
        """After it."""
        return SubscriptionStatus(self.row.subscription.status)

    @computed("When the present period would begin.")
    def period_start(self) -> DateTime:
        """After it."""
        return DateTime(self.row.subscription.period_start)

    @computed("When the present period would end.")
    def period_end(self) -> DateTime:
        """After it."""
        return DateTime(self.row.subscription.period_end)


@strawberry.type(description="What is taken off the prices of a subscription that holds it.")
class Coupon(Node):
    """See the description."""

    row: strawberry.Private[KeptCoupon]
    code: str = column("Your own name for it.")
    created_at: DateTime = column("When it was made.")
    archived_at: DateTime | None = column("Since when no subscription may take it.")

    @computed("The part of the price, in hundredths of a percent.")
    def percent_bps(self) -> int | None:
        """Or an amount."""
        found: int | None = self.row.terms.get("percent_bps")
        return found

    @computed("The amount, in minor units of `currency`.")
    def amount_off(self) -> MinorUnits | None:
        """Or a part."""
        found = self.row.terms.get("amount_off")
        return None if found is None else MinorUnits(found)

    @computed("The amount's currency.")
    def currency(self) -> Currency | None:
        """None for a part."""
        found = self.row.terms.get("currency")
        return None if found is None else Currency(found)

    @computed("For how many periods; none: for ever.")
    def periods(self) -> int | None:
        """As it was given."""
        found: int | None = self.row.terms.get("periods")
        return found

    @computed("The products that it is good for; none named: all.")
    def product_ids(self) -> list[strawberry.ID]:
        """As they were given."""
        return [strawberry.ID(each) for each in self.row.terms.get("products", ())]


@strawberry.type(description="What time it is in a test world.")
class TestClock:
    """See the description."""

    __test__ = False

    row: strawberry.Private[ClockRow]
    now_at: DateTime = column("Where it stands.")
    target_at: DateTime = column("Where it is going.")
    progress: int = column("How much of the way is done, in hundredths; 100 when it is ready.")

    @computed("Whether it stands.")
    def status(self) -> TestClockStatus:
        """Of the row."""
        return TestClockStatus(self.row.status)


def show_subscription(row: SubscriptionRow) -> BillingSubscription:
    """The subscription for the wire."""
    return BillingSubscription(id=strawberry.ID(row.id), row=row)


def show_coupon(row: KeptCoupon) -> Coupon:
    """The coupon for the wire."""
    return Coupon(id=strawberry.ID(row.id), row=row)


def show_preview(row: PreviewRow) -> SubscriptionPreview:
    """The preview for the wire."""
    return SubscriptionPreview(row=row)


def show_clock(row: ClockRow) -> TestClock:
    """The clock for the wire."""
    return TestClock(row=row)


async def read_subscription(context: RequestContext, name: str) -> BillingSubscription | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.billing_subscriptions.load(name)
    return show_subscription(row) if row else None


async def read_coupon(context: RequestContext, name: str) -> Coupon | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.coupons.load(name)
    return show_coupon(row) if row else None
