"""What does a rate source say?

The engine's one way to a rate source: it finds the tenant's settings, asks the plugin through the
guard and believes only an answer of the right shape. Whether a text is a rate is decided by those
who compute with it.
"""

from __future__ import annotations

from datetime import date
from typing import cast

import msgspec

from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable, PluginNotEnabled, PluginNotFound, RateNotAvailable
from payengine.plugin import (
    AskRates,
    Call,
    DayRates,
    Gateway,
    Manifest,
    RateSource,
    ToldRates,
)
from payengine.registry.guard import Guard
from payengine.registry.loader import InstalledPlugins
from payengine.registry.offered import LoadedRateSource
from payengine.registry.tenant_settings import TenantSettings

__all__ = ["MAX_RATES", "RateDesk"]

#: The most rates of one answer: some thirty years of a few, or two years of all currencies.
MAX_RATES = 200_000

#: The guard lets questions have an eighth of a bound; a rate source has nothing but questions.
_QUESTIONS = 8


class RateDesk:
    """The installed rate sources, asked for one tenant at a time."""

    def __init__(self, plugins: InstalledPlugins, settings: TenantSettings, guard: Guard) -> None:
        self._plugins = plugins
        self._settings = settings
        self._guard = guard

    def names(self) -> tuple[str, ...]:
        """The installed rate sources, by their names."""
        return tuple(self._plugins.rate_sources)

    def source(self, name: str) -> LoadedRateSource:
        """The rate source of this name; raises `PluginNotFound`."""
        found = self._plugins.rate_sources.get(name)
        if found is None:
            raise PluginNotFound(f"No rate source named {name[:60]!r} is installed.")
        return found

    async def ask(
        self, context: TenantContext, name: str, *, day: date, deadline_ms: int
    ) -> ToldRates:
        """What the source tells for a day.

        Raises `PluginNotFound`, `PluginNotEnabled`, and `RateNotAvailable` where the source does
        not answer in time or answers with nonsense.
        """
        found = self.source(name)
        state = (await self._settings.opened(context))[found.plugin]
        if not state.enabled:
            raise PluginNotEnabled(f"{found.manifest.title} is not enabled for this tenant.")
        if state.settings is None:
            raise RateNotAvailable(state.problem or None)
        call = Call(
            account=str(context.tenant_id),
            settings=state.settings,
            deadline_ms=deadline_ms,
            mode=context.mode,
        )
        manifest = msgspec.structs.replace(
            found.manifest,
            name=f"rates:{found.name}",
            max_concurrency=_QUESTIONS * found.manifest.max_concurrency,
        )
        try:
            answer = await self._guard.ask(
                context.tenant_id,
                cast(Gateway, _Asked(found.source)),
                cast(Manifest, manifest),
                call,
                "daily_rates",
                request=AskRates(day=day),
            )
        except GatewayUnavailable as unavailable:
            raise RateNotAvailable(unavailable.message) from None
        if not _fits(answer):
            raise RateNotAvailable(f"{found.manifest.title} answered with nonsense.")
        return cast(ToldRates, answer)


class _Asked:
    """A rate source as the guard calls one: by names."""

    def __init__(self, source: RateSource) -> None:
        self._source = source

    async def daily_rates(self, call: Call, *, request: AskRates) -> object:
        return await self._source.daily_rates(call, request)


def _fits(answer: object) -> bool:
    if type(answer) is not ToldRates or not isinstance(answer.days, tuple):
        return False
    told = 0
    for one in answer.days:
        if type(one) is not DayRates or type(one.day) is not date:
            return False
        rates: object = one.rates
        if not isinstance(rates, dict):
            return False
        told += len(rates)
        if told > MAX_RATES:
            return False
        if not all(isinstance(part, str) for pair in rates.items() for part in pair):
            return False
    return True
