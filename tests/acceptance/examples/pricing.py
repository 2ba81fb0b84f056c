"""Does a quantity cost what the examples say?"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from payengine.billing import Price, PriceModel, parse_decimal, parse_model
from payengine.errors import PayengineError

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases", "decimal", "model_of"]

#: What an option of a currency stands for where it is one number.
_AMOUNT_OF = {"flat": "flat_amount", "package": "package_amount", "per_unit": "unit_amount"}

#: What the amount of a flat price may be called.
_FLAT_NAMES = {"amount": "flat_amount", "unit_amount": "flat_amount"}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


def decimal(written: Any) -> Decimal:
    """A decimal of the examples."""
    return parse_decimal(written, name="quantity")


def model_of(price: dict[str, Any], *, is_refused: bool = False) -> PriceModel:
    """The model of a price in one currency; what the production code does not know fails.

    Where the example says that it `is_refused`, the refusal is what is asked for.
    """
    names = _FLAT_NAMES if price.get("model") == "flat" else {}
    try:
        return parse_model({names.get(name, name): value for name, value in price.items()})
    except PayengineError as refused:
        if is_refused:
            raise
        unknown_shape(f"a price: {refused}")


def _price(document: dict[str, Any], currency: str, *, is_refused: bool) -> Price:
    rest = {name: value for name, value in document.items() if name != "currency_options"}
    if "currency_options" not in document:
        return Price(options={currency: model_of(rest, is_refused=is_refused)})
    options: dict[str, PriceModel] = {}
    for code, option in document["currency_options"].items():
        if isinstance(option, list):
            option = {"tiers": option}
        elif not isinstance(option, dict):
            if rest["model"] not in _AMOUNT_OF:
                unknown_shape(f"one number for a price of the model {rest['model']}")
            option = {_AMOUNT_OF[rest["model"]]: option}
        options[code] = model_of(rest | option, is_refused=is_refused)
    return Price(options=options)


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], case["expected"]
    require_keys(inputs, {"currency", "price", "quantity"}, of="a line")
    require_keys(expected, {"amount", "error"}, of="a line's amount")
    found: dict[str, Any]
    try:
        price = _price(inputs["price"], inputs["currency"], is_refused="error" in expected)
        quantity = decimal(inputs["quantity"])
        found = {"amount": price.amount_minor(quantity, currency=inputs["currency"])}
    except PayengineError as refused:
        found = {"error": refused.code}
    assert found == expected
