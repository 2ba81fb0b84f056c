"""Which instant does the subscriber's wall clock mean?

Instants are aware and kept in UTC; days, months and hours of the day are those of a time zone.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from payengine.errors import InputInvalid

__all__ = [
    "instant_of",
    "local_date",
    "local_time",
    "month_day",
    "require_instant",
    "time_zone",
    "whole_seconds",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def _names() -> frozenset[str]:
    """Geographic names only: neither the machine's own zone nor the ones with leap seconds."""
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def time_zone(name: str) -> ZoneInfo:
    """The zone of the IANA time zone database; raises `InputInvalid` for any other name."""
    if name not in _names():
        raise InputInvalid(f"There is no time zone {name[:60]!r}.", path=("timeZone",))
    return ZoneInfo(name)


def require_instant(at: datetime) -> None:
    """Raise `InputInvalid` unless `at` says where on Earth its clock hangs."""
    if at.tzinfo is None or at.utcoffset() is None:
        raise InputInvalid("An instant carries its offset from UTC.")


def whole_seconds(at: datetime) -> int:
    """Seconds since 1970, cut to whole ones."""
    return (at - _EPOCH) // timedelta(seconds=1)


def local_time(at: datetime, zone: ZoneInfo) -> datetime:
    """What the wall clock in `zone` shows at the instant."""
    require_instant(at)
    try:
        return at.astimezone(zone)
    except OverflowError:
        raise _off_the_calendar() from None


def local_date(at: datetime, zone: ZoneInfo) -> date:
    """The day of the calendar in `zone`."""
    return local_time(at, zone).date()


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant in UTC at which the clock in `zone` shows `wall`.

    A time that the clock skips is read with the offset from before the gap, which moves it forward
    by the gap; of a time that it shows twice, the first is meant (PEP 495, `fold=0`).
    """
    try:
        return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    except (OverflowError, ValueError):
        raise _off_the_calendar() from None


def month_day(start: date, *, months: int, day: int) -> date:
    """The `day` of the month that lies `months` after that of `start`, or the month's last day."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    try:
        return date(year, month + 1, min(day, calendar.monthrange(year, month + 1)[1]))
    except (ValueError, OverflowError, calendar.IllegalMonthError):
        raise _off_the_calendar() from None


def _off_the_calendar() -> InputInvalid:
    return InputInvalid("The calendar ends with the year 9999.")
