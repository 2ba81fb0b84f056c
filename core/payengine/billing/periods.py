"""When does each billing period begin and end?

A period is half-open: its start belongs to it, its end to the next one. Every boundary is computed
from the anchor, never from the boundary before it, so that a subscription of the 31st goes back to
the 31st after February. The anchor's wall clock is kept in the subscriber's time zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args

from payengine.billing.wall_clock import (
    instant_of,
    local_date,
    local_time,
    month_day,
    require_instant,
    time_zone,
)
from payengine.errors import InputInvalid

__all__ = ["MOST_INTERVALS", "Cadence", "Interval", "IntervalUnit", "Period"]

IntervalUnit = Literal["day", "week", "month", "year"]

#: The largest count of each unit: ten years, further than any charge should reach.
MOST_INTERVALS: dict[IntervalUnit, int] = {"day": 3_660, "week": 522, "month": 120, "year": 10}

_DAYS: dict[IntervalUnit, int] = {"day": 1, "week": 7}
_MONTHS: dict[IntervalUnit, int] = {"month": 1, "year": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `start` on and before `end`; empty where they are one instant."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for an end before the start and for instants without offset."""
        require_instant(self.start)
        require_instant(self.end)
        if self.end < self.start:
            raise InputInvalid("A period does not end before it starts.")

    def __contains__(self, at: datetime) -> bool:
        """Whether the instant belongs to the period."""
        return self.start <= at < self.end

    @property
    def is_empty(self) -> bool:
        """Whether no instant belongs to it: the calendar skipped its only day."""
        return self.start == self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How far one boundary is from the next: `count` units of the local calendar."""

    unit: IntervalUnit
    count: int = 1

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for another unit, and for a count below 1 or above ten years."""
        if self.unit not in get_args(IntervalUnit):
            raise InputInvalid(
                "An interval is of days, weeks, months or years.", path=("intervalUnit",)
            )
        if type(self.count) is not int or not 1 <= self.count <= MOST_INTERVALS[self.unit]:
            most = MOST_INTERVALS[self.unit]
            raise InputInvalid(
                f"An interval counts 1 to {most} of the unit {self.unit}.", path=("intervalCount",)
            )

    @property
    def days(self) -> int:
        """Its length in days, 0 where it is counted in months."""
        return self.count * _DAYS.get(self.unit, 0)

    @property
    def months(self) -> int:
        """Its length in months, 0 where it is counted in days."""
        return self.count * _MONTHS.get(self.unit, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """All boundaries of a subscription: boundary 0 is the anchor, others lie before and after.

    `anchor_day` is the day of the month that is meant where the anchor's own day was cut short: a
    subscription of the 31st that came here in February. It says nothing of days and weeks.
    """

    anchor: datetime
    interval: Interval
    time_zone: str = "UTC"
    anchor_day: int | None = None

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for a zone, a day or an anchor that there cannot be."""
        require_instant(self.anchor)
        time_zone(self.time_zone)
        day = self.anchor_day
        if day is not None and (type(day) is not int or not 1 <= day <= 31):
            raise InputInvalid(
                "The anchor's day is a day of a month, 1 to 31.", path=("anchorDay",)
            )

    def boundary(self, number: int) -> datetime:
        """The instant in UTC at which period `number` starts; negative ones precede the anchor.

        Boundaries never go back. Two are equal where the zone skipped a whole day of the calendar,
        as Samoa did on 30 December 2011: the daily period between them is empty.
        Raises `InputInvalid` beyond the calendar.
        """
        if number == 0:
            return self.anchor.astimezone(UTC)
        zone = time_zone(self.time_zone)
        wall = local_time(self.anchor, zone).replace(tzinfo=None)
        return instant_of(datetime.combine(self._day(wall.date(), number), wall.time()), zone)

    def boundaries(self, periods: int) -> list[datetime]:
        """The anchor and the ends of the first `periods` periods."""
        return [self.boundary(number) for number in range(periods + 1)]

    def period(self, number: int) -> Period:
        """From boundary `number` to the next."""
        return Period(start=self.boundary(number), end=self.boundary(number + 1))

    def number_at(self, at: datetime) -> int:
        """The number of the period that holds the instant, which is never an empty one."""
        number = self._about(at)
        while self.boundary(number) > at:
            number -= 1
        while self.boundary(number + 1) <= at:
            number += 1
        return number

    def period_at(self, at: datetime) -> Period:
        """The period that holds the instant."""
        return self.period(self.number_at(at))

    def periods_from(self, starts_at: datetime) -> Iterator[Period]:
        """The periods of a subscription that starts then, without end, in their order.

        The first is partial where `starts_at` is no boundary: it ends at the boundary that follows
        (`period_at` says of which whole period it is a part). Empty periods are left out, so that
        no two start at one instant.
        """
        number = self.number_at(starts_at)
        yield Period(start=starts_at, end=self.boundary(number + 1))
        while True:
            number += 1
            period = self.period(number)
            if not period.is_empty:
                yield period

    def due_periods(self, starts_at: datetime, *, until: datetime) -> Iterator[Period]:
        """The periods that have started by `until`: each of them is invoiced on its own.

        This is how a start in the past and a clock that jumped are caught up with.
        """
        for period in self.periods_from(starts_at):
            if period.start > until:
                return
            yield period

    def restarted(self, at: datetime, *, interval: Interval | None = None) -> Cadence:
        """Anchored anew at the instant: after another interval, a reset, a trial or a pause."""
        return replace(self, anchor=at, interval=interval or self.interval, anchor_day=None)

    def continued(self, number: int, *, interval: Interval) -> Cadence:
        """Another interval from boundary `number` on, with the day of the month that was meant."""
        local = local_date(self.anchor, time_zone(self.time_zone))
        day = self.anchor_day or local.day
        return replace(
            self,
            anchor=self.boundary(number),
            interval=interval,
            anchor_day=day if self.interval.months else None,
        )

    def _day(self, anchor: date, number: int) -> date:
        if self.interval.months:
            months = self.interval.months * number
            return month_day(anchor, months=months, day=self.anchor_day or anchor.day)
        try:
            return anchor + timedelta(days=self.interval.days * number)
        except OverflowError:
            raise InputInvalid("The calendar ends with the year 9999.") from None

    def _about(self, at: datetime) -> int:
        """A number at most two away from the period of the instant."""
        zone = time_zone(self.time_zone)
        first, present = local_date(self.anchor, zone), local_date(at, zone)
        if self.interval.months:
            months = (present.year - first.year) * 12 + present.month - first.month
            return months // self.interval.months
        return (present - first).days // self.interval.days
