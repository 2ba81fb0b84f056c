"""Which plugins are installed, enabled and healthy for this tenant?

registry = Registry.load(database, vault)
for gateway in await registry.for_tenant(context): ...
answer = await registry.call(context, "sandbox", "authorize", request, deadline_ms=8_000)
"""

from __future__ import annotations

from payengine.registry.answers import Answer, AnswerKind, CallKind, judge
from payengine.registry.breaker import Breakers, BreakerState
from payengine.registry.calculators import CalculatorDesk
from payengine.registry.guard import Guard
from payengine.registry.hosting import Hosting
from payengine.registry.kyc import KycDesk
from payengine.registry.loader import InstalledPlugins, LoadedPlugin, PluginInfo
from payengine.registry.notifiers import NotifierDesk
from payengine.registry.offered import LoadedGateway, LoadedRail, LoadedRateSource, LoadedRule
from payengine.registry.parsers import ParserDesk
from payengine.registry.rails import RailAnswer, RailDesk
from payengine.registry.rates import RateDesk
from payengine.registry.registry import EnabledGateway, Registry
from payengine.registry.tenant_settings import PluginState
from payengine.registry.wallets import WalletDesk

__all__ = [
    "Answer",
    "AnswerKind",
    "BreakerState",
    "Breakers",
    "CalculatorDesk",
    "CallKind",
    "EnabledGateway",
    "Guard",
    "Hosting",
    "InstalledPlugins",
    "KycDesk",
    "LoadedGateway",
    "LoadedPlugin",
    "LoadedRail",
    "LoadedRateSource",
    "LoadedRule",
    "NotifierDesk",
    "ParserDesk",
    "PluginInfo",
    "PluginState",
    "RailAnswer",
    "RailDesk",
    "RateDesk",
    "Registry",
    "WalletDesk",
    "judge",
]
