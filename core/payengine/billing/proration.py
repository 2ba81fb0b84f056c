"""What does a change in the middle of a period give back, and what does it charge?

A line is an amount times the part of the period that is left, an exact fraction of whole seconds or
of local days, rounded once on the exact product, half away from zero. A credit mirrors the debit of
the same amount, so that there and back at one instant is nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Literal, get_args

from payengine.billing.periods import Cadence, Interval, Period
from payengine.billing.wall_clock import (
    local_date,
    require_instant,
    time_zone,
    whole_seconds,
)
from payengine.errors import InputInvalid
from payengine.money import round_half_away

__all__ = [
    "Behavior",
    "DayOfChange",
    "Item",
    "ItemChange",
    "Mode",
    "Proration",
    "ProrationHistory",
    "ProrationTerms",
    "opening_amount",
    "prorate",
    "prorate_change",
    "prorate_history",
    "prorate_restart",
    "remaining_part",
]

#: `create_prorations` puts the lines on the next invoice, `always_invoice` on one of their own;
#: `none` makes no lines; `reset` starts a new period at the full price and gives nothing back.
Behavior = Literal["create_prorations", "always_invoice", "none", "reset"]

#: What is counted: whole seconds, or days of the subscriber's calendar.
Mode = Literal["second", "day"]

#: Counting days: whether the day of the change is part of what is left, or is used up.
DayOfChange = Literal["credited", "consumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProrationTerms:
    """How a tenant prorates.

    `mode` says what is counted: whole seconds, or days of the calendar in `time_zone`. Without
    `day_of_change`, the day of a change belongs to the new price and that of a cancellation is
    used up; in mode `second` it says nothing.
    """

    mode: Mode = "second"
    behavior: Behavior = "create_prorations"
    time_zone: str = "UTC"
    day_of_change: DayOfChange | None = None

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for a word that is none of those, and for an unknown zone."""
        known = (
            self.mode in get_args(Mode)
            and self.behavior in get_args(Behavior)
            and self.day_of_change in (None, *get_args(DayOfChange))
        )
        if not known:
            raise InputInvalid("The terms of proration are none that are known.")
        time_zone(self.time_zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What was invoiced for a whole period: the amount is net of the discount inside it.

    `terms` names what the subscriber has (price, quantity, discount): where both it and the amount
    stay, nothing has changed.
    """

    amount_minor: int
    terms: str = ""

    def __post_init__(self) -> None:
        """Raise `InputInvalid` unless the amount is a whole number that is not negative."""
        if type(self.amount_minor) is not int or self.amount_minor < 0:
            raise InputInvalid("An item costs a whole number of minor units, zero or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemChange:
    """From the instant on the subscriber has this item; None: nothing any more."""

    at: datetime
    to: Item | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proration:
    """The lines of one change: `credit_minor` is zero or less, `debit_minor` zero or more.

    `part` of the old period was left. `restarted` is the cadence of the periods from the change on,
    where it starts a new one.
    """

    at: datetime
    part: Fraction
    credit_minor: int = 0
    debit_minor: int = 0
    restarted: Cadence | None = None

    @property
    def net_minor(self) -> int:
        """What the change costs; below zero it goes to the customer's balance."""
        return self.credit_minor + self.debit_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class ProrationHistory:
    """The changes of one period, in their order, and the regular invoice at its end."""

    lines: tuple[Proration, ...]
    next_invoice_at: datetime
    next_invoice_minor: int

    @property
    def net_minor(self) -> int:
        """What all changes cost together."""
        return sum(line.net_minor for line in self.lines)


def remaining_part(
    period: Period,
    *,
    at: datetime,
    terms: ProrationTerms | None = None,
    day_of_change: DayOfChange = "credited",
) -> Fraction:
    """The part of the period that is left at the instant, from 1 at its start to 0 at its end.

    `day_of_change` counts where the terms leave it open. A period within one day of the calendar
    has no days to share out: all of it is left, or nothing where its day is used up.
    """
    terms = terms or ProrationTerms()
    require_instant(at)
    if at <= period.start:
        return Fraction(1)
    if at >= period.end:
        return Fraction(0)
    if terms.mode == "second":
        start, end = whole_seconds(period.start), whole_seconds(period.end)
        return Fraction(end - whole_seconds(at), end - start) if end > start else Fraction(0)
    zone = time_zone(terms.time_zone)
    last = local_date(period.end, zone)
    whole = (last - local_date(period.start, zone)).days
    consumed = (terms.day_of_change or day_of_change) == "consumed"
    left = max((last - local_date(at, zone)).days - consumed, 0)
    return Fraction(left, whole) if whole else Fraction(not consumed)


def prorate(amount_minor: int, part: Fraction) -> int:
    """The amount times the part, in minor units, rounded once, half away from zero."""
    return round_half_away(amount_minor * part.numerator, denominator=part.denominator)


def opening_amount(
    cadence: Cadence, starts_at: datetime, *, amount_minor: int, terms: ProrationTerms | None = None
) -> int:
    """What the first period costs, in minor units, where it begins between two boundaries.

    The whole is the full interval that ends at the boundary to come.
    """
    whole = cadence.period_at(starts_at)
    return prorate(amount_minor, remaining_part(whole, at=starts_at, terms=terms))


def prorate_change(
    period: Period,
    *,
    at: datetime,
    old: Item | None,
    new: Item | None,
    terms: ProrationTerms | None = None,
    in_trial: bool = False,
) -> Proration:
    """The lines of a change that keeps the period: another price, quantity or discount, or none.

    `old` is None where the item is added, `new` where it ends. In a trial nothing was invoiced, so
    there are no lines, and the trial keeps its end even where the interval changes or the terms say
    `reset`; after a trial, these start a new period: see `prorate_restart`.
    """
    terms = terms or ProrationTerms()
    if terms.behavior == "reset" and not in_trial:
        raise InputInvalid("A reset starts a new period.")
    part = _part_left(period, at=at, ended=new is None, terms=terms)
    if in_trial or terms.behavior == "none" or old == new:
        return Proration(at=at, part=part)
    return Proration(
        at=at,
        part=part,
        credit_minor=-prorate(_amount(old), part),
        debit_minor=prorate(_amount(new), part),
    )


def prorate_restart(
    period: Period,
    *,
    cadence: Cadence,
    at: datetime,
    old: Item | None,
    new: Item,
    interval: Interval | None = None,
    terms: ProrationTerms | None = None,
) -> Proration:
    """The lines of a change after which a new period starts at the instant: the full new price.

    The unused part of the old price is given back, unless the terms say `reset` or `none`. The new
    cadence has `interval`, or that of the old one.
    """
    terms = terms or ProrationTerms()
    part = _part_left(period, at=at, ended=False, terms=terms)
    gives_back = terms.behavior in ("create_prorations", "always_invoice")
    return Proration(
        at=at,
        part=part,
        credit_minor=-prorate(_amount(old), part) if gives_back else 0,
        debit_minor=_amount(new),
        restarted=cadence.restarted(at, interval=interval),
    )


def prorate_history(
    period: Period,
    *,
    initial: Item | None,
    changes: Sequence[ItemChange],
    terms: ProrationTerms | None = None,
    in_trial: bool = False,
) -> ProrationHistory:
    """The lines of a period's changes, and what the next regular invoice then comes to.

    That invoice is due at the end of the period, which in a trial is the end of the trial; it holds
    the pending lines, unless they were invoiced at once, and the full price of what the subscriber
    has by then. Raises `InputInvalid` for changes out of their order.
    """
    item, lines = initial, list[Proration]()
    for change in changes:
        if lines and change.at < lines[-1].at:
            raise InputInvalid("The changes of a period come in their order.")
        lines.append(
            prorate_change(
                period, at=change.at, old=item, new=change.to, terms=terms, in_trial=in_trial
            )
        )
        item = change.to
    invoiced = terms is not None and terms.behavior == "always_invoice"
    pending = 0 if invoiced else sum(line.net_minor for line in lines)
    return ProrationHistory(
        lines=tuple(lines),
        next_invoice_at=period.end,
        next_invoice_minor=pending + _amount(item),
    )


def _part_left(period: Period, *, at: datetime, ended: bool, terms: ProrationTerms) -> Fraction:
    default: DayOfChange = "consumed" if ended else "credited"
    return remaining_part(period, at=at, terms=terms, day_of_change=default)


def _amount(item: Item | None) -> int:
    return item.amount_minor if item else 0
