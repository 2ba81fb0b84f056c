"""Is exactly what may leave paid out, on the right day, and does a failure bring it back once?"""

from __future__ import annotations

from datetime import date, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid, TransitionRefused
from payengine.marketplace.payouts import (
    PayoutEvent,
    PayoutState,
    Schedule,
    Weekday,
    after_payout,
    first_payout_with,
    payable,
    payout_dates,
)

_DATES = st.dates(date(1990, 1, 1), date(2090, 1, 1))


@given(
    st.integers(-(10**9), 10**9), st.integers(0, 10**6), st.none() | st.integers(1, 1_000),
    st.sampled_from(["USD", "HUF", "TWD", "ISK", "JPY"]),
)  # fmt: skip
def test_a_payout_is_whole_steps_and_at_least_the_minimum(
    available: int, minimum: int, step: int | None, currency: str
) -> None:
    found = payable(available, currency=currency, minimum_minor=minimum, step_minor=step)
    assert found.payout + found.remaining == available
    unit = step or {"HUF": 100, "TWD": 100}.get(currency, 1)
    assert found.payout % unit == 0
    if found.payout:
        assert found.payout >= minimum
        assert 0 <= found.remaining < unit
    else:
        assert available < max(minimum, unit) + unit


def test_steps_and_minimums_that_are_none_are_refused() -> None:
    with pytest.raises(InputInvalid):
        payable(1, currency="USD", step_minor=0)
    with pytest.raises(InputInvalid):
        payable(1, currency="USD", minimum_minor=-1)


@given(_DATES, st.integers(1, 31))
def test_a_monthly_payout_comes_once_in_every_month(since: date, anchor: int) -> None:
    schedule = Schedule(interval="monthly", anchor_day=anchor)
    found = payout_dates(schedule, since=since, count=14)
    assert found[0] >= since
    months = [day.year * 12 + day.month for day in found]
    assert months == list(range(months[0], months[0] + 14))
    for day in found:
        assert day.day == anchor or (day.day < anchor and (day + timedelta(days=1)).day == 1)


@given(_DATES, st.sampled_from(get_args(Weekday)))
def test_a_weekly_payout_is_on_its_weekday_within_a_week(since: date, weekday: Weekday) -> None:
    schedule = Schedule(interval="weekly", weekday=weekday)
    first, second = payout_dates(schedule, since=since, count=2)
    assert 0 <= (first - since).days < 7
    assert first.strftime("%A").lower() == weekday
    assert second - first == timedelta(days=7)
    assert first_payout_with(schedule, available=since) == first


def test_a_day_of_payout_takes_what_is_available_on_it() -> None:
    for schedule in (Schedule(interval="monthly", anchor_day=31), Schedule(interval="daily")):
        last = date(2025, 2, 28)
        assert first_payout_with(schedule, available=last) == last


def test_daily_and_manual_schedules() -> None:
    leap = date(2024, 2, 28)
    daily = payout_dates(Schedule(interval="daily"), since=leap, count=3)
    assert [day.isoformat() for day in daily] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert payout_dates(Schedule(interval="manual"), since=leap, count=3) == []
    assert first_payout_with(Schedule(interval="manual"), available=leap) is None
    with pytest.raises(InputInvalid):
        payout_dates(Schedule(interval="monthly", anchor_day=32), since=leap, count=1)
    with pytest.raises(InputInvalid):
        payout_dates(Schedule(interval="daily"), since=leap, count=1_001)


def test_a_failure_returns_the_money_once_and_flags_the_destination() -> None:
    assert after_payout("in_transit", "paid", amount_minor=9_000).returned == 0
    for state in ("in_transit", "paid"):
        failed = after_payout(state, "failed", amount_minor=9_000)
        assert (failed.state, failed.returned) == ("failed", 9_000)
        assert failed.destination == "requires_update"


@pytest.mark.parametrize(
    ("state", "event"), [("failed", "failed"), ("failed", "paid"), ("paid", "paid")]
)
def test_other_news_of_a_payout_is_refused(state: PayoutState, event: PayoutEvent) -> None:
    with pytest.raises(TransitionRefused):
        after_payout(state, event, amount_minor=1)
