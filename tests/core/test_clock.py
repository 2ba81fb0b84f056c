"""A clock tells an aware instant, and a fixed one moves only when it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payengine.clock import FixedClock, SystemClock
from payengine.ids import new_tenant_id


def test_the_wall_clock_tells_the_present_in_utc() -> None:
    before = datetime.now(UTC)
    told = SystemClock().now(new_tenant_id())
    assert before <= told <= datetime.now(UTC)
    assert told.utcoffset() == timedelta(0)


def test_a_fixed_clock_stands_still_until_it_is_moved() -> None:
    start = datetime(2026, 2, 28, 23, 59, tzinfo=UTC)
    clock = FixedClock(start)
    assert clock.now(new_tenant_id()) == clock.now(new_tenant_id()) == start
    clock.advance(timedelta(minutes=2))
    assert clock.now(new_tenant_id()) == datetime(2026, 3, 1, 0, 1, tzinfo=UTC)
