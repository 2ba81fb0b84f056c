"""On which day does a bank work, and on which day is money collected?

TARGET, the settlement system of the euro, is closed on Saturdays, Sundays, New Year's Day, Good
Friday, Easter Monday, 1 May, Christmas Day and 26 December (European Central Bank). The cut-off is
a time in Frankfurt: a file that comes at it or later counts as the next business day's.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = [
    "add_business_days",
    "collection_day",
    "easter_sunday",
    "is_business_day",
    "next_business_day",
    "processing_day",
    "target_holidays",
]

_FRANKFURT = ZoneInfo("Europe/Berlin")
_DAY = timedelta(days=1)


def easter_sunday(year: int) -> date:
    """Easter of the Gregorian calendar, by the anonymous algorithm (Meeus/Jones/Butcher)."""
    golden = year % 19
    century, rest = divmod(year, 100)
    leaps, skipped = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leaps - correction + 15) % 30
    quarters, singles = divmod(rest, 4)
    weekday = (32 + 2 * skipped + 2 * quarters - epact - singles) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def target_holidays(year: int) -> frozenset[date]:
    """The days of the year, besides weekends, on which TARGET is closed."""
    easter = easter_sunday(year)
    return frozenset(
        {
            date(year, 1, 1),
            easter - 2 * _DAY,
            easter + _DAY,
            date(year, 5, 1),
            date(year, 12, 25),
            date(year, 12, 26),
        }
    )


def is_business_day(day: date) -> bool:
    """Whether TARGET is open."""
    return day.weekday() < 5 and day not in target_holidays(day.year)


def next_business_day(day: date) -> date:
    """The day itself where it is a business day, else the first one after it."""
    while not is_business_day(day):
        day += _DAY
    return day


def add_business_days(day: date, days: int) -> date:
    """`days` business days after the first business day at or after `day`."""
    day = next_business_day(day)
    for _ in range(days):
        day = next_business_day(day + _DAY)
    return day


def processing_day(at: datetime, *, cutoff: time) -> date:
    """The business day as which a bank counts a file that reaches it at the instant `at`."""
    local = at.astimezone(_FRANKFURT)
    day = local.date()
    if is_business_day(day) and local.time().replace(tzinfo=None) < cutoff:
        return day
    return next_business_day(day + _DAY)


def collection_day(at: datetime, *, cutoff: time, notice_days: int) -> date:
    """The first day on which a direct debit ordered at `at` may be collected.

    The bank needs the file one business day before (SEPA Core rulebook since November 2016), and
    the debtor must have been told `notice_days` calendar days before.
    """
    by_bank = add_business_days(processing_day(at, cutoff=cutoff), 1)
    by_notice = at.astimezone(_FRANKFURT).date() + timedelta(days=notice_days)
    return next_business_day(max(by_bank, by_notice))
