"""What becomes of a subscription when its terms change?

Pure. A change within the period credits what is left of the old and debits what is left of the new;
another interval, or a reset, begins a new period at the instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, get_args

import msgspec

from payengine.billing.invoices.drafting import draft_of, plan_of, planned_of
from payengine.billing.invoices.models import Planned
from payengine.billing.invoices.terms import ItemTerms, PendingLine, Terms
from payengine.billing.invoicing import compute_invoice
from payengine.billing.periods import Interval, Period
from payengine.billing.proration import Behavior
from payengine.billing.subscriptions.amounts import (
    credit_lines,
    effective_amounts,
    in_order,
    invoiced_amounts,
    once_line,
    prorated_lines,
    proration_terms,
)
from payengine.billing.subscriptions.held import (
    Given,
    Held,
    Offer,
    Plan,
    held_coupons,
    in_force,
    interval_of,
    is_recurring,
    settled,
    with_coupons,
)
from payengine.billing.subscriptions.models import ItemEdit, Subscription, WantedItem
from payengine.billing.subscriptions.offers import item_names, offered
from payengine.billing.subscriptions.opening import coupons_until, distinct
from payengine.billing.subscriptions.phasing import cadence_columns
from payengine.errors import Conflict, InputInvalid, NotFound

__all__ = ["Change", "cycle_plan", "plan_change", "refuse_unless"]

_CHANGED = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
#: Those of which nothing was charged ahead for the time that is left.
_UNCHARGED = frozenset({"trialing", "unpaid", "paused"})


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change; None stays as it is."""

    items: tuple[ItemEdit, ...] = ()
    behavior: Behavior = "create_prorations"
    coupons: tuple[Given, ...] | None = None
    payment_method_id: str | None = None
    metadata: dict[str, Any] | None = None
    drop_phases: bool = False


class _Edited(NamedTuple):
    """The items after the edits, what was put in another's place, and what is charged once."""

    items: tuple[ItemTerms, ...]
    pairs: tuple[tuple[ItemTerms | None, ItemTerms | None], ...]
    added: tuple[ItemTerms, ...]
    once: tuple[ItemTerms, ...]


def refuse_unless(row: Subscription, statuses: frozenset[str], *, what: str) -> None:
    """Raise `Conflict` where a subscription of this status cannot be `what`."""
    if row.status not in statuses:
        raise Conflict(f"A subscription that is {row.status} is not {what}.", path=("status",))


def plan_change(held: Held, change: Change, *, offers: Mapping[str, Offer], at: datetime) -> Plan:
    """The subscription with other terms from the instant on.

    Raises `Conflict` for a status that does not allow it, `InputInvalid`, `NotFound`, and as an
    invoice does.
    """
    row = held.row
    refuse_unless(row, _CHANGED, what="changed")
    if change.behavior not in get_args(Behavior):
        raise InputInvalid("There is no such behaviour.", path=("behavior",))
    _check_instant(held, at)
    names = item_names(len(change.items) + len(held.terms.items))
    edited = _edit(held, change.items, offers, at, names)
    interval = interval_of(item for item in edited.items if item.holds_at(at))
    quiet = row.status in _UNCHARGED
    restarts = (interval != row.interval or change.behavior == "reset") and not quiet
    row = _reworded(held, change, interval=interval)
    terms = msgspec.structs.replace(
        held.terms, items=edited.items, payment_method_id=row.payment_method_id
    )
    if change.coupons is not None:
        row, terms = _coupons(held, row, terms, change.coupons, at)
    once = [once_line(terms, item, at) for item in edited.once]
    draft = _Drafted(held, row, terms, edited, change, once, names)
    if restarts:
        return _restarted(draft, interval=interval, at=at)
    return _kept(draft, quiet=quiet, at=at)


class _Drafted(NamedTuple):
    held: Held
    row: Subscription
    terms: Terms
    edited: _Edited
    change: Change
    once: list[PendingLine]
    names: Iterator[str]


def _kept(draft: _Drafted, *, quiet: bool, at: datetime) -> Plan:
    """The period stays: credits and debits for what is left of it."""
    held, row, terms, edited = draft.held, draft.row, draft.terms, draft.edited
    lines: list[PendingLine] = []
    added, pairs = edited.added, edited.pairs
    ended = {old.id for old, new in pairs if old is not None and old is not new}
    if not quiet and draft.change.behavior != "none":
        before = invoiced_amounts(held, at)
        after = effective_amounts(
            in_force(terms, at), held_coupons(row, terms, at), currency=row.currency
        )
        terms, pairs, renewed = _repriced(
            terms, pairs, before=before, after=after, at=at, names=draft.names
        )
        added += renewed
        ended |= {old.id for old, new in pairs if old is not None and old is not new}
        lines = prorated_lines(
            held,
            [pair for pair in pairs if any(each and is_recurring(each) for each in pair)],
            at=at,
            before=before,
            after=after,
            terms=proration_terms(held, draft.change.behavior),
        )
    lines = in_order([*lines, *draft.once])
    terms = msgspec.structs.replace(terms, pending=(*held.terms.pending, *lines))
    planned = None
    if lines and draft.change.behavior == "always_invoice" and not quiet:
        now = msgspec.structs.replace(terms, used=())
        period = Period(start=at, end=max(at, row.period_end))
        planned = plan_of(now, period, "subscription_update", subscription_id=row.id)
        terms = _taken(terms, planned)
    return Plan(
        before=held.row,
        row=settled(row, held.waiting),
        terms=terms,
        added=added,
        ended=tuple(sorted(ended)),
        lines=tuple(lines),
        planned=planned,
        waiting=held.waiting,
        told=(("subscription.updated", {"change": "terms"}),),
    )


def _restarted(draft: _Drafted, *, interval: Interval, at: datetime) -> Plan:
    """A new period begins: its full price, and what was left of the old one back."""
    held, row, terms = draft.held, draft.row, draft.terms
    lines: list[PendingLine] = []
    if draft.change.behavior in ("create_prorations", "always_invoice"):
        lines += credit_lines(
            held, in_force(held.terms, at), at=at, terms=proration_terms(held), ends=False
        )
    lines = in_order([*lines, *draft.once])
    cadence = row.cadence.restarted(at, interval=interval)
    period = cadence.period(0)
    row = msgspec.structs.replace(
        row, **cadence_columns(cadence), period_start=period.start, period_end=period.end
    )
    terms = msgspec.structs.replace(
        terms, pending=(*held.terms.pending, *lines), used=held.closing, first_at=None
    )
    planned = cycle_plan(held.row, terms, period)
    return Plan(
        before=held.row,
        row=settled(row, held.waiting),
        terms=msgspec.structs.replace(_taken(terms, planned), used=(), first_at=period.end),
        added=draft.edited.added,
        ended=tuple(
            sorted(old.id for old, new in draft.edited.pairs if old is not None and old is not new)
        ),
        lines=tuple(lines),
        planned=planned,
        waiting=held.waiting,
        told=(("subscription.updated", {"change": "period"}),),
    )


def cycle_plan(before: Subscription, terms: Terms, period: Period) -> Planned:
    """The invoice of a period that begins out of turn.

    It bears a renewal's name, which no other invoice bears, unless the period before began at the
    very same instant. Raises as `draft_of` does.
    """
    if period.start > before.period_start:
        return plan_of(terms, period, "subscription_cycle", subscription_id=before.id)
    draft = draft_of(terms, period, "subscription_cycle")
    again = msgspec.structs.replace(draft, reason="subscription_update")
    return planned_of(terms, period, compute_invoice(again), subscription_id=before.id)


def _taken(terms: Terms, planned: Planned) -> Terms:
    """The terms after an invoice that took up what waited."""
    balance = planned.invoice.ending_credit_balance
    return msgspec.structs.replace(terms, pending=(), balance=balance)


def _check_instant(held: Held, at: datetime) -> None:
    """Changes come in their order, within the period."""
    began = [held.row.period_start] + [
        instant
        for item in held.terms.items
        for instant in (item.starts_at, item.ended_at)
        if instant is not None and instant <= held.row.period_end
    ]
    if held.row.status not in ("paused", "unpaid") and at < max(began):
        raise InputInvalid("The instant lies before the period or an earlier change.", path=("at",))


def _reworded(held: Held, change: Change, *, interval: Interval) -> Subscription:
    row = held.row
    if change.drop_phases:
        row = msgspec.structs.replace(row, phases=[])
    if row.phases and (interval != row.interval or change.behavior == "reset"):
        raise Conflict("The phases to come are counted in its periods.", path=("dropPhases",))
    return msgspec.structs.replace(
        row,
        interval_unit=interval.unit,
        interval_count=interval.count,
        payment_method_id=change.payment_method_id or row.payment_method_id,
        metadata=row.metadata if change.metadata is None else change.metadata,
    )


def _coupons(
    held: Held, row: Subscription, terms: Terms, wanted: Sequence[Given], at: datetime
) -> tuple[Subscription, Terms]:
    """The wanted coupons; those that it had already keep their instants."""
    had = {words["coupon"]: words for words in held.row.coupons}
    cadence = held.row.cadence
    since = at
    if row.status == "trialing":
        cadence, since = cadence.restarted(row.period_end), row.period_end
    elif row.status not in ("paused", "unpaid"):
        since = row.period_end
    found: list[tuple[Given, datetime, datetime | None]] = []
    for given in distinct(wanted):
        words = had.get(given.coupon.id or "")
        if words is None:
            found.append((given, at, coupons_until(given, cadence, since)))
        else:
            until = words.get("until")
            found.append(
                (
                    given,
                    datetime.fromisoformat(words["since"]),
                    None if until is None else datetime.fromisoformat(until),
                )
            )
    return with_coupons(row, terms, found)


def _edit(
    held: Held,
    edits: Sequence[ItemEdit],
    offers: Mapping[str, Offer],
    at: datetime,
    names: Iterator[str],
) -> _Edited:
    present = {item.id: item for item in in_force(held.terms, at)}
    pairs: list[tuple[ItemTerms | None, ItemTerms | None]] = []
    edited: dict[str, ItemTerms | None] = {}
    added: list[ItemTerms] = []
    once: list[ItemTerms] = []
    for edit in edits:
        old = None
        if edit.item_id is not None:
            if edit.item_id not in present or edit.item_id in edited:
                raise NotFound("There is no such item.", path=("items", "itemId"))
            old = present[edit.item_id]
        new = _edited_item(held, old, edit, offers, at, names)
        if old is not None:
            edited[old.id] = new
        if new is not None and new is not old:
            added.append(new)
            if new.price.interval_unit is None:
                once.append(new)
        if old is not new:
            pairs.append((old, new))
    items = []
    for item in held.terms.items:
        if item.id in edited and edited[item.id] is not item:
            item = msgspec.structs.replace(item, ended_at=at)
        elif item.id in present:
            pairs.append((item, item))
        items.append(item)
    return _Edited((*items, *added), tuple(pairs), tuple(added), tuple(once))


def _edited_item(
    held: Held,
    old: ItemTerms | None,
    edit: ItemEdit,
    offers: Mapping[str, Offer],
    at: datetime,
    names: Iterator[str],
) -> ItemTerms | None:
    if edit.remove:
        if old is None or edit.price_id is not None or edit.quantity is not None:
            raise InputInvalid("What is removed is an item, and no more.", path=("items",))
        return None
    if old is None and edit.price_id is None:
        raise InputInvalid("A new item has a price.", path=("items", "priceId"))
    price_id = edit.price_id or (old.price.id if old else "")
    quantity = edit.quantity if edit.quantity is not None else (old.quantity if old else Decimal(1))
    if old is not None:
        if price_id == old.price.id and quantity == old.quantity:
            return old
        if old.price.interval_unit is None:
            raise InputInvalid("What was charged once is not changed.", path=("items", "itemId"))
    wanted = WantedItem(price_id=price_id, quantity=quantity)
    if old is not None and price_id == old.price.id and price_id in offers:
        # More or less of a price that it has already, archived or not.
        kept = msgspec.structs.replace(offers[price_id], is_archived=False)
        offers = {**offers, price_id: kept}
    (found,) = offered((wanted,), offers, currency=held.row.currency, at=at, names=names)
    return found


def _repriced(
    terms: Terms,
    pairs: Sequence[tuple[ItemTerms | None, ItemTerms | None]],
    *,
    before: dict[str, int],
    after: dict[str, int],
    at: datetime,
    names: Iterator[str],
) -> tuple[Terms, tuple[tuple[ItemTerms | None, ItemTerms | None], ...], tuple[ItemTerms, ...]]:
    """Items that stay, but whose share of a discount does not, count anew from the instant.

    `after` gets their amounts too.
    """
    found: list[tuple[ItemTerms | None, ItemTerms | None]] = []
    renewed: list[ItemTerms] = []
    items = {item.id: item for item in terms.items}
    for old, new in pairs:
        same = old is not None and old is new
        if same and old is not None and before.get(old.id) != after.get(old.id):
            again = msgspec.structs.replace(old, id=next(names), starts_at=at)
            after[again.id] = after[old.id]
            items[old.id] = msgspec.structs.replace(old, ended_at=at)
            items[again.id] = again
            renewed.append(again)
            found.append((old, again))
        else:
            found.append((old, new))
    terms = msgspec.structs.replace(terms, items=tuple(items.values()))
    return terms, tuple(found), tuple(renewed)
