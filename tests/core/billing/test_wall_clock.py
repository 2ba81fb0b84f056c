"""Does a wall clock lead to the right instant, in gaps and folds too?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from payengine.billing.wall_clock import (
    instant_of,
    local_date,
    local_time,
    month_day,
    time_zone,
    whole_seconds,
)
from payengine.errors import InputInvalid


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2024-03-10T02:30", "America/New_York", "2024-03-10T07:30Z"),
        ("2024-11-03T01:30", "America/New_York", "2024-11-03T05:30Z"),
        ("2024-03-31T02:00", "Europe/Berlin", "2024-03-31T01:00Z"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T22:00Z"),
        ("2024-10-06T02:15", "Australia/Lord_Howe", "2024-10-05T15:45Z"),
    ],
)
def test_a_skipped_time_moves_forward_and_a_doubled_one_is_its_first(
    wall: str, zone: str, instant: str
) -> None:
    found = instant_of(datetime.fromisoformat(wall), time_zone(zone))
    assert found == datetime.fromisoformat(instant)
    assert found.tzinfo is UTC


def test_the_second_of_two_equal_hours_is_never_meant() -> None:
    wall = datetime.fromisoformat("2024-11-03T01:30").replace(fold=1)
    assert instant_of(wall, time_zone("America/New_York")).hour == 5


def test_a_day_is_that_of_the_zone() -> None:
    at = datetime(2025, 6, 15, 14, 59, tzinfo=UTC)
    assert local_date(at, time_zone("Asia/Tokyo")) == date(2025, 6, 15)
    assert local_date(at + timedelta(minutes=1), time_zone("Asia/Tokyo")) == date(2025, 6, 16)


@pytest.mark.parametrize(
    ("months", "day", "expected"),
    [
        (1, 31, date(2024, 2, 29)),
        (-1, 31, date(2023, 12, 31)),
        (13, 31, date(2025, 2, 28)),
        (3, 30, date(2024, 4, 30)),
        (0, 5, date(2024, 1, 5)),
    ],
)
def test_a_day_is_cut_to_the_length_of_its_month(months: int, day: int, expected: date) -> None:
    assert month_day(date(2024, 1, 31), months=months, day=day) == expected


def test_years_that_no_calendar_has_are_refused() -> None:
    with pytest.raises(InputInvalid):
        month_day(date(9999, 12, 1), months=1, day=1)
    with pytest.raises(InputInvalid):
        month_day(date(1, 1, 1), months=-1, day=1)
    with pytest.raises(InputInvalid):
        local_time(datetime(9999, 12, 31, 23, tzinfo=UTC), time_zone("Asia/Tokyo"))
    with pytest.raises(InputInvalid):
        instant_of(datetime.fromisoformat("0001-01-01"), time_zone("Asia/Tokyo"))


def test_seconds_are_cut_and_offsets_do_not_matter() -> None:
    at = datetime(1970, 1, 1, 1, 0, 1, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert whole_seconds(at) == 1
    assert whole_seconds(at - timedelta(seconds=2)) == -1
