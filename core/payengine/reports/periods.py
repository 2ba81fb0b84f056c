"""Which instants does a report cover?

From the start of one day to the start of another in a zone of the tz database: the first included,
the second not.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from payengine.errors import InputInvalid

__all__ = ["Interval", "interval", "start_of", "zone_named"]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """`start` ≤ instant < `end`, both aware."""

    start: datetime
    end: datetime


def zone_named(name: str) -> ZoneInfo:
    """A zone of the tz database; raises `InputInvalid` for any other name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as missing:
        raise InputInvalid("The tz database has no zone of this name.") from missing


def start_of(day: date | datetime, *, timezone: str = "UTC") -> datetime:
    """The first instant of a day in a zone; an instant is taken as it is, by the zone if naive.

    Where the clocks skip midnight it is the instant at which they do; where midnight comes twice,
    the first one.
    """
    zone = zone_named(timezone)
    if not isinstance(day, datetime):
        day = datetime.combine(day, time(0))
    if day.tzinfo is None:
        day = day.replace(tzinfo=zone)
    return day.astimezone(UTC)


def interval(start: date | datetime, end: date | datetime, *, timezone: str = "UTC") -> Interval:
    """From the start of one day to that of another; raises `InputInvalid` where it ends before."""
    found = Interval(start=start_of(start, timezone=timezone), end=start_of(end, timezone=timezone))
    if found.end < found.start:
        raise InputInvalid("The interval ends before it starts.")
    return found
