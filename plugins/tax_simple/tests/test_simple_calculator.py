"""Does the calculator tell the rates of the tenant's table, and say where it has none?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from payengine.plugin import AskTaxes, Call, TaxPlace
from payengine_tax_simple.calculator import SimpleCalculator, TaxTable

_TABLE = TaxTable(
    rates={
        "DE": {"standard": "1900", "books": "700"},
        "US": {"standard": "0"},
        "US-NY": {"standard": "887.5"},
    }
)


async def _ask(table: TaxTable, *classes: str, **place: Any) -> dict[str, tuple[str | None, str]]:
    call = Call(account="a", settings=table, deadline_ms=1_000, mode="test")
    told = await SimpleCalculator().tax_rates(
        call,
        AskTaxes(
            places=(TaxPlace(customer="cus_x", **place),),
            classes=classes or ("standard",),
            at=datetime(2025, 1, 1, tzinfo=UTC),
        ),
    )
    return {each.tax_class: (each.bps, each.problem) for each in told.rates}


async def test_rates_go_by_country_and_class() -> None:
    found = await _ask(_TABLE, "standard", "books", country="DE")
    assert found == {"standard": ("1900", ""), "books": ("700", "")}


async def test_a_region_goes_before_its_country() -> None:
    assert await _ask(_TABLE, country="US", region="NY") == {"standard": ("887.5", "")}
    assert await _ask(_TABLE, country="US", region="TX") == {"standard": ("0", "")}


async def test_a_class_without_a_rate_is_left_out() -> None:
    assert await _ask(_TABLE, "standard", "books", country="US") == {"standard": ("0", "")}


@pytest.mark.parametrize("country", ["FR", None])
async def test_a_place_that_is_not_written_down_is_told(country: str | None) -> None:
    ((bps, problem),) = (await _ask(_TABLE, country=country)).values()
    assert bps is None
    assert "No tax rates are written down" in problem


async def test_a_star_stands_for_every_other_place() -> None:
    table = TaxTable(rates={"*": {"standard": None}})
    assert await _ask(table, country="FR") == {"standard": (None, "")}
    assert await _ask(table) == {"standard": (None, "")}


async def test_whoever_is_exempt_bears_no_tax() -> None:
    assert await _ask(_TABLE, country="DE", exempt=True) == {"standard": (None, "")}
