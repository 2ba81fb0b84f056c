"""Who carries a notice to a tenant's customer?

The engine's one way to a notifier: it finds the tenant's settings, asks the plugin through the
guard, and believes that a notice is on its way only where it is told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable
from payengine.plugin import (
    Call,
    CustomerNotice,
    Gateway,
    Manifest,
    NoticeTaken,
    Notifier,
    NotifierManifest,
)
from payengine.registry.guard import Guard
from payengine.registry.loader import InstalledPlugins
from payengine.registry.tenant_settings import TenantSettings

__all__ = ["NotifierDesk"]

#: The guard lets questions have an eighth of a bound; a notifier has nothing but questions.
_QUESTIONS = 8


class NotifierDesk:
    """The installed notifiers, asked for one tenant at a time."""

    def __init__(self, plugins: InstalledPlugins, settings: TenantSettings, guard: Guard) -> None:
        self._plugins = plugins
        self._settings = settings
        self._guard = guard

    async def enabled(self, context: TenantContext) -> Sequence[NotifierManifest]:
        """The notifiers that this tenant has enabled, in the order of their names."""
        states = await self._settings.opened(context)
        return [
            one.manifest
            for one in self._plugins.notifiers.values()
            if states[one.plugin].enabled and states[one.plugin].settings is not None
        ]

    async def notify(
        self, context: TenantContext, name: str, notice: CustomerNotice, *, deadline_ms: int
    ) -> str | None:
        """Hand the notice over: None where it is on its way, else why that is not certain."""
        found = self._plugins.notifiers.get(name)
        if found is None:
            return "The notifier is not installed."
        state = (await self._settings.opened(context))[found.plugin]
        if not state.enabled or state.settings is None:
            return state.problem or "The notifier is not enabled."
        call = Call(
            account=str(context.tenant_id),
            settings=state.settings,
            deadline_ms=deadline_ms,
            mode=context.mode,
        )
        manifest = msgspec.structs.replace(
            found.manifest,
            name=f"notifier:{found.name}",
            max_concurrency=_QUESTIONS * found.manifest.max_concurrency,
        )
        try:
            answer = await self._guard.ask(
                context.tenant_id,
                cast(Gateway, _Asked(found.notifier)),
                cast(Manifest, manifest),
                call,
                "notify",
                request=notice,
            )
        except GatewayUnavailable as unavailable:
            return unavailable.message
        return None if type(answer) is NoticeTaken else "It answered with nonsense."


class _Asked:
    """A notifier as the guard calls one: by names."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def notify(self, call: Call, *, request: CustomerNotice) -> object:
        return await self._notifier.notify(call, request)
