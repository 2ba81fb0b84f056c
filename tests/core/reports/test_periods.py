"""Does a day begin when it does in its zone?"""

from __future__ import annotations

from datetime import date, datetime

import pytest
from payengine.errors import InputInvalid
from payengine.reports.periods import interval, start_of


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2025, 6, 1), "UTC", "2025-06-01T00:00:00+00:00"),
        (date(2025, 6, 1), "Europe/Berlin", "2025-05-31T22:00:00+00:00"),
        (date(2025, 1, 1), "Asia/Kolkata", "2024-12-31T18:30:00+00:00"),
        # The clocks went from 00:00 to 01:00: the day began at one.
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00:00+00:00"),
        # Midnight came twice: the day began at the first.
        (date(2025, 11, 2), "America/Havana", "2025-11-02T04:00:00+00:00"),
    ],
)
def test_a_day_begins_in_its_zone(day: date, zone: str, instant: str) -> None:
    assert start_of(day, timezone=zone) == datetime.fromisoformat(instant)


def test_instants_are_taken_as_they_are() -> None:
    aware = datetime.fromisoformat("2025-06-01T12:00:00+02:00")
    assert start_of(aware, timezone="Asia/Tokyo") == aware
    naive = datetime.fromisoformat("2025-06-01T12:00:00")
    assert start_of(naive, timezone="Europe/Berlin") == aware


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_other_zones_are_refused(zone: str) -> None:
    with pytest.raises(InputInvalid):
        start_of(date(2025, 6, 1), timezone=zone)


def test_an_interval_does_not_end_before_it_starts() -> None:
    with pytest.raises(InputInvalid):
        interval(date(2025, 6, 2), date(2025, 6, 1))
