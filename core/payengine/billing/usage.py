"""Which usage counts, in which period, and what does it come to?

An event is told once for ever under its id; it belongs to the period in which it happened, whenever
it was told. What comes after its period was invoiced is billed as an adjustment of that period.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from payengine.billing.decimals import check_decimal
from payengine.billing.periods import Period
from payengine.billing.pricing import PriceModel, line_amount
from payengine.billing.wall_clock import require_instant
from payengine.errors import (
    EventPeriodFinalized,
    EventTimestampOutOfRange,
    IdempotencyConflict,
    InputInvalid,
)

__all__ = [
    "EARLIEST",
    "LATEST",
    "Adjustment",
    "FinalizedPeriod",
    "Formula",
    "LatePolicy",
    "Receipt",
    "UsageEvent",
    "aggregate",
    "check_event",
    "check_timestamp",
    "late_adjustment",
    "place_event",
    "receive",
    "receive_all",
]

#: How old an event may be, and how far ahead its clock may go.
EARLIEST = timedelta(days=35)
LATEST = timedelta(minutes=5)
_MOST_TEXT = 255

#: What the events of a period come to: the sum or the greatest of the values, how many events,
#: the value of the latest one, or how many distinct keys.
Formula = Literal["sum", "count", "max", "last", "unique"]

#: What becomes of an event whose period is final: an adjustment on the next invoice, or nothing.
LatePolicy = Literal["next_invoice", "reject"]

#: Whether the event is new, or was told before in the same words.
Receipt = Literal["accepted", "duplicate"]


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer used at an instant: a `value`, or a `key` that is counted once.

    The id is unique in its tenant and meter, for ever. A value may be negative: a correction.
    """

    id: str
    at: datetime
    value: Decimal | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for texts, instants and values that cannot be."""
        require_instant(self.at)
        for name, text in (("id", self.id), ("key", self.key)):
            if text is not None and not (1 <= len(text) <= _MOST_TEXT and text.isprintable()):
                raise InputInvalid(
                    f"The {name} of a usage event has 1 to {_MOST_TEXT} printable characters.",
                    path=(name,),
                )
        if self.value is not None:
            check_decimal(self.value, name="value", negative=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalizedPeriod:
    """A period whose invoice was made final at an instant: later events change it no more."""

    period: Period
    finalized_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A line on the next invoice: what a finalised period still owes, or gets back, below zero."""

    quantity: Fraction
    amount_minor: int


def check_timestamp(at: datetime, *, now: datetime) -> None:
    """Raise `EventTimestampOutOfRange` unless 35 days old at most and 5 minutes ahead at most."""
    require_instant(at)
    if not now - EARLIEST <= at <= now + LATEST:
        raise EventTimestampOutOfRange(path=("at",))


def check_event(event: UsageEvent, *, formula: Formula) -> None:
    """Raise `InputInvalid` where the event lacks what the meter's formula counts."""
    if formula == "unique" and event.key is None:
        raise InputInvalid("An event of this meter has a key.", path=("key",))
    if formula in ("sum", "max", "last") and event.value is None:
        raise InputInvalid("An event of this meter has a value.", path=("value",))


def receive(event: UsageEvent, *, before: UsageEvent | None) -> Receipt:
    """What an event is to the one that was told before under its id.

    Raises `IdempotencyConflict` where that one said something else: the first one stays.
    """
    if before is None:
        return "accepted"
    if event != before:
        raise IdempotencyConflict("This usage event was told before with another content.")
    return "duplicate"


def receive_all(events: Iterable[UsageEvent]) -> tuple[list[UsageEvent], list[UsageEvent]]:
    """The events of one meter that count, in the order of arrival, and those that are refused.

    Duplicates are in neither list: they have no effect. The first one told under an id counts.
    """
    known: dict[str, UsageEvent] = {}
    refused: list[UsageEvent] = []
    for event in events:
        try:
            receive(event, before=known.get(event.id))
        except IdempotencyConflict:
            refused.append(event)
        else:
            known.setdefault(event.id, event)
    return list(known.values()), refused


def aggregate(events: Sequence[UsageEvent], *, formula: Formula, period: Period) -> Fraction:
    """What the events of the period come to, never below zero; an event at its end is not of it.

    The events are distinct and in the order of their arrival, which counts for one thing only: of
    several events at the latest instant the one that arrived last is the `last`.
    """
    inside = [event for event in events if event.at in period]
    for event in inside:
        check_event(event, formula=formula)
    values = [Fraction(event.value or 0) for event in inside]
    match formula:
        case "sum":
            total = sum(values, Fraction(0))
        case "count":
            total = Fraction(len(inside))
        case "max":
            total = max(values, default=Fraction(0))
        case "last":
            total = _latest(inside)
        case "unique":
            total = Fraction(len({event.key for event in inside}))
    return max(total, Fraction(0))


def place_event(
    event: UsageEvent,
    *,
    told_at: datetime,
    finalized: Sequence[FinalizedPeriod],
    policy: LatePolicy = "next_invoice",
) -> FinalizedPeriod | None:
    """The finalised period that the event adjusts; None: it counts in a period that is open still.

    Raises `EventTimestampOutOfRange`, and `EventPeriodFinalized` where the policy is `reject`.
    """
    check_timestamp(event.at, now=told_at)
    for each in finalized:
        if event.at in each.period and told_at >= each.finalized_at:
            if policy == "reject":
                raise EventPeriodFinalized(path=("at",))
            return each
    return None


def late_adjustment(model: PriceModel, *, billed: Fraction, present: Fraction) -> Adjustment:
    """What a finalised period owes beyond its invoice, at its own price.

    `billed` is the quantity on the invoices so far, `present` what the period's events come to now.
    The difference of two rounded amounts: both lines together are the line that one invoice of all
    the events would have had. Below zero it is given back.
    """
    amount = line_amount(model, present) - line_amount(model, billed)
    return Adjustment(quantity=present - billed, amount_minor=amount)


def _latest(events: Sequence[UsageEvent]) -> Fraction:
    found: UsageEvent | None = None
    for event in events:
        if found is None or event.at >= found.at:
            found = event
    return Fraction(found.value or 0) if found else Fraction(0)
