"""Is money available on the day that was agreed, in the account's own zone?"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid
from payengine.marketplace.availability import available_on, day_of

_FRIDAY = date(2025, 6, 13)


def test_holidays_and_weekends_are_not_counted() -> None:
    monday = date(2025, 6, 16)
    assert available_on(_FRIDAY, delay_days=1, business_days=True) == monday
    late = available_on(_FRIDAY, delay_days=1, business_days=True, holidays={monday})
    assert late == date(2025, 6, 17)


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(0, 60))
def test_business_days_are_counted_one_by_one(day: date, delay: int) -> None:
    found = available_on(day, delay_days=delay, business_days=True)
    between = [day + timedelta(days=n + 1) for n in range((found - day).days)]
    assert sum(one.weekday() < 5 for one in between) == delay
    assert delay == 0 or found.weekday() < 5


def test_the_day_is_that_of_the_zone() -> None:
    late = datetime.fromisoformat("2025-06-13T22:30:00+00:00")
    assert day_of(late, ZoneInfo("Europe/Berlin")) == date(2025, 6, 14)
    with pytest.raises(InputInvalid):
        day_of(datetime(2025, 6, 13), ZoneInfo("UTC"))  # noqa: DTZ001


@pytest.mark.parametrize("delay", [-1, 366])
def test_delays_have_bounds(delay: int) -> None:
    with pytest.raises(InputInvalid):
        available_on(_FRIDAY, delay_days=delay)


def test_holidays_for_ever_are_refused() -> None:
    always = {_FRIDAY + timedelta(days=n) for n in range(4_000)}
    with pytest.raises(InputInvalid):
        available_on(_FRIDAY, delay_days=1, business_days=True, holidays=always)
