"""Does an amount mean the same at Stripe and here, or is it refused?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_stripe_process import FakeStripe, call_of, payment
from hypothesis import given
from hypothesis import strategies as st
from payengine.money.iso4217 import ROWS
from payengine.plugin import Amount
from payengine_stripe.currencies import CURRENCIES, from_stripe, nearest, to_stripe
from payengine_stripe.gateway import StripeGateway

_EXPONENTS = {row[0]: row[3] for row in ROWS}
_TABLE = Path(__file__).parents[3] / "tests" / "data" / "examples" / "examples_currencies.json"
_QUIRKS = json.loads(_TABLE.read_text())["provider_quirks"]


@given(st.sampled_from(CURRENCIES), st.integers(min_value=1, max_value=10**12))
def test_what_is_sent_comes_back_unchanged(currency: str, minor: int) -> None:
    amount = Amount(minor, currency)
    sent = to_stripe(amount)
    if sent is not None:
        assert sent > 0
        assert from_stripe(sent, currency.lower()) == amount


def test_every_currency_is_counted_as_stripe_counts_it() -> None:
    """Hundredths, but for Stripe's own lists."""
    whole = set(_QUIRKS["stripe_zero_decimal"]) - set(
        _QUIRKS["stripe_two_decimal_but_whole_units_only"]
    )
    thousandths = set(_QUIRKS["stripe_three_decimal_last_digit_zero"])
    for currency in CURRENCIES:
        per_unit = 1 if currency in whole else 1_000 if currency in thousandths else 100
        seven = Amount(7 * 10 ** _EXPONENTS[currency], currency)
        assert to_stripe(seven) == 7 * per_unit, currency


@pytest.mark.parametrize(
    ("currency", "minor", "sent"),
    [
        ("EUR", 1_099, 1_099),
        ("JPY", 500, 500),
        ("ISK", 5, 500),
        ("UGX", 5, 500),
        ("HUF", 1_045, 1_045),
        ("TWD", 80_045, 80_045),
        ("MGA", 500, 5),
        ("MGA", 501, None),
        ("KWD", 5_120, 5_120),
        ("KWD", 5_124, None),
        ("BHD", 5_125, None),
        ("IQD", 5_000, None),
        ("EUR", 0, None),
        ("EUR", -5, None),
    ],
)
def test_an_amount_is_sent_exactly_or_not_at_all(
    currency: str, minor: int, sent: int | None
) -> None:
    assert to_stripe(Amount(minor, currency)) == sent


@pytest.mark.parametrize(
    ("currency", "minor", "offered"),
    [
        ("KWD", 5_124, 5_120),
        ("KWD", 5_125, 5_130),
        ("MGA", 549, 500),
        ("MGA", 550, 600),
        ("EUR", 1_099, 1_099),
        ("ISK", 5, 5),
    ],
)
def test_the_nearest_amount_that_may_be_sent_is_named(
    currency: str, minor: int, offered: int
) -> None:
    found = nearest(Amount(minor, currency))
    assert found == Amount(offered, currency)
    assert to_stripe(found) is not None


def test_a_fraction_that_cannot_be_is_unreadable() -> None:
    with pytest.raises(ValueError, match="no whole ISK"):
        from_stripe(550, "isk")


@pytest.mark.parametrize(
    ("currency", "minor", "sent"),
    [("ISK", 70, 7_000), ("MGA", 700, 7), ("KWD", 5_120, 5_120), ("JPY", 500, 500)],
)
async def test_stripe_is_asked_for_and_gives_back_the_same_money(
    gateway: StripeGateway, fake: FakeStripe, key: str, currency: str, minor: int, sent: int
) -> None:
    request = payment(minor=minor, currency=currency)
    outcome = await gateway.authorize(call_of(key), request)
    assert outcome.amount == Amount(minor, currency)
    assert fake.books(key)["payment_intent"][0]["amount"] == sent


async def test_an_inexact_amount_is_declined_before_anything_is_sent(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    outcome = await gateway.authorize(call_of(key), payment(minor=5_124, currency="KWD"))
    assert outcome.status == "declined"
    assert outcome.decline is not None
    assert (outcome.decline.code, outcome.decline.raw_code) == (
        "invalid_amount",
        "amount_not_exact",
    )
    assert fake.state(key)["seen"] == []
