"""When is what was invoiced earned?

What was charged for a time is earned evenly over it, by the second, and told by calendar months of
the tenant's zone; what was charged for no time is earned when the invoice is made final. Tax is
nobody's revenue. Each line's months add up to its net amount, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from payengine.billing.invoicing import ComputedLine, Invoice
from payengine.billing.wall_clock import instant_of, local_time, time_zone
from payengine.money import allocate

__all__ = ["EarnedMonth", "revenue_schedule"]


class EarnedMonth(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units without tax that are earned in the month that begins on `month`, YYYY-MM."""

    month: str
    amount_minor: int


def revenue_schedule(
    invoice: Invoice, *, finalized_at: datetime, zone: str = "UTC"
) -> list[EarnedMonth]:
    """What is earned in which month, in the order of the months; those over nothing are left out.

    The sum is the invoice's total without tax. A credit is taken back over its own time.
    """
    earned: dict[str, int] = {}
    for line in invoice.lines:
        for month, amount in _months(line, finalized_at, zone):
            earned[month] = earned.get(month, 0) + amount
    return [
        EarnedMonth(month=month, amount_minor=amount)
        for month, amount in sorted(earned.items())
        if amount
    ]


def _months(computed: ComputedLine, finalized_at: datetime, zone: str) -> Iterator[tuple[str, int]]:
    start, end = computed.line.period_start, computed.line.period_end
    if start is None or end is None or start >= end:
        yield _name(finalized_at, zone), computed.net
        return
    months: list[str] = []
    seconds: list[int] = []
    at = start
    while at < end:
        until = min(_next_month(at, zone), end)
        months.append(_name(at, zone))
        seconds.append(max(int((until - at).total_seconds()), 1))
        at = until
    yield from zip(months, allocate(computed.net, seconds), strict=True)


def _name(at: datetime, zone: str) -> str:
    return local_time(at, time_zone(zone)).strftime("%Y-%m")


def _next_month(at: datetime, zone: str) -> datetime:
    wall = local_time(at, time_zone(zone)).replace(tzinfo=None)
    year, month = (wall.year + 1, 1) if wall.month == 12 else (wall.year, wall.month + 1)
    return instant_of(datetime(year, month, 1), time_zone(zone))  # noqa: DTZ001 - a wall clock
