"""From which day on is a sale's money available?

Days are calendar days of the account's zone. A business day is one from Monday to Friday that is
no holiday.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta, tzinfo

from payengine.errors import InputInvalid

__all__ = ["MAX_DELAY_DAYS", "available_on", "day_of"]

#: The longest delay between a sale and its money.
MAX_DELAY_DAYS = 365

_SATURDAY = 5


def day_of(instant: datetime, zone: tzinfo) -> date:
    """The calendar day of an aware instant in a zone."""
    if instant.tzinfo is None:
        raise InputInvalid("An instant needs its offset from UTC.")
    return instant.astimezone(zone).date()


def available_on(
    sold_on: date,
    *,
    delay_days: int,
    business_days: bool = False,
    holidays: Collection[date] = (),
) -> date:
    """The day `delay_days` after the sale's; of business days only those are counted.

    A delay of 0 is the day of the sale itself. Raises `InputInvalid` for a delay below 0 or above
    `MAX_DELAY_DAYS`, and where holidays leave no business day within ten years.
    """
    if not 0 <= delay_days <= MAX_DELAY_DAYS:
        raise InputInvalid(f"Money is available 0 to {MAX_DELAY_DAYS} days after a sale.")
    if not business_days:
        return sold_on + timedelta(days=delay_days)
    day, left = sold_on, delay_days
    for _ in range(10 * 366):
        if not left:
            return day
        day += timedelta(days=1)
        left -= day.weekday() < _SATURDAY and day not in holidays
    raise InputInvalid("The holidays leave no business day.")
