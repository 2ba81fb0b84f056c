"""How much is paid out, and on which days?

A payout takes what is available in whole steps of what the rail can send; below the minimum
everything waits for the next one. A payout that fails returns its money to the balance.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from typing import Literal, get_args

import msgspec

from payengine.errors import InputInvalid, TransitionRefused

__all__ = [
    "MAX_DATES",
    "STEPS",
    "Destination",
    "Interval",
    "Payable",
    "PayoutEvent",
    "PayoutStanding",
    "PayoutState",
    "Schedule",
    "Weekday",
    "after_payout",
    "first_payout_with",
    "payable",
    "payout_dates",
]

#: The most dates that one call lists.
MAX_DATES = 1_000

#: Minor units of which rails commonly send whole multiples only: these two currencies have
#: hundredths by ISO 4217 that no bank moves. A rail with other steps passes its own.
STEPS = {"HUF": 100, "TWD": 100}

Interval = Literal["daily", "weekly", "monthly", "manual"]

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

PayoutState = Literal["in_transit", "paid", "failed"]

PayoutEvent = Literal["paid", "failed"]

#: What is known of where the money goes; after a failure it must be looked at first.
Destination = Literal["usable", "requires_update"]


class Payable(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units: what goes out now, and what stays."""

    payout: int
    remaining: int


def payable(
    available_minor: int, *, currency: str, minimum_minor: int = 0, step_minor: int | None = None
) -> Payable:
    """What a payout takes of an available balance: a whole number of steps, at least the minimum.

    `step_minor` is the rail's own for this currency, else that of `STEPS`, else one unit. A
    balance of nothing or below pays nothing.
    """
    step = STEPS.get(currency, 1) if step_minor is None else step_minor
    if step < 1 or minimum_minor < 0:
        raise InputInvalid("A payout has a step above zero and a minimum of zero or more.")
    out = max(available_minor, 0) // step * step
    if out < minimum_minor:
        out = 0
    return Payable(payout=out, remaining=available_minor - out)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """`weekday` for a weekly schedule, `anchor_day` (1 to 31) for a monthly one.

    An anchor beyond a month's end is the month's last day.
    """

    interval: Interval
    weekday: Weekday = "monday"
    anchor_day: int = 1


def payout_dates(schedule: Schedule, *, since: date, count: int) -> list[date]:
    """The first `count` days of payout from `since` on, itself included; a manual one has none."""
    if not 0 <= count <= MAX_DATES:
        raise InputInvalid(f"At most {MAX_DATES} payout days are listed at once.")
    return list(islice(_days(schedule, since), count))


def first_payout_with(schedule: Schedule, *, available: date) -> date | None:
    """The payout that takes money which is available from a day on; None for a manual schedule."""
    return next(_days(schedule, available), None)


def _days(schedule: Schedule, since: date) -> Iterator[date]:
    match schedule.interval:
        case "daily":
            yield from _every(since, days=1)
        case "weekly":
            ahead = (get_args(Weekday).index(schedule.weekday) - since.weekday()) % 7
            yield from _every(since + timedelta(days=ahead), days=7)
        case "monthly":
            if not 1 <= schedule.anchor_day <= 31:
                raise InputInvalid("A monthly payout is anchored to a day from 1 to 31.")
            month = since.replace(day=1)
            while True:
                last = monthrange(month.year, month.month)[1]
                day = month.replace(day=min(schedule.anchor_day, last))
                if day >= since:
                    yield day
                month += timedelta(days=last)
        case "manual":
            return


def _every(first: date, *, days: int) -> Iterator[date]:
    day = first
    while True:
        yield day
        day += timedelta(days=days)


class PayoutStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What a payout's news makes of it: minor units that return, and the destination."""

    state: PayoutState
    returned: int
    destination: Destination


def after_payout(state: PayoutState, event: PayoutEvent, *, amount_minor: int) -> PayoutStanding:
    """A payout on its way arrives or fails; one that arrived may still be returned by the bank.

    A failure returns the amount once. Raises `TransitionRefused` for anything else.
    """
    if state == "in_transit" and event == "paid":
        return PayoutStanding(state="paid", returned=0, destination="usable")
    if state in ("in_transit", "paid") and event == "failed":
        return PayoutStanding(state="failed", returned=amount_minor, destination="requires_update")
    raise TransitionRefused(f"A payout that is {state} cannot become {event}.")
