"""Is an amount exact, of one currency and within bounds?"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import (
    AmountNotPositive,
    AmountTooLarge,
    CurrencyMismatch,
    InputInvalid,
    UnknownCurrency,
)
from payengine.money import MAX_MINOR, Money, check_amount, currencies, currency, decimal_text

_CODES = st.sampled_from([each.code for each in currencies()])
_MINOR = st.integers(-(10**18), 10**18)


@pytest.mark.parametrize("minor", [1, 100, MAX_MINOR])
def test_an_amount_within_bounds_may_be_charged(minor: int) -> None:
    check_amount(minor, "USD")


@pytest.mark.parametrize(
    ("minor", "code", "error"),
    [
        (0, "USD", AmountNotPositive),
        (-1, "USD", AmountNotPositive),
        (MAX_MINOR + 1, "USD", AmountTooLarge),
        (1, "XYZ", UnknownCurrency),
        (True, "USD", InputInvalid),
        (1.0, "USD", InputInvalid),
    ],
)
def test_an_amount_out_of_bounds_has_its_own_error(
    minor: int, code: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as refused:
        check_amount(minor, code)
    assert type(refused.value) is error


@pytest.mark.parametrize("wrong", [1.5, 1.0, True, "100", Decimal(1), None])
def test_money_refuses_what_is_no_integer(wrong: object) -> None:
    with pytest.raises(TypeError):
        Money(wrong, "USD")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        decimal_text(wrong, "USD")  # type: ignore[arg-type]


def test_money_of_two_currencies_does_not_mix() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1, "USD") + Money(1, "EUR")
    with pytest.raises(CurrencyMismatch):
        assert Money(1, "USD") < Money(1, "EUR")
    with pytest.raises(TypeError):
        Money(1, "USD") + 1  # type: ignore[operator]
    assert Money(1, "USD") != Money(1, "EUR")


@given(_MINOR, _CODES)
def test_decimal_text_is_exact_and_has_every_digit_of_the_exponent(minor: int, code: str) -> None:
    exponent = currency(code).exponent
    text = decimal_text(minor, code)
    assert int(text.replace(".", "")) == minor
    assert Decimal(text) == Decimal(minor).scaleb(-exponent)
    assert len(text.partition(".")[2]) == exponent


@given(_MINOR, _MINOR, _CODES)
def test_arithmetic_is_that_of_integers(one: int, other: int, code: str) -> None:
    left, right = Money(one, code), Money(other, code)
    assert (left + right) - right == left
    assert left + (-left) == Money(0, code)
    assert (left < right) == (one < other)
    assert (left <= right) == (one <= other)


@given(_MINOR, st.lists(st.integers(0, 10**6), min_size=1, max_size=9).filter(any))
def test_a_split_sums_to_the_whole(minor: int, weights: list[int]) -> None:
    parts = Money(minor, "EUR").split(weights)
    assert sum(part.minor for part in parts) == minor


def test_scaling_rounds_once_half_away_from_zero() -> None:
    assert Money(5, "USD").scaled(1, denominator=2) == Money(3, "USD")
    assert Money(-5, "USD").scaled(1, denominator=2) == Money(-3, "USD")
    assert str(Money(-1234, "KWD")) == "-1.234 KWD"
