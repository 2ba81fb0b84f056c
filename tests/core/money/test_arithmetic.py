"""Is rounding exact and half away from zero, and does every split sum exactly?"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid
from payengine.money import allocate, round_half_away

_AMOUNTS = st.integers(-(10**15), 10**15)
_WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=20).filter(any)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 2, 3), (-5, 2, -3), (5, -2, -3), (1, 3, 0), (2, 3, 1), (-1, 2, -1), (0, 7, 0), (4, 2, 2)],
)
def test_a_half_goes_away_from_zero(numerator: int, denominator: int, expected: int) -> None:
    assert round_half_away(numerator, denominator=denominator) == expected


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**6))
def test_rounding_agrees_with_decimals_half_up(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    rounded = round_half_away(numerator, denominator=denominator)
    assert abs(rounded - exact) <= Fraction(1, 2)
    if denominator in (1, 2, 4, 5, 8, 10, 100, 1000):
        text = Decimal(numerator) / Decimal(denominator)
        assert rounded == int(text.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert round_half_away(-numerator, denominator=denominator) == -rounded


@given(_AMOUNTS, _WEIGHTS)
def test_parts_sum_exactly_and_are_mirrored_for_negatives(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    assert allocate(-total, weights) == [-part for part in parts]


@given(st.integers(0, 10**15), _WEIGHTS)
def test_each_part_is_its_exact_share_rounded_down_or_up(total: int, weights: list[int]) -> None:
    whole = sum(weights)
    for part, weight in zip(allocate(total, weights), weights, strict=True):
        share = Fraction(total * weight, whole)
        assert share - 1 < part < share + 1
        if share.denominator == 1:
            assert part == share


@given(st.integers(0, 10**9), _WEIGHTS)
def test_left_over_units_go_to_the_largest_remainders_ties_to_the_earlier(
    total: int, weights: list[int]
) -> None:
    whole = sum(weights)
    parts = allocate(total, weights)
    extra = [part - total * weight // whole for part, weight in zip(parts, weights, strict=True)]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    assert (
        sorted((index for index in order if extra[index]), key=order.index) == order[: sum(extra)]
    )


def test_the_worked_example_of_fifteen_over_eighty_eight_and_twelve() -> None:
    assert allocate(15, [80, 8, 12]) == [12, 1, 2]
    assert allocate(100, [1] * 7) == [15, 15, 14, 14, 14, 14, 14]


def test_nothing_is_shared_over_no_weight() -> None:
    assert allocate(0, [0, 0]) == [0, 0]
    assert allocate(0, []) == []
    with pytest.raises(InputInvalid):
        allocate(1, [0, 0])
    with pytest.raises(InputInvalid):
        allocate(1, [])
    with pytest.raises(InputInvalid):
        allocate(1, [2, -1])


@pytest.mark.parametrize("wrong", [1.0, True, "1", Decimal(1), None])
def test_only_integers_are_money(wrong: object) -> None:
    with pytest.raises(TypeError):
        allocate(wrong, [1])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        allocate(1, [wrong])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        round_half_away(wrong, denominator=1)  # type: ignore[arg-type]
