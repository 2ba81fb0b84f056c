"""Is a difference called one only where it is large and no chance?"""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.fraud.drift import bin_of, chance, merge, score_bin, shift, stability

_COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 500), max_size=8)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "none"),
        (math.nan, "none"),
        ("DE", "text"),
        (0, "0"),
        (0.5, "+-1"),
        (1, "+0"),
        (1.99, "+0"),
        (2, "+1"),
        (1_023, "+9"),
        (-3, "-1"),
    ],
)
def test_numbers_fall_into_bins_that_never_change(value: float | str | None, found: str) -> None:
    assert bin_of(value) == found


@pytest.mark.parametrize(
    ("score", "found"),
    [(None, "none"), (2.0, "none"), (0.0, "-12"), (1.0, "12"), (0.5, "0"), (0.7, "1"),
     (0.3, "-2"), (1e-9, "-12")],
)  # fmt: skip
def test_scores_fall_into_bins_of_their_odds(score: float | None, found: str) -> None:
    assert score_bin(score) == found


def test_stability_is_the_published_sum() -> None:
    # By hand, with half a payment added to each of the three bins.
    before, now = {"a": 50, "b": 50}, {"a": 80, "b": 20}
    shares = [(50.5, 80.5), (50.5, 20.5), (0.5, 0.5)]
    expected = sum((n / 101.5 - b / 101.5) * math.log((n / 101.5) / (b / 101.5)) for b, n in shares)
    assert stability(before, now) == pytest.approx(expected)
    assert expected > 0.25


@given(before=_COUNTS, now=_COUNTS)
def test_stability_is_never_negative_and_none_where_nothing_moved(
    before: dict[str, int], now: dict[str, int]
) -> None:
    assert stability(before, now) >= 0
    assert stability(before, before) == pytest.approx(0)
    assert chance(before, now) >= 0


@given(before=_COUNTS, now=_COUNTS)
def test_counts_of_several_times_add_up(before: dict[str, int], now: dict[str, int]) -> None:
    assert merge([before, now]) == Counter(before) + Counter(now) + Counter(
        dict.fromkeys(before | now, 0)
    )


def test_a_value_that_was_never_seen_counts_with_the_rare_ones() -> None:
    before = {"a": 990, "rare": 10}
    assert stability(before, {"a": 99, "new": 1}) < 0.01
    assert stability(before, {"a": 50, "new": 50}) > 0.25


@given(hits=st.integers(0, 100), of=st.integers(100, 1_000))
def test_the_same_share_is_no_shift(hits: int, of: int) -> None:
    same = shift(hits_before=hits, of_before=of, hits_now=hits, of_now=of)
    assert same == pytest.approx(0)


def test_a_shift_is_told_in_standard_errors() -> None:
    # 20 % of 1,000 before, 30 % of 1,000 now: the pooled error is sqrt(.25 * .75 * 2/1000).
    found = shift(hits_before=200, of_before=1_000, hits_now=300, of_now=1_000)
    assert found == pytest.approx(0.1 / math.sqrt(0.25 * 0.75 * 0.002))
    assert shift(hits_before=300, of_before=1_000, hits_now=200, of_now=1_000) == -found
    assert shift(hits_before=0, of_before=0, hits_now=5, of_now=10) == 0
