"""Is recurring revenue rounded once, and do its movements add up?"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid
from payengine.reports.recurring import Coupon, RecurringLine, movements, recurring_revenue

_MONTHLY = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**6))


@given(_MONTHLY, _MONTHLY, st.sets(st.sampled_from("abcdefgh")), _MONTHLY)
def test_movements_add_up(
    start: dict[str, int], end: dict[str, int], known: set[str], fx: dict[str, int]
) -> None:
    rates = {name: value for name, value in fx.items() if start.get(name) and end.get(name)}
    found = movements(start, end, known_before=known, fx=rates)
    gains = found.new + found.reactivation + found.expansion + found.fx
    assert found.starting + gains - found.contraction - found.churn == found.ending
    kinds = (found.new, found.reactivation, found.expansion, found.contraction, found.churn)
    assert min(kinds) >= 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(["day", "week", "month", "year"]),
                          st.integers(1, 12)), max_size=10))  # fmt: skip
def test_it_is_rounded_once_per_currency(drawn: list[tuple[int, str, int]]) -> None:
    per_month = {"day": Fraction(365, 12), "week": Fraction(52, 12), "month": Fraction(1),
                 "year": Fraction(1, 12)}  # fmt: skip
    lines = [
        RecurringLine(status="active", amount_minor=amount, interval=interval,
                      interval_count=count, currency="USD")
        for amount, interval, count in drawn
    ]  # fmt: skip
    exact = sum(
        (amount * per_month[interval] * Fraction(1, count) for amount, interval, count in drawn),
        Fraction(0),
    )
    found = recurring_revenue(lines)
    assert set(found) == ({"USD"} if drawn else set())
    if drawn:
        assert abs(found["USD"].mrr - exact) <= Fraction(1, 2)
        assert found["USD"].arr == 12 * found["USD"].mrr


def test_currencies_are_apart_and_coupons_do_not_go_below_nothing() -> None:
    found = recurring_revenue(
        [
            RecurringLine(status="active", amount_minor=100, interval="month", currency="USD",
                          coupon=Coupon(duration="forever", amount_off=150)),
            RecurringLine(status="active", amount_minor=100, interval="month", currency="EUR",
                          coupon=Coupon(duration="once", percent_bps=10_000)),
        ]
    )  # fmt: skip
    assert (found["USD"].mrr, found["EUR"].mrr) == (0, 100)


@pytest.mark.parametrize(("interval", "count"), [("fortnight", 1), ("month", 0)])
def test_other_intervals_are_refused(interval: str, count: int) -> None:
    line = RecurringLine(status="active", amount_minor=1, interval=interval, interval_count=count)
    with pytest.raises(InputInvalid):
        recurring_revenue([line])
