"""Is money collected on a day on which banks work, and never too early?"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine_bank_transfer.days import (
    add_business_days,
    collection_day,
    easter_sunday,
    is_business_day,
    next_business_day,
    processing_day,
    target_holidays,
)

_CUTOFF = time(15)
_START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [
        (1961, 4, 2),
        (2000, 4, 23),
        (2008, 3, 23),
        (2011, 4, 24),
        (2024, 3, 31),
        (2025, 4, 20),
        (2026, 4, 5),
        (2027, 3, 28),
        (2038, 4, 25),
        (2285, 3, 22),
    ],
)
def test_easter_is_where_the_church_has_it(year: int, month: int, day: int) -> None:
    assert easter_sunday(year) == date(year, month, day)


def test_target_is_closed_on_six_days_besides_weekends() -> None:
    assert sorted(target_holidays(2026)) == [
        date(2026, 1, 1),
        date(2026, 4, 3),
        date(2026, 4, 6),
        date(2026, 5, 1),
        date(2026, 12, 25),
        date(2026, 12, 26),
    ]


def test_over_easter_the_next_business_day_is_tuesday() -> None:
    assert next_business_day(date(2026, 4, 3)) == date(2026, 4, 7)
    assert add_business_days(date(2026, 4, 2), 1) == date(2026, 4, 7)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        # Frankfurt is two hours before UTC in summer, and one in winter.
        (datetime(2026, 7, 1, 12, 59, 59, tzinfo=UTC), date(2026, 7, 1)),
        (datetime(2026, 7, 1, 13, 0, tzinfo=UTC), date(2026, 7, 2)),
        (datetime(2026, 12, 1, 13, 59, tzinfo=UTC), date(2026, 12, 1)),
        (datetime(2026, 12, 1, 14, 0, tzinfo=UTC), date(2026, 12, 2)),
        (datetime(2026, 12, 24, 14, 0, tzinfo=UTC), date(2026, 12, 28)),
        (datetime(2026, 11, 21, 9, 0, tzinfo=UTC), date(2026, 11, 23)),
        # It is the next day in Frankfurt already.
        (datetime(2026, 7, 1, 22, 30, tzinfo=UTC), date(2026, 7, 2)),
    ],
)
def test_the_cut_off_is_frankfurts(at: datetime, day: date) -> None:
    assert processing_day(at, cutoff=_CUTOFF) == day


def test_a_debtor_is_told_so_many_days_before() -> None:
    at = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert collection_day(at, cutoff=_CUTOFF, notice_days=1) == date(2026, 11, 24)
    assert collection_day(at, cutoff=_CUTOFF, notice_days=14) == date(2026, 12, 7)
    assert collection_day(at, cutoff=_CUTOFF, notice_days=32) == date(2026, 12, 28)


@given(
    at=st.integers(0, 40 * 366 * 1440).map(lambda m: _START + timedelta(minutes=m)),
    notice=st.integers(1, 60),
)
def test_a_collection_is_on_a_business_day_after_bank_and_debtor_were_told(
    at: datetime, notice: int
) -> None:
    day = collection_day(at, cutoff=_CUTOFF, notice_days=notice)
    assert is_business_day(day)
    assert day > processing_day(at, cutoff=_CUTOFF)
    assert day >= at.date() + timedelta(days=notice)
