"""Is every currency of the examples ours, digit for digit?"""

from __future__ import annotations

from functools import partial
from typing import Any

from payengine.money import currency

from tests.acceptance.examples.shapes import Case, World, not_built, require_keys

__all__ = ["cases"]


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each row, for each that displays other digits, and each quirk."""
    rows = [Case(row["code"], partial(_row, row)) for row in document["cases"]]
    digits = [
        Case(f"cldr-{row['code']}", partial(_digits, row))
        for row in document.get("cldr_display_digits_differ", [])
    ]
    quirks = [
        Case(f"{row['provider']}-{row['currency']}-{row['amount']}", _adapter)
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


async def _adapter(world: World) -> None:
    not_built("a provider's own amounts belong to its adapter, which is not built yet")
