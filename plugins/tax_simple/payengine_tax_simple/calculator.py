"""Which rate does the tenant's table have?

By the customer's region, else by the country, else by `*`. What the table does not have is said to
be unknown: no class is taxed at another one's rate.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from payengine.plugin import (
    AskTaxes,
    Call,
    PluginSettings,
    TaxManifest,
    TaxPlace,
    TaxRateTold,
    ToldTaxes,
)

__all__ = ["SimpleCalculator", "TaxTable"]

_ANYWHERE = "*"


class TaxTable(PluginSettings, frozen=True, kw_only=True):
    """`rates`: place → class → hundredths of a percent, a decimal text; null: outside of the tax.

    A place is a country (`DE`), a region of one (`US-NY`), or `*` for every other one.
    """

    rates: dict[str, dict[str, str | None]] = msgspec.field(default_factory=dict)


class SimpleCalculator:
    """Looks rates up; asks nobody."""

    def describe(self) -> TaxManifest:
        """It needs a table, and is enabled by whoever has one."""
        return TaxManifest(
            name="simple", title="Simple tax rates", version="0.1.0", settings=TaxTable
        )

    async def tax_rates(self, call: Call, request: AskTaxes) -> ToldTaxes:
        """A rate, or why there is none, for each place and class."""
        table = call.settings
        assert isinstance(table, TaxTable)
        return ToldTaxes(
            rates=tuple(
                told for place in request.places for told in _told(table, place, request.classes)
            )
        )


def _told(table: TaxTable, place: TaxPlace, classes: tuple[str, ...]) -> Iterator[TaxRateTold]:
    if place.exempt:
        for name in classes:
            yield TaxRateTold(customer=place.customer, tax_class=name, bps=None)
        return
    found = _found(table, place)
    if found is None:
        where = place.country or "a customer without a country"
        problem = f"No tax rates are written down for {where}."
        yield TaxRateTold(customer=place.customer, tax_class="", problem=problem)
        return
    for name in classes:
        if name in found:  # what is left out is not known
            yield TaxRateTold(customer=place.customer, tax_class=name, bps=found[name])


def _found(table: TaxTable, place: TaxPlace) -> dict[str, str | None] | None:
    names = [f"{place.country}-{place.region}", place.country, _ANYWHERE]
    if place.country is None:
        names = [_ANYWHERE]
    return next((table.rates[name] for name in names if name in table.rates), None)
