"""What does a rule say whose code is not here, or that asks somebody else?

The engine's one way to remote scorers and to the rules of plugin hosts: it finds the settings, asks
through the guard, within a share of a bound for each tenant, and leaves alone for a while whoever
failed this tenant several times in a row. What the answer is worth is decided by those who asked.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec

from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable
from payengine.plugin import Call, FraudContext, Gateway, Manifest, PluginSettings
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard
from payengine.registry.loader import InstalledPlugins
from payengine.registry.offered import LoadedRule
from payengine.registry.tenant_settings import TenantSettings

__all__ = ["ScorerDesk"]

#: The way to a host and back, on top of what the rule itself may take.
_WAY_MS = 100
#: The guard lets questions have an eighth of a bound, and a rule has nothing but questions.
_QUESTIONS = 8
_AT_ONCE = 32


class _Lane(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard reads of a manifest."""

    name: str
    title: str
    max_concurrency: int = _AT_ONCE * _QUESTIONS


class ScorerDesk:
    """The rules that are asked, for one tenant at a time."""

    def __init__(self, plugins: InstalledPlugins, settings: TenantSettings, guard: Guard) -> None:
        self._plugins = plugins
        self._settings = settings
        self._guard = guard
        self._breakers = Breakers()

    async def ask(
        self,
        context: TenantContext,
        rule: str,
        *,
        settings: PluginSettings,
        about: FraudContext,
    ) -> object:
        """Whatever the rule returned, unseen; `settings` are the rule's own, where it has some.

        Raises `GatewayUnavailable` where it is not set up, does not answer in its time, raises, is
        asked too much at once or rests because it failed before.
        """
        loaded = self._plugins.rules[rule]
        call = await self._call(context, loaded, settings)
        lane = _Lane(name=f"score:{rule}", title=loaded.manifest.title)
        loop = asyncio.get_running_loop()
        if not self._breakers.admits(context.tenant_id, lane.name, at=loop.time()):
            raise GatewayUnavailable("it failed several times in a row")
        failed = True
        try:
            answer = await self._guard.ask(
                context.tenant_id,
                cast(Gateway, _Asked(loaded.rule)),
                cast(Manifest, lane),
                call,
                "score" if loaded.manifest.remote else "evaluate",
                about=about,
            )
            failed = False
        finally:
            self._breakers.settle(context.tenant_id, lane.name, failed=failed, at=loop.time())
        return answer

    async def _call(
        self, context: TenantContext, loaded: LoadedRule, settings: PluginSettings
    ) -> Call:
        manifest = loaded.manifest
        if manifest.remote:
            state = (await self._settings.opened(context))[loaded.plugin]
            if not state.enabled or state.settings is None:
                raise GatewayUnavailable(state.problem or "the plugin is not enabled")
            settings = state.settings
        return Call(
            account=str(context.tenant_id),
            settings=settings,
            deadline_ms=manifest.time_limit_ms + (_WAY_MS if loaded.hosted else 0),
            mode=context.mode,
        )


class _Asked:
    """A rule as the guard calls it: by names."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule

    async def score(self, call: Call, *, about: FraudContext) -> object:
        return await self._rule.score(call, about)

    async def evaluate(self, call: Call, *, about: FraudContext) -> object:
        return await self._rule.evaluate(call, about)
