"""Are amounts written and read exactly?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.plugin import Amount
from payengine_paypal.amounts import CURRENCIES, InexpressibleAmount, amount_of, value_of

WHOLE = ("HUF", "JPY", "TWD")


@given(minor=st.integers(1, 999_999_999_999), currency=st.sampled_from(CURRENCIES))
def test_what_can_be_written_is_read_back(minor: int, currency: str) -> None:
    amount = Amount(minor, currency)
    try:
        value = value_of(amount)
    except InexpressibleAmount:
        assert currency in ("HUF", "TWD")
        assert minor % 100 != 0
        return
    assert amount_of(value, currency) == amount
    assert "." not in value if currency in WHOLE else value[-3] == "."


@given(st.text(max_size=40), st.sampled_from(CURRENCIES))
def test_no_text_is_misread(text: str, currency: str) -> None:
    try:
        amount = amount_of(text, currency)
    except InexpressibleAmount:
        return
    assert text.isascii()
    assert type(amount.minor) is int


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [("12.00", "EUR", 1_200), ("12", "EUR", 1_200), ("12.5", "EUR", 1_250), ("0.01", "USD", 1),
     ("1200", "JPY", 1_200), ("1200.00", "JPY", 1_200), ("1200", "HUF", 120_000),
     ("1200", "TWD", 120_000), ("999999999999999.99", "USD", 99_999_999_999_999_999)],
)  # fmt: skip
def test_values_mean_what_they_say(value: str, currency: str, minor: int) -> None:
    assert amount_of(value, currency) == Amount(minor, currency)


@pytest.mark.parametrize(
    ("value", "currency"),
    [("12.005", "EUR"), ("12.5", "JPY"), ("-1.00", "EUR"), ("+1", "EUR"), ("1e3", "EUR"),
     ("1,000", "EUR"), ("", "EUR"), ("NaN", "EUR"), ("٣", "EUR"), ("12.00", "KWD"),
     ("12.00\n", "EUR"), ("1" * 16, "EUR"), (" 1", "EUR")],
)  # fmt: skip
def test_anything_else_is_refused(value: str, currency: str) -> None:
    with pytest.raises(InexpressibleAmount):
        amount_of(value, currency)


@pytest.mark.parametrize("minor", [0, -1])
def test_only_positive_amounts_are_written(minor: int) -> None:
    with pytest.raises(InexpressibleAmount):
        value_of(Amount(minor, "EUR"))
