"""What does a calculator of taxes say?

The engine's one way to a calculator: it finds the tenant's settings, asks the plugin through the
guard and believes only an answer of the right shape. Whether a text is a rate is decided by those
who compute with it.
"""

from __future__ import annotations

from typing import cast

import msgspec

from payengine.context import TenantContext
from payengine.errors import (
    GatewayUnavailable,
    PluginNotEnabled,
    PluginNotFound,
    TaxNotKnown,
)
from payengine.plugin import (
    AskTaxes,
    Call,
    Gateway,
    Manifest,
    TaxRateTold,
    ToldTaxes,
)
from payengine.registry.answers import clean_text
from payengine.registry.guard import Guard
from payengine.registry.loader import InstalledPlugins
from payengine.registry.offered import LoadedCalculator
from payengine.registry.tenant_settings import TenantSettings

__all__ = ["MOST_TOLD", "CalculatorDesk"]

#: The most rates of one answer: those of a batch of customers for every class.
MOST_TOLD = 100_000

#: The guard lets questions have an eighth of a bound; a calculator has nothing but questions.
_QUESTIONS = 8


class CalculatorDesk:
    """The installed calculators, asked for one tenant at a time."""

    def __init__(self, plugins: InstalledPlugins, settings: TenantSettings, guard: Guard) -> None:
        self._plugins = plugins
        self._settings = settings
        self._guard = guard

    def names(self) -> tuple[str, ...]:
        """Every installed calculator."""
        return tuple(self._plugins.tax_calculators)

    async def ask(
        self, context: TenantContext, name: str, request: AskTaxes, *, deadline_ms: int
    ) -> ToldTaxes:
        """What the calculator tells.

        Raises `PluginNotFound`, `PluginNotEnabled`, and `TaxNotKnown` where it does not answer in
        time or answers with nonsense.
        """
        found = self._plugins.tax_calculators.get(name)
        if found is None:
            raise PluginNotFound(f"No tax calculator named {name[:60]!r} is installed.")
        state = (await self._settings.opened(context))[found.plugin]
        if not state.enabled:
            raise PluginNotEnabled(f"{found.manifest.title} is not enabled for this tenant.")
        if state.settings is None:
            raise TaxNotKnown(state.problem or None)
        call = Call(
            account=str(context.tenant_id),
            settings=state.settings,
            deadline_ms=deadline_ms,
            mode=context.mode,
        )
        try:
            answer = await self._guard.ask(
                context.tenant_id,
                cast(Gateway, _Asked(found)),
                _manifest_for_guard(found),
                call,
                "tax_rates",
                request=request,
            )
        except GatewayUnavailable as unavailable:
            raise TaxNotKnown(unavailable.message) from None
        told = _judged(answer)
        if told is None:
            raise TaxNotKnown(f"{found.manifest.title} answered with nonsense.")
        return told


def _manifest_for_guard(found: LoadedCalculator) -> Manifest:
    """The guard reads a name, a title and a bound, which both kinds of manifest have."""
    return cast(
        Manifest,
        msgspec.structs.replace(
            found.manifest,
            name=f"tax:{found.name}",
            max_concurrency=_QUESTIONS * found.manifest.max_concurrency,
        ),
    )


class _Asked:
    """A calculator as the guard calls one: by names."""

    def __init__(self, found: LoadedCalculator) -> None:
        self._found = found

    async def tax_rates(self, call: Call, *, request: AskTaxes) -> object:
        return await self._found.calculator.tax_rates(call, request)


def _judged(answer: object) -> ToldTaxes | None:
    """The answer made of checked values, or None where it does not fit."""
    if type(answer) is not ToldTaxes or not isinstance(answer.rates, tuple):
        return None
    if len(answer.rates) > MOST_TOLD:
        return None
    rates = []
    for one in answer.rates:
        if type(one) is not TaxRateTold:
            return None
        texts: tuple[object, ...] = (one.customer, one.tax_class, one.problem, one.bps or "")
        if not all(isinstance(text, str) for text in texts):
            return None
        rates.append(msgspec.structs.replace(one, problem=clean_text(one.problem)))
    return ToldTaxes(rates=tuple(rates))
