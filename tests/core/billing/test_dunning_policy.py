"""Are attempts, the deadline and the grace counted from the first charge?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payengine.billing.dunning_policy import DunningPolicy, technical_delay

_T0 = datetime(2025, 6, 1, 8, tzinfo=UTC)


def test_attempts_are_due_at_the_sums_of_the_intervals() -> None:
    policy = DunningPolicy(retry_intervals_days=(2, 5, 7, 7))
    assert [(at - _T0).days for at in policy.schedule(_T0)] == [2, 7, 14, 21]
    assert policy.deadline(_T0) == _T0 + timedelta(days=21)
    assert policy.next_attempt(_T0, after=_T0 + timedelta(days=7)) == _T0 + timedelta(days=14)
    assert policy.next_attempt(_T0, after=_T0 + timedelta(days=21)) is None


def test_a_policy_without_intervals_ends_at_once() -> None:
    policy = DunningPolicy(retry_intervals_days=())
    assert policy.deadline(_T0) == _T0
    assert policy.next_attempt(_T0, after=_T0) is None


def test_technical_retries_double_eight_times() -> None:
    delays = [technical_delay(done) for done in range(9)]
    assert delays[:3] == [timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=20)]
    assert delays[8] is None
    assert sum((delay for delay in delays if delay), timedelta()) == timedelta(minutes=1275)
