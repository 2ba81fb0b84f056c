"""What does a subscription stand at, and what does a plan make of it?

A plan is made from what was loaded and writes nothing: a preview shows it, a mutation writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.billing.coupons import Coupon
from payengine.billing.invoices.models import Planned
from payengine.billing.invoices.terms import HeldCoupon, ItemTerms, PendingLine, Terms, UsedPeriod
from payengine.billing.models import CatalogPrice
from payengine.billing.periods import Interval, Period
from payengine.billing.renewing import next_due_of
from payengine.billing.subscriptions.models import ScheduledChange, Subscription
from payengine.errors import InputInvalid

__all__ = [
    "RENEWED",
    "Given",
    "Held",
    "Offer",
    "Plan",
    "change_at_of",
    "coupon_words",
    "held_coupons",
    "in_force",
    "instant",
    "interval_of",
    "is_recurring",
    "present_period",
    "settled",
    "with_coupons",
]

#: Those that renew by themselves.
RENEWED = frozenset({"trialing", "active", "past_due"})
#: Those whose phases go on.
_MOVES = RENEWED | {"incomplete"}


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A price with what an invoice says of its product."""

    price: CatalogPrice
    product_name: str
    tax_class: str
    is_archived: bool


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon as a subscription may take it: for `periods` periods, or for ever."""

    coupon: Coupon
    periods: int | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription with its terms; `closing` is its usage if the period ended now.

    `owes` says that an invoice of it is open.
    """

    row: Subscription
    terms: Terms
    owes: bool = False
    closing: tuple[UsedPeriod, ...] = ()
    waiting: tuple[ScheduledChange, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a mutation makes of a subscription.

    `row` and `terms` are as they are to be. `lines` are new and wait, unless `planned`, the invoice
    that is issued at once, takes them. `told` are events: a type, and what it carries besides.
    """

    row: Subscription
    terms: Terms
    before: Subscription | None = None
    added: tuple[ItemTerms, ...] = ()
    ended: tuple[str, ...] = ()
    lines: tuple[PendingLine, ...] = ()
    planned: Planned | None = None
    told: tuple[tuple[str, dict[str, Any]], ...] = ()
    waiting: tuple[ScheduledChange, ...] = ()

    @property
    def held(self) -> Held:
        """The subscription after it, as it is read again: its coupons hold from their instants."""
        coupons = tuple(
            msgspec.structs.replace(held, since=instant(words.get("since")))
            for words, held in zip(self.row.coupons, self.terms.coupons, strict=True)
        )
        terms = msgspec.structs.replace(self.terms, coupons=coupons)
        return Held(row=self.row, terms=terms, waiting=self.waiting)


def instant(spelled: str | None) -> datetime | None:
    """The instant that a document spells."""
    return None if spelled is None else datetime.fromisoformat(spelled)


def is_recurring(item: ItemTerms) -> bool:
    """Whether it is charged ahead for each period."""
    return item.price.interval_unit is not None and item.price.meter_id is None


def in_force(terms: Terms, at: datetime) -> tuple[ItemTerms, ...]:
    """The items that the subscription has at the instant."""
    return tuple(item for item in terms.items if item.holds_at(at))


def interval_of(items: Iterable[ItemTerms]) -> Interval:
    """The one interval of the items; raises `InputInvalid` for none and for several."""
    found = {
        (item.price.interval_unit, item.price.interval_count)
        for item in items
        if item.price.interval_unit is not None
    }
    if not found:
        raise InputInvalid("A subscription has an item that recurs.", path=("items",))
    if len(found) != 1:
        raise InputInvalid(
            "The prices of a subscription recur, all at one interval.", path=("items",)
        )
    unit, count = found.pop()
    assert unit is not None
    return Interval(unit=unit, count=count or 1)


def coupon_words(given: Given, *, since: datetime, until: datetime | None) -> dict[str, Any]:
    """How a subscription's row spells a coupon that it holds."""
    return {
        "coupon": given.coupon.id,
        "since": since.isoformat(),
        "until": None if until is None else until.isoformat(),
    }


def held_coupons(row: Subscription, terms: Terms, at: datetime) -> list[Coupon]:
    """The coupons that an invoice of a period begun at the instant would have had."""
    return [
        held.coupon
        for words, held in zip(row.coupons, terms.coupons, strict=True)
        if held.holds_at(at) and (instant(words.get("since")) or at) <= at
    ]


def change_at_of(row: Subscription, waiting: Sequence[ScheduledChange]) -> datetime | None:
    """When its next scheduled change or phase is due; a paused one's phases stand still."""
    instants = [each.at for each in waiting]
    if row.phases and row.status in _MOVES:
        instants.append(datetime.fromisoformat(row.phases[0]["at"]))
    return min(instants, default=None)


def settled(row: Subscription, waiting: Sequence[ScheduledChange]) -> Subscription:
    """The row with its next version and what is due of it next."""
    change_at = change_at_of(row, waiting)
    notice_at = row.notice_at if row.status == "trialing" else None
    due_at = next_due_of(
        row.status, period_end=row.period_end, change_at=change_at, notice_at=notice_at
    )
    return msgspec.structs.replace(
        row, version=row.version + 1, change_at=change_at, notice_at=notice_at, due_at=due_at
    )


def present_period(row: Subscription) -> Period:
    """The period that the subscription is in."""
    return Period(start=row.period_start, end=row.period_end)


def with_coupons(
    row: Subscription, terms: Terms, coupons: Sequence[tuple[Given, datetime, datetime | None]]
) -> tuple[Subscription, Terms]:
    """Row and terms that hold these coupons, each since and until its instants."""
    words = [coupon_words(given, since=since, until=until) for given, since, until in coupons]
    held = tuple(HeldCoupon(coupon=given.coupon, until=until) for given, _, until in coupons)
    return (
        msgspec.structs.replace(row, coupons=words),
        msgspec.structs.replace(terms, coupons=held),
    )
