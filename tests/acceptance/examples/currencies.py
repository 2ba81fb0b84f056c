"""Is every currency of the examples ours, digit for digit?"""

from __future__ import annotations

from functools import partial
from typing import Any

from payengine.money import currency
from payengine.plugin import Amount
from payengine_paypal.amounts import amount_of, value_of
from payengine_stripe.currencies import from_stripe, nearest, to_stripe

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases"]


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each row, for each that displays other digits, and each quirk."""
    rows = [Case(row["code"], partial(_row, row)) for row in document["cases"]]
    digits = [
        Case(f"cldr-{row['code']}", partial(_digits, row))
        for row in document.get("cldr_display_digits_differ", [])
    ]
    quirks = [
        Case(f"{row['provider']}-{row['currency']}-{row['amount']}", partial(_adapter, row))
        for row in document.get("adapter_cases", [])
    ]
    return rows + digits + quirks


async def _row(row: dict[str, Any], world: World) -> None:
    require_keys(row, {"code", "numeric", "name", "exponent"}, of="a currency")
    found = currency(row["code"])
    assert found.exponent == row["exponent"]
    assert found.name == row["name"]
    if row["numeric"] is not None:  # four numbers are missing from the examples' source
        assert found.numeric == row["numeric"]


async def _digits(row: dict[str, Any], world: World) -> None:
    require_keys(row, {"code", "iso", "cldr"}, of="a currency with other display digits")
    assert currency(row["code"]).exponent == row["iso"] != row["cldr"]


async def _adapter(row: dict[str, Any], world: World) -> None:
    """The provider's own plugin converts; an amount that it cannot take exactly it refuses."""
    if row["provider"] == "stripe":
        known = {"currency", "amount", "provider", "provider_amount", "rounded_to_ten"}
        require_keys(row, known, of="an amount at Stripe")
        amount = Amount(row["amount"], row["currency"])
        if "rounded_to_ten" in row:
            rounded = nearest(amount)
            assert rounded.minor == row["rounded_to_ten"]
            assert (to_stripe(amount) is None) == (rounded != amount)
        if "provider_amount" in row:
            sent = to_stripe(amount)
            assert sent == row["provider_amount"]
            assert from_stripe(row["provider_amount"], row["currency"]) == amount
    elif row["provider"] == "paypal":
        known = {"currency", "amount", "provider", "provider_amount"}
        require_keys(row, known, of="an amount at PayPal")
        amount = Amount(row["amount"], row["currency"])
        assert value_of(amount) == row["provider_amount"]
        assert amount_of(row["provider_amount"], row["currency"]) == amount
    else:
        unknown_shape(f"an amount at {row['provider']}")
