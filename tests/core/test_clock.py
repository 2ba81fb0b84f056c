"""A clock tells an aware instant, and a fixed one moves only when it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payengine.clock import FixedClock, SystemClock, TenantClocks
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


def test_a_tenants_clock_stands_until_it_is_moved_and_never_goes_back() -> None:
    clocks, mine, other = TenantClocks(), new_tenant_id(), new_tenant_id()
    noon = datetime(2025, 6, 1, 12, tzinfo=UTC)
    clocks.read({mine: noon})
    assert clocks.now(mine) == clocks.now(mine) == noon
    assert abs(clocks.now(other) - datetime.now(UTC)) < timedelta(minutes=1)
    clocks.move(mine, noon + timedelta(days=1))
    clocks.read({mine: noon})  # read before it was moved
    assert clocks.now(mine) == noon + timedelta(days=1)
