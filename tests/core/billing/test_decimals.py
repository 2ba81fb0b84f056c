"""Is a decimal read, computed with and written without loss?"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.billing.decimals import check_decimal, parse_decimal, spell_decimal
from payengine.errors import InputInvalid

_SCALED = st.integers(-(10**30) + 1, 10**30 - 1)


@given(_SCALED)
def test_what_is_written_is_read_back(scaled: int) -> None:
    number = Fraction(scaled, 10**12)
    assert Fraction(parse_decimal(spell_decimal(number))) == number


@given(_SCALED)
def test_a_decimal_is_written_without_needless_zeros(scaled: int) -> None:
    text = spell_decimal(Fraction(scaled, 10**12))
    assert "." not in text or not text.endswith(("0", "."))
    assert not text.startswith(("-0.0000000000000", "00", "."))


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.0006", "0.0006"), ("-4", "-4"), (12, "12"), ("007", "7"), ("1.50", "1.5"), ("0", "0")],
)
def test_texts_and_whole_numbers_are_decimals(text: str | int, number: str) -> None:
    assert parse_decimal(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".5",
        "5.",
        "1e3",
        "1,5",
        "+1",
        " 1",
        "1\n",
        "NaN",
        "Infinity",
        "٣",
        "1" * 19,
        "0." + "0" * 12 + "1",
        "9" * 5_000,
        1.5,
        True,
        None,
        10**18,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputInvalid):
        parse_decimal(text)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-Infinity", "1e18", "1e999999", "1e-13"])
def test_a_number_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(InputInvalid):
        check_decimal(Decimal(text), name="value")


def test_a_number_below_zero_is_refused_unless_it_may_be() -> None:
    check_decimal(Decimal(-1), name="value", negative=True)
    check_decimal(Decimal("-0"), name="value")
    with pytest.raises(InputInvalid):
        check_decimal(Decimal("-0.1"), name="value")


def test_trailing_zeros_count_for_nothing() -> None:
    check_decimal(Decimal("1.50000000000000000"), name="value")


def test_a_third_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="12 digits"):
        spell_decimal(Fraction(1, 3))
