"""Do the parts of a split sum exactly, and does the last refund empty them?"""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.errors import (
    AmountNotPositive,
    InputInvalid,
    PayengineError,
    RefundExceedsRemaining,
    SplitExceedsAmount,
    SplitNotExhaustive,
)
from payengine.marketplace.splits import FeePolicy, SplitPart, divide, pull_back
from payengine.money import allocate

_MANY = settings(max_examples=20_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100)
_AMOUNTS = st.integers(0, 10**12)
_POLICIES: st.SearchStrategy[FeePolicy] = st.sampled_from(["proportional", "keep"])


def part(*, fixed: int | None = None, bps: int | None = None, rest: bool = False) -> SplitPart:
    """A part of a split whose owner does not matter."""
    return SplitPart(to="a", fixed=fixed, percent_bps=bps, remainder=rest)


@_MANY
@given(_AMOUNTS, st.lists(st.integers(0, 3_000), max_size=5), st.lists(_AMOUNTS, max_size=3))
def test_parts_with_a_remainder_sum_exactly_and_round_by_themselves(
    amount: int, bps: list[int], fixed: list[int]
) -> None:
    parts = [part(fixed=each) for each in fixed] + [part(bps=each) for each in bps]
    parts.insert(len(parts) // 2, part(rest=True))
    try:
        found = divide(amount, parts)
    except SplitExceedsAmount:
        # Each percentage may be rounded up by half a unit.
        exact = sum(fixed) + Fraction(amount * sum(bps), 10_000)
        assert exact > amount - Fraction(len(bps), 2) - 1
        return
    assert sum(found) == amount
    assert min(found) >= 0
    for one, minor in zip(parts, found, strict=True):
        if one.fixed is not None:
            assert minor == one.fixed
        if one.percent_bps is not None:
            exact = Fraction(amount * one.percent_bps, 10_000)
            assert abs(minor - exact) <= Fraction(1, 2)
            assert minor != exact - Fraction(1, 2)


@_MANY
@given(_AMOUNTS, st.lists(st.integers(0, 10_000), min_size=1, max_size=6))
def test_percentages_alone_are_the_whole_by_largest_remainder(amount: int, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 10_000]
    bps = [high - low for low, high in pairwise(edges)]
    assert divide(amount, [part(bps=each) for each in bps]) == allocate(amount, bps)


@pytest.mark.parametrize(
    ("amount", "parts", "refused"),
    [
        (1_000, [part(fixed=999)], SplitNotExhaustive),
        (1_000, [part(fixed=1_001)], SplitExceedsAmount),
        (1_000, [part(bps=9_999)], SplitNotExhaustive),
        (1_000, [part(bps=10_001)], SplitExceedsAmount),
        (1_000, [part(fixed=100), part(bps=10_000)], SplitExceedsAmount),
        (1_000, [part(fixed=100), part(bps=8_000)], SplitNotExhaustive),
        (1, [part(bps=9_900)], SplitNotExhaustive),
        (1, [part(bps=5_000), part(bps=5_000), part(rest=True)], SplitExceedsAmount),
        (1, [], SplitNotExhaustive),
        (100, [part(fixed=101), part(rest=True)], SplitExceedsAmount),
        (100, [part(rest=True), part(rest=True)], InputInvalid),
        (100, [part(fixed=1, bps=1), part(rest=True)], InputInvalid),
        (100, [part()], InputInvalid),
        (100, [part(fixed=-1), part(rest=True)], InputInvalid),
        (100, [part(bps=-1), part(rest=True)], InputInvalid),
        (-1, [part(rest=True)], AmountNotPositive),
        (200, [part(fixed=1)] * 101, InputInvalid),
    ],
)
def test_what_is_no_split_is_refused(
    amount: int, parts: list[SplitPart], refused: type[PayengineError]
) -> None:
    with pytest.raises(refused) as raised:
        divide(amount, parts)
    assert type(raised.value) is refused


def test_a_percentage_beside_a_fixed_part_may_be_a_share_of_a_unit_off() -> None:
    # 90 % of 9.99 are 8.991, and 8.99 are left.
    assert divide(999, [part(fixed=100), part(bps=9_000)]) == [100, 899]


def test_nothing_is_split_into_nothings() -> None:
    assert divide(0, [part(bps=10_000), part(fixed=0)]) == [0, 0]
    assert divide(0, []) == []


@_MANY
@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any),
    st.lists(st.integers(1, 10**9), max_size=8),
    _POLICIES,
)
def test_refunds_never_overdraw_a_part_and_the_last_empties_every_one(
    parts: list[int], refunds: list[int], policy: FeePolicy
) -> None:
    remaining = list(parts)
    for wanted in [*refunds, None]:
        amount = sum(remaining) if wanted is None else min(wanted, sum(remaining))
        if not amount:
            break
        reversal = pull_back(remaining, amount, fee_policy=policy)
        assert sum(reversal) == amount
        assert all(0 <= back <= part for back, part in zip(reversal, remaining, strict=True))
        if policy == "keep" and reversal[-1]:
            assert reversal[:-1] == remaining[:-1]
        remaining = [part - back for part, back in zip(remaining, reversal, strict=True)]
    assert not any(remaining)


def test_the_platforms_part_is_touched_last_where_it_keeps_its_fee() -> None:
    assert pull_back([1_500, 8_500], 9_000, fee_policy="keep", fee_part=0) == [500, 8_500]


def test_a_refund_above_what_is_left_is_refused() -> None:
    with pytest.raises(RefundExceedsRemaining):
        pull_back([1, 2], 4)
    with pytest.raises(AmountNotPositive):
        pull_back([1, 2], 0)
    with pytest.raises(InputInvalid):
        pull_back([-1, 2], 1)
