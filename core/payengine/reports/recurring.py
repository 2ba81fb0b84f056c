"""What do subscriptions bring in a month, and what moved it?

Monthly recurring revenue is exact until it is rounded once per currency: a day counts 365/12
times, a week 52/12, a year a twelfth. The yearly figure is twelve times the monthly one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from fractions import Fraction
from typing import Literal

import msgspec

from payengine.errors import InputInvalid
from payengine.money import round_half_away
from payengine.reports.ratios import Ratio, ratio

__all__ = [
    "Coupon",
    "CouponDuration",
    "Movements",
    "RecurringLine",
    "RecurringRevenue",
    "movements",
    "recurring_revenue",
]

CouponDuration = Literal["forever", "repeating", "once"]

#: Statuses of subscriptions that are expected to pay.
_COUNTED = frozenset({"active", "past_due"})

_BPS = 10_000

#: How often an interval comes in a month.
_PER_MONTH = {
    "day": Fraction(365, 12),
    "week": Fraction(52, 12),
    "month": Fraction(1),
    "year": Fraction(1, 12),
}


class Coupon(msgspec.Struct, frozen=True, kw_only=True):
    """Basis points or minor units off each interval; only one that lasts for ever counts."""

    duration: CouponDuration
    percent_bps: int = 0
    amount_off: int = 0


class RecurringLine(msgspec.Struct, frozen=True, kw_only=True):
    """`count` subscriptions of `amount_minor` without tax, every `interval_count` intervals."""

    status: str
    amount_minor: int
    interval: str
    interval_count: int = 1
    count: int = 1
    currency: str | None = None
    metered: bool = False
    coupon: Coupon | None = None


class RecurringRevenue(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units a month and a year."""

    mrr: int
    arr: int


class Movements(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units a month: ending = starting + new + reactivation + expansion + fx − the losses."""

    starting: int
    new: int
    reactivation: int
    expansion: int
    contraction: int
    churn: int
    fx: int
    ending: int
    gross_mrr_churn: Ratio
    net_revenue_retention: Ratio
    logo_churn: Ratio


def recurring_revenue(lines: Iterable[RecurringLine]) -> dict[str | None, RecurringRevenue]:
    """The revenue of each currency that a line names, of which some may bring nothing."""
    exact: dict[str | None, Fraction] = {}
    for line in lines:
        exact[line.currency] = exact.get(line.currency, Fraction(0)) + _monthly(line)
    monthly = {
        code: round_half_away(total.numerator, denominator=total.denominator)
        for code, total in exact.items()
    }
    return {code: RecurringRevenue(mrr=mrr, arr=12 * mrr) for code, mrr in monthly.items()}


def _monthly(line: RecurringLine) -> Fraction:
    per_month = _PER_MONTH.get(line.interval)
    if per_month is None or line.interval_count < 1:
        raise InputInvalid("A subscription renews every so many days, weeks, months or years.")
    if line.status not in _COUNTED or line.metered:
        return Fraction(0)
    amount = Fraction(line.amount_minor)
    if line.coupon is not None and line.coupon.duration == "forever":
        amount = amount * Fraction(_BPS - line.coupon.percent_bps, _BPS) - line.coupon.amount_off
    return max(amount, Fraction(0)) * line.count * per_month * Fraction(1, line.interval_count)


def movements(
    start: Mapping[str, int],
    end: Mapping[str, int],
    *,
    known_before: Set[str] = frozenset(),
    fx: Mapping[str, int] | None = None,
) -> Movements:
    """What moved the monthly revenue of each customer, in minor units of one currency.

    A customer who begins to pay is new, or comes back if `known_before` has it. `fx` is how much
    of each customer's change exchange rates alone made; it is counted apart.
    """
    rates = dict(fx or {})
    kinds = dict.fromkeys(("new", "reactivation", "expansion", "contraction", "churn"), 0)
    lost = 0
    for customer in {**start, **end}:
        before, after = start.get(customer, 0), end.get(customer, 0)
        change = after - before - rates.get(customer, 0)
        if before == 0 and after:
            kinds["reactivation" if customer in known_before else "new"] += change
        elif before and after == 0:
            kinds["churn"] -= change
            lost += 1
        elif change > 0:
            kinds["expansion"] += change
        else:
            kinds["contraction"] -= change
    starting = sum(start.values())
    gone = kinds["contraction"] + kinds["churn"]
    return Movements(
        starting=starting,
        **kinds,
        fx=sum(rates.values()),
        ending=sum(end.values()),
        gross_mrr_churn=ratio(gone, whole=starting),
        net_revenue_retention=ratio(starting + kinds["expansion"] - gone, whole=starting),
        logo_churn=ratio(lost, whole=sum(1 for value in start.values() if value)),
    )
