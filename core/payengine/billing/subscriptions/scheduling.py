"""What is to be done later, and how is it spelled until then?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import msgspec

from payengine.billing.catalogue import price_of
from payengine.billing.proration import Behavior
from payengine.billing.subscriptions.changing import Change
from payengine.billing.subscriptions.held import Given, Offer, settled
from payengine.billing.subscriptions.models import (
    MOST_ITEMS,
    ChangeKind,
    ChangeSubscription,
    ItemEdit,
    ScheduledChange,
    ScheduleSubscriptionChange,
    Subscription,
    WantedPhase,
)
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.ids import new_id
from payengine.texts import check_id

__all__ = [
    "MOST_WAITING",
    "SpelledChange",
    "change_of",
    "check_edits",
    "check_quantity",
    "check_schedule",
    "prices_of_phases",
    "scheduled",
    "spelled_change",
]

#: How many scheduled changes of one subscription wait at most.
MOST_WAITING = 50

_MOST_AHEAD = timedelta(days=3_660)
_MOST_QUANTITY = 10**12

_ENDED = frozenset({"canceled", "incomplete_expired"})


class SpelledChange(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled change as its row keeps it."""

    kind: ChangeKind
    items: tuple[ItemEdit, ...] = ()
    behavior: Behavior = "create_prorations"
    coupons: tuple[str, ...] | None = None
    prorate: bool = False


def spelled_change(change: ScheduledChange) -> SpelledChange:
    """What a row says is to be done."""
    return msgspec.convert(change.change, SpelledChange, strict=False)


def check_schedule(request: ScheduleSubscriptionChange) -> None:
    """Refuse what cannot be, before anything is read; raises `InputInvalid`."""
    if request.kind not in get_args(ChangeKind):
        raise InputInvalid("There is no such kind of change.", path=("kind",))
    if request.behavior not in get_args(Behavior):
        raise InputInvalid("There is no such behaviour.", path=("behavior",))
    if request.at is not None and request.at.utcoffset() is None:
        raise InputInvalid("An instant carries its offset from UTC.", path=("at",))
    if request.kind != "change" and (request.items or request.coupons is not None):
        raise InputInvalid("Only a change has items and coupons.", path=("items",))
    check_edits(request.items)
    for coupon in request.coupons or ():
        check_id(coupon, "cpn", field="coupons")


def check_edits(edits: Sequence[ItemEdit]) -> None:
    """Refuse edits that nothing can follow from; raises `InputInvalid`."""
    if len(edits) > MOST_ITEMS:
        raise InputInvalid(f"A subscription has at most {MOST_ITEMS} items.", path=("items",))
    for edit in edits:
        if edit.item_id is not None:
            check_id(edit.item_id, "sit", field="itemId")
        if edit.price_id is not None:
            check_id(edit.price_id, "prc", field="priceId")
        if edit.quantity is not None:
            check_quantity(edit.quantity)


def check_quantity(quantity: Decimal) -> None:
    """Refuse what is no number of things; raises `InputInvalid`."""
    if not quantity.is_finite() or not 0 <= quantity <= _MOST_QUANTITY:
        raise InputInvalid("A quantity is zero or more.", path=("items", "quantity"))


def scheduled(
    row: Subscription,
    waiting: Sequence[ScheduledChange],
    request: ScheduleSubscriptionChange,
    *,
    offers: Mapping[str, Offer],
    at: datetime,
) -> tuple[Subscription, ScheduledChange, tuple[tuple[str, dict[str, Any]], ...]]:
    """The row with the change kept for later, the change, and what is told of it.

    Raises `InputInvalid`, `NotFound` for a price that is not there, and `Conflict`.
    """
    if row.status in _ENDED:
        raise Conflict(f"A subscription that is {row.status} is not changed.", path=("status",))
    if len(waiting) >= MOST_WAITING:
        raise Conflict(f"At most {MOST_WAITING} changes of a subscription wait.")
    due = request.at or row.period_end
    if not at < due <= at + _MOST_AHEAD:
        raise InputInvalid("A scheduled change lies ahead, ten years at most.", path=("at",))
    for edit in request.items:
        _check_price(row, edit, offers)
    spelled = SpelledChange(
        kind=request.kind,
        items=request.items,
        behavior=request.behavior,
        coupons=request.coupons,
        prorate=request.prorate,
    )
    change = ScheduledChange(
        id=new_id("sch"),
        subscription_id=row.id,
        at=due,
        change=msgspec.to_builtins(spelled),
        status="waiting",
        failure=None,
        created_at=at,
    )
    told = {"scheduled_change_id": change.id, "change_at": due.isoformat(), "action": request.kind}
    after = settled(row, sorted((*waiting, change), key=lambda each: (each.at, each.id)))
    return after, change, (("subscription.change_scheduled", told),)


def change_of(
    request: ChangeSubscription | SpelledChange, given: tuple[Given, ...] | None
) -> Change:
    """What is to change, its coupons read."""
    if isinstance(request, SpelledChange):
        return Change(items=request.items, behavior=request.behavior, coupons=given)
    return Change(
        items=request.items,
        behavior=request.behavior,
        coupons=given,
        payment_method_id=request.payment_method_id,
        metadata=request.metadata,
        drop_phases=request.drop_phases,
    )


def prices_of_phases(phases: Sequence[WantedPhase]) -> list[str]:
    """The prices that phases ask for."""
    return [item.price_id for phase in phases for item in phase.items]


def _check_price(row: Subscription, edit: ItemEdit, offers: Mapping[str, Offer]) -> None:
    if edit.price_id is None:
        return
    offer = offers.get(edit.price_id)
    if offer is None:
        raise NotFound("There is no such price.", path=("items", "priceId"))
    if offer.is_archived:
        raise Conflict("The price is archived.", path=("items", "priceId"))
    price_of(offer.price).model_in(row.currency)
