"""Do periods begin and end where the subscriber's calendar says, whatever the zone does?"""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from payengine.billing import Cadence, Interval, IntervalUnit, Period
from payengine.errors import InputInvalid

_EXAMPLES = 5_000 if os.environ.get("PAYENGINE_NIGHTLY") else 60
#: The first that hypothesis would show is "UTC" and its like: short names first.
_ZONES = sorted(
    available_timezones() - {"localtime", "posixrules", "Factory"},
    key=lambda name: (len(name), name),
)
_ANCHORS = st.integers(
    int(datetime(1970, 1, 2, tzinfo=UTC).timestamp()),
    int(datetime(2090, 1, 1, tzinfo=UTC).timestamp()),
).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
_LENGTHS = {1: 31, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _monthly(anchor: str, *, zone: str = "UTC", day: int | None = None) -> Cadence:
    interval = Interval(unit="month")
    return Cadence(anchor=_at(anchor), interval=interval, time_zone=zone, anchor_day=day)


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _searched(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant whose clock shows `wall`, found by looking at every half-hour around it."""
    around = [
        wall.replace(tzinfo=UTC) + timedelta(minutes=minutes)
        for minutes in range(-2 * 24 * 60, 2 * 24 * 60, 30)
    ]
    offsets = [at.astimezone(zone).utcoffset() or timedelta() for at in around]
    shown = [
        wall.replace(tzinfo=UTC) - offset
        for offset in set(offsets)
        if _wall(wall.replace(tzinfo=UTC) - offset, zone) == wall
    ]
    if shown:
        return min(shown)
    before = [
        offset
        for at, offset in zip(around, offsets, strict=True)
        if at.replace(tzinfo=None) + offset < wall
    ]
    return wall.replace(tzinfo=UTC) - before[-1]


def _month_by_month(anchor: datetime, zone: ZoneInfo, months: int) -> list[datetime]:
    """Boundaries by turning the pages of a calendar, one month after the other."""
    first = _wall(anchor, zone)
    year, month, found = first.year, first.month, [anchor]
    for _ in range(months):
        month += 1
        if month == 13:
            year, month = year + 1, 1
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        length = _LENGTHS.get(month, 29 if leap else 28)
        found.append(
            _searched(first.replace(year=year, month=month, day=min(first.day, length)), zone)
        )
    return found


@settings(max_examples=_EXAMPLES)
@given(anchor=_ANCHORS, zone=st.sampled_from(_ZONES))
@example(anchor=_at("2011-11-30T20:00:00+00:00"), zone="Pacific/Apia")
@example(anchor=_at("2024-10-03T05:30:00+00:00"), zone="America/New_York")
@example(anchor=_at("2024-11-03T06:30:00+00:00"), zone="America/New_York")
@example(anchor=_at("2024-02-10T07:30:00+00:00"), zone="America/New_York")
@example(anchor=_at("2024-10-05T15:45:00+00:00"), zone="Australia/Lord_Howe")
@example(anchor=_at("2024-01-31T23:00:00+00:00"), zone="Europe/Dublin")
def test_36_months_agree_with_a_calendar_that_is_leafed_through(
    anchor: datetime, zone: str
) -> None:
    cadence = Cadence(anchor=anchor, interval=Interval(unit="month"), time_zone=zone)
    assert cadence.boundaries(36) == _month_by_month(anchor, ZoneInfo(zone), 36)


@settings(max_examples=_EXAMPLES)
@given(
    anchor=_ANCHORS,
    zone=st.sampled_from(_ZONES),
    unit=st.sampled_from(["day", "week", "month", "year"]),
    count=st.integers(1, 10),
    day=st.none() | st.integers(1, 31),
    seconds=st.integers(-(10**8), 10**8),
)
@example(
    anchor=_at("2011-12-20T10:00:00+00:00"),
    zone="Pacific/Apia",
    unit="day",
    count=1,
    day=None,
    seconds=864_000,
)
def test_every_instant_lies_in_one_period_and_periods_touch(
    anchor: datetime, zone: str, unit: IntervalUnit, count: int, day: int | None, seconds: int
) -> None:
    interval = Interval(unit=unit, count=count)
    cadence = Cadence(anchor=anchor, interval=interval, time_zone=zone, anchor_day=day)
    at = anchor + timedelta(seconds=seconds)
    number = cadence.number_at(at)
    assert at in cadence.period(number)
    assert cadence.number_at(cadence.boundary(number)) == number
    near = [cadence.period(each) for each in range(number - 3, number + 4)]
    assert all(one.end == other.start for one, other in itertools.pairwise(near))
    assert sum(at in period for period in near) == 1


@settings(max_examples=_EXAMPLES)
@given(anchor=_ANCHORS, zone=st.sampled_from(_ZONES), count=st.integers(1, 30))
def test_days_and_weeks_keep_the_wall_clock(anchor: datetime, zone: str, count: int) -> None:
    place = ZoneInfo(zone)
    cadence = Cadence(anchor=anchor, interval=Interval(unit="day", count=count), time_zone=zone)
    for number, boundary in enumerate(cadence.boundaries(20)[1:], start=1):
        wall = _wall(anchor, place) + timedelta(days=number * count)
        assert boundary == _searched(wall, place)


def test_a_day_that_a_zone_skipped_is_an_empty_period_that_nobody_is_billed_for() -> None:
    cadence = Cadence(
        anchor=_at("2011-12-28T10:00:00+00:00"),
        interval=Interval(unit="day"),
        time_zone="Pacific/Apia",
    )
    assert cadence.period(2).is_empty
    until = _at("2012-01-01T00:00:00+00:00")
    billed = list(cadence.due_periods(cadence.anchor, until=until))
    starts = [period.start for period in billed]
    assert len(set(starts)) == len(starts) == 4
    assert all(one.end == other.start for one, other in itertools.pairwise(billed))


def test_an_anchor_whose_hour_comes_twice_stays_where_it_is() -> None:
    cadence = _monthly("2024-11-03T06:30:00+00:00", zone="America/New_York")
    assert cadence.boundaries(1) == [
        _at("2024-11-03T06:30:00+00:00"),
        _at("2024-12-03T06:30:00+00:00"),
    ]


def test_a_start_between_boundaries_makes_a_partial_first_period() -> None:
    cadence = _monthly("2024-06-01T00:00:00+00:00")
    start = _at("2024-05-20T00:00:00+00:00")
    first, second = itertools.islice(cadence.periods_from(start), 2)
    assert first == Period(start=start, end=cadence.anchor)
    assert second == cadence.period(0)
    assert cadence.period_at(start) == Period(
        start=_at("2024-05-01T00:00:00+00:00"), end=cadence.anchor
    )


def test_a_start_in_the_past_is_caught_up_with_period_by_period() -> None:
    cadence = _monthly("2024-01-31T00:00:00+00:00")
    due = list(cadence.due_periods(cadence.anchor, until=_at("2024-04-30T00:00:00+00:00")))
    assert [period.start.isoformat()[:10] for period in due] == [
        "2024-01-31",
        "2024-02-29",
        "2024-03-31",
        "2024-04-30",
    ]


def test_nothing_is_due_before_the_start() -> None:
    cadence = _monthly("2024-01-31T00:00:00+00:00")
    assert list(cadence.due_periods(cadence.anchor, until=_at("2024-01-30T00:00:00+00:00"))) == []


def test_another_interval_at_a_boundary_keeps_the_day_that_was_meant() -> None:
    monthly = _monthly("2023-01-31T00:00:00+00:00")
    quarterly = monthly.continued(1, interval=Interval(unit="month", count=3))
    assert [each.isoformat()[:10] for each in quarterly.boundaries(2)] == [
        "2023-02-28",
        "2023-05-31",
        "2023-08-31",
    ]


def test_another_interval_in_the_middle_is_anchored_there() -> None:
    monthly = _monthly("2023-01-31T00:00:00+00:00", day=31)
    yearly = monthly.restarted(_at("2023-02-10T12:00:00+00:00"), interval=Interval(unit="year"))
    assert yearly.boundary(1) == _at("2024-02-10T12:00:00+00:00")


@pytest.mark.parametrize(
    ("unit", "count"),
    [("month", 0), ("month", -1), ("month", 121), ("hour", 1), ("day", True), ("week", 1.0)],
)
def test_an_interval_that_cannot_be_is_refused(unit: IntervalUnit, count: int) -> None:
    with pytest.raises(InputInvalid):
        Interval(unit=unit, count=count)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "right/UTC", "localtime"])
def test_a_zone_that_nobody_knows_is_refused(zone: str) -> None:
    with pytest.raises(InputInvalid):
        _monthly("2023-01-31T00:00:00+00:00", zone=zone)


@pytest.mark.parametrize("day", [0, 32, -1])
def test_a_day_that_no_month_has_is_refused(day: int) -> None:
    with pytest.raises(InputInvalid):
        _monthly("2023-01-31T00:00:00+00:00", day=day)


def test_an_anchor_without_offset_is_refused() -> None:
    with pytest.raises(InputInvalid):
        _monthly("2023-01-31T00:00:00")


def test_the_end_of_the_calendar_is_refused_and_not_an_accident() -> None:
    cadence = _monthly("9999-11-30T00:00:00+00:00")
    assert cadence.boundary(1) == _at("9999-12-30T00:00:00+00:00")
    for number in (2, 10**9, -(10**9)):
        with pytest.raises(InputInvalid):
            cadence.boundary(number)
    daily = Cadence(anchor=cadence.anchor, interval=Interval(unit="day"))
    for number in (100, 10**9, 10**20):
        with pytest.raises(InputInvalid):
            daily.boundary(number)


def test_a_period_does_not_end_before_it_starts() -> None:
    with pytest.raises(InputInvalid):
        Period(start=_at("2024-02-01T00:00:00+00:00"), end=_at("2024-01-01T00:00:00+00:00"))
