"""Is the rate of the right day found, and nothing invented where there is none?"""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import pytest
from payengine.errors import RateNotAvailable
from payengine.fx.rates import DailyRates, rate_on

_FRIDAY = date(2024, 1, 5)
_RATES = DailyRates(
    source="ecb",
    base="EUR",
    days={
        _FRIDAY: {"USD": "1.0921", "JPY": "158.57"},
        _FRIDAY - timedelta(days=1): {"USD": "1.0953", "JPY": "157.91", "GBP": "0.86278"},
    },
)


@pytest.mark.parametrize("later", range(5))
def test_the_last_known_day_holds_for_four_more(later: int) -> None:
    found = rate_on(_RATES, _FRIDAY + timedelta(days=later), source="EUR", target="USD")
    assert (found.rate, found.rate_date, found.rate_source) == ("1.0921", _FRIDAY, "ecb")


@pytest.mark.parametrize(("later", "target"), [(5, "USD"), (0, "KWD"), (4, "GBP"), (-2, "USD")])
def test_no_rate_is_an_error_and_not_an_old_one(later: int, target: str) -> None:
    with pytest.raises(RateNotAvailable):
        rate_on(_RATES, _FRIDAY + timedelta(days=later), source="EUR", target=target)


def test_both_currencies_are_of_one_day() -> None:
    found = rate_on(_RATES, _FRIDAY, source="USD", target="GBP")
    assert found.rate_date == _FRIDAY - timedelta(days=1)
    assert found.exact == Fraction(86278, 109530)


def test_pairs_are_crossed_exactly() -> None:
    found = rate_on(_RATES, _FRIDAY, source="USD", target="JPY")
    assert found.exact == Fraction(15857, 100) * Fraction(10000, 10921)
    back = rate_on(_RATES, _FRIDAY, source="JPY", target="EUR")
    assert back.exact == Fraction(100, 15857)
    assert rate_on(_RATES, _FRIDAY, source="EUR", target="EUR").exact == 1
