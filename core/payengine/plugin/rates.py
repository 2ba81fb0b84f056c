"""Which calls does a source of exchange rates answer?

A rate source tells what its publisher said: units of each currency for one unit of a base, as the
decimal texts that were published, day by day. It moves no money, keeps nothing and rounds nothing.
"""

from __future__ import annotations

from datetime import date
from typing import Protocol, runtime_checkable

import msgspec

from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Call, Message
from payengine.plugin.settings import PluginSettings

__all__ = ["AskRates", "DayRates", "RateManifest", "RateSource", "ToldRates"]


class RateManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one rate source declares of itself.

    `name` is kept with every rate that it told; `base` is the currency in which it quotes.
    `max_concurrency` bounds the calls in flight from one process.
    """

    name: str
    title: str
    version: str
    base: str
    contract: str = CONTRACT_VERSION
    max_concurrency: int = 64
    settings: type[PluginSettings] = PluginSettings


class AskRates(Message, frozen=True, kw_only=True):
    """Tell the rates of `day`, or where that day has none, of the days before it."""

    day: date


class DayRates(Message, frozen=True, kw_only=True):
    """Units of each currency for 1 of the base, as decimal texts: `{"USD": "1.0921"}`."""

    day: date
    rates: dict[str, str]


class ToldRates(Message, frozen=True, kw_only=True):
    """Some days, in any order; those that nobody asked for do no harm."""

    days: tuple[DayRates, ...]


@runtime_checkable
class RateSource(Protocol):
    """A teller of exchange rates."""

    def describe(self) -> RateManifest:
        """The source's manifest; pure and constant."""
        ...

    async def daily_rates(self, call: Call, request: AskRates) -> ToldRates:
        """What the publisher said; raises anything where it cannot be known."""
        ...
