"""Is a conversion exact until its one rounding?"""

from __future__ import annotations

import os
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.errors import CurrencyMismatch, InputInvalid, UnknownCurrency
from payengine.fx.conversion import (
    Rounding,
    convert,
    cross_rate,
    customer_rate,
    parse_rate,
    rate_text,
    round_by,
    significant,
)

_MANY = settings(max_examples=20_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100)
_MODES: dict[Rounding, str] = {
    "half_even": ROUND_HALF_EVEN,
    "half_up": ROUND_HALF_UP,
    "down": ROUND_DOWN,
}
_CODES = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF", "ISK", "GBP"])
_EXPONENTS = {"JPY": 0, "ISK": 0, "KWD": 3, "CLF": 4}
_RATES = st.decimals("0.000001", "99999", places=6)


@_MANY
@given(st.integers(-(10**12), 10**12), _CODES, _CODES, _RATES, st.sampled_from(list(_MODES)))
def test_a_conversion_agrees_with_wide_decimals(
    amount: int, source: str, target: str, rate: Decimal, mode: Rounding
) -> None:
    if source == target:
        rate = Decimal(1)
    found = convert(
        amount, source=source, target=target, rate=parse_rate(f"{rate:f}"), rounding=mode
    )
    digits = _EXPONENTS.get(target, 2) - _EXPONENTS.get(source, 2)
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(amount) * rate * Decimal(10) ** digits
        assert found == int(exact.quantize(Decimal(1), rounding=_MODES[mode]))


@pytest.mark.parametrize(
    ("halves", "mode", "rounded"),
    [
        (5, "half_even", 2),
        (7, "half_even", 4),
        (-5, "half_even", -2),
        (5, "half_up", 3),
        (-5, "half_up", -3),
        (5, "down", 2),
        (-5, "down", -2),
        (-1, "down", 0),
    ],
)
def test_ties(halves: int, mode: Rounding, rounded: int) -> None:
    assert round_by(Fraction(halves, 2), mode) == rounded


def test_another_rounding_is_refused() -> None:
    with pytest.raises(InputInvalid):
        round_by(Fraction(1), "up")  # type: ignore[arg-type]


@given(st.fractions(Fraction(1, 10**9), 10**9))
def test_a_rate_as_text_is_the_same_rate(rate: Fraction) -> None:
    assert parse_rate(rate_text(rate)) == rate


@pytest.mark.parametrize(
    ("rate", "text"),
    [(Fraction(10956, 10_000), "1.0956"), (Fraction(7), "7"), (Fraction(1, 3), "1/3"),
     (Fraction(1, 8), "0.125"), (Fraction(1, 2**40), f"1/{2**40}")],
)  # fmt: skip
def test_rates_are_written_as_decimals_where_they_are_some(rate: Fraction, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize("text", ["", "0", "0.0", "-1", "1e3", "1.", ".5", "1/0", "NaN", "1 ", "١"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InputInvalid):
        parse_rate(text)


@given(_RATES, _RATES)
def test_a_cross_rate_there_and_back_is_one(one: Decimal, other: Decimal) -> None:
    first, second = Fraction(one), Fraction(other)
    there = cross_rate(base_to_source=first, base_to_target=second)
    back = cross_rate(base_to_source=second, base_to_target=first)
    assert there * back == 1
    assert first * there == second


def test_a_rate_for_the_eye_has_so_many_digits() -> None:
    assert significant(Fraction(1, 3), digits=6) == "0.333333"
    assert significant(Fraction(123456789), digits=6) == "123457000"


def test_a_markup_is_a_part_of_the_whole() -> None:
    assert customer_rate(Fraction(2), markup_bps=250) == Fraction(39, 20)
    for bps in (-1, 10_000):
        with pytest.raises(InputInvalid):
            customer_rate(Fraction(2), markup_bps=bps)


def test_only_amounts_of_currencies_are_converted() -> None:
    with pytest.raises(UnknownCurrency):
        convert(1, source="EUR", target="XXX", rate=Fraction(1))
    with pytest.raises(CurrencyMismatch):
        convert(1, source="EUR", target="EUR", rate=Fraction(2))
    with pytest.raises(TypeError):
        convert(1.0, source="EUR", target="USD", rate=Fraction(1))  # type: ignore[arg-type]
