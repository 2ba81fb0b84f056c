"""What of a subscription's row does a renewal read, and which of its periods end?"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from payengine.billing.periods import Cadence, Interval, IntervalUnit, Period
from payengine.billing.renewing import Renewable, RenewableStatus, is_due, renew

__all__ = ["DueSubscription", "closing_periods", "renewable_of"]


class DueSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a subscription that say when and how it is renewed."""

    id: str
    customer_id: str
    currency: str
    status: RenewableStatus
    anchor: datetime
    anchor_day: int | None
    interval_unit: IntervalUnit
    interval_count: int
    time_zone: str
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    pause_at_period_end: bool
    payment_method_id: str | None
    coupons: list[dict[str, Any]]
    change_at: datetime | None
    notice_at: datetime | None
    due_at: datetime | None


def renewable_of(row: DueSubscription) -> Renewable:
    """What the rules of renewal take."""
    return Renewable(
        id=row.id,
        status=row.status,
        cadence=Cadence(
            anchor=row.anchor,
            interval=Interval(unit=row.interval_unit, count=row.interval_count),
            time_zone=row.time_zone,
            anchor_day=row.anchor_day,
        ),
        period_start=row.period_start,
        period_end=row.period_end,
        cancel_at_period_end=row.cancel_at_period_end,
        pause_at_period_end=row.pause_at_period_end,
    )


def closing_periods(
    row: DueSubscription, at: datetime, closed_at: datetime | None = None
) -> tuple[Period, ...]:
    """The periods whose usage is to be invoiced by the instant, in their order.

    The present one, and after it each that a renewal up to `at` goes through; a trial's usage is
    not charged, and what was canceled was charged at its end. With `closed_at` the present one ends
    there.
    """
    if row.status in ("trialing", "canceled"):
        ended: tuple[Period, ...] = ()
    else:
        end = row.period_end if closed_at is None else min(closed_at, row.period_end)
        ended = (Period(start=row.period_start, end=max(end, row.period_start)),)
    present = renewable_of(row)
    if closed_at is not None or not is_due(present, at):
        return ended
    return ended + renew(present, at).periods[:-1]
