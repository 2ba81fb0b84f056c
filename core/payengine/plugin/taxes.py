"""Which calls does a calculator of taxes answer?

A calculator tells the rates at which a customer's lines are taxed, by the classes of the products.
It never sees an amount: what a rate comes to is computed by the engine, which rounds once. What a
calculator does not know it refuses by raising; nobody guesses in its place.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Call, Message
from payengine.plugin.settings import PluginSettings

__all__ = ["AskTaxes", "TaxCalculator", "TaxManifest", "TaxPlace", "TaxRateTold", "ToldTaxes"]


class TaxManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one calculator declares of itself.

    `max_concurrency` bounds the calls in flight from one process.
    """

    name: str
    title: str
    version: str
    contract: str = CONTRACT_VERSION
    max_concurrency: int = 64
    settings: type[PluginSettings] = PluginSettings


class TaxPlace(Message, frozen=True, kw_only=True):
    """Where a customer is taxed. `country` is its code of ISO 3166, `region` a part of it."""

    customer: str
    country: str | None = None
    region: str | None = None
    postal_code: str | None = None
    exempt: bool = False


class AskTaxes(Message, frozen=True, kw_only=True):
    """Tell the rates for these products' classes in these places at the instant."""

    places: tuple[TaxPlace, ...]
    classes: tuple[str, ...]
    at: datetime


class TaxRateTold(Message, frozen=True, kw_only=True):
    """One rate: `bps` in hundredths of a percent, a decimal text; None: outside of the tax.

    `problem` in its place says in words why this rate is not known.
    """

    customer: str
    tax_class: str
    bps: str | None = None
    problem: str = ""


class ToldTaxes(Message, frozen=True, kw_only=True):
    """A rate for each place and class; what is left out is not known."""

    rates: tuple[TaxRateTold, ...]


@runtime_checkable
class TaxCalculator(Protocol):
    """A teller of tax rates."""

    def describe(self) -> TaxManifest:
        """The calculator's manifest; pure and constant."""
        ...

    async def tax_rates(self, call: Call, request: AskTaxes) -> ToldTaxes:
        """What is taxed how; raises anything where it cannot be known."""
        ...
