"""Waits grow, end at ten minutes, and are never the same for all."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from payengine.jobs.retries import backoff


def test_waits_double_up_to_ten_minutes() -> None:
    waits = [backoff(tried, chance=0).total_seconds() for tried in range(12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


@given(tried=st.integers(0, 10**6), chance=st.floats(0, 1, exclude_max=True))
def test_chance_shortens_by_up_to_a_half(tried: int, chance: float) -> None:
    longest = backoff(tried, chance=0)
    assert longest / 2 - timedelta(microseconds=1) <= backoff(tried, chance=chance) <= longest
