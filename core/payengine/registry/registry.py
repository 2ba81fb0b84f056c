"""Which plugins are installed, enabled and healthy for this tenant?

The engine's one way to a plugin: it finds the tenant's settings, makes the `Call` and sends every
call through the guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self

import msgspec

from payengine import timings
from payengine.clock import Clock, SystemClock
from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable, PayengineError, PluginNotEnabled
from payengine.plugin import (
    Amount,
    Call,
    DisputeEvent,
    Manifest,
    Movement,
    PluginSettings,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
    from_plain,
    to_plain,
)
from payengine.registry.answers import Answer, CallKind, clean_text, judge_event, said_by
from payengine.registry.calculators import CalculatorDesk
from payengine.registry.guard import Guard
from payengine.registry.hosting import Hosting
from payengine.registry.kyc import KycDesk
from payengine.registry.loader import InstalledPlugins, PluginInfo
from payengine.registry.notifiers import NotifierDesk
from payengine.registry.offered import LoadedGateway
from payengine.registry.parsers import ParserDesk
from payengine.registry.rails import RailDesk
from payengine.registry.rates import RateDesk
from payengine.registry.scorers import ScorerDesk
from payengine.registry.tenant_settings import OpenedPlugin, PluginState, TenantSettings
from payengine.registry.threads import Threads
from payengine.registry.wallets import WalletDesk
from payengine.storage import Database
from payengine.vault import Vault

__all__ = ["EnabledGateway", "Registry"]

#: The most events of one webhook, and the most lines of one statement.
_MOST_EVENTS = 1_000
_CLOSE_S = 2.0
_MOST_MOVEMENTS = 1_000_000
#: How long a plugin may take to verify and read one webhook.
_WEBHOOK_MS = 5_000


class EnabledGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that the tenant may pay through, with its opened settings."""

    name: str
    plugin: str
    manifest: Manifest
    settings: PluginSettings
    context: TenantContext

    def call(self, *, deadline_ms: int) -> Call:
        """What goes with each request; `account` is the tenant's id."""
        return Call(
            account=str(self.context.tenant_id),
            settings=self.settings,
            deadline_ms=deadline_ms,
            mode=self.context.mode,
        )


class Registry:
    """The installed plugins, each tenant's settings of them, and the guard."""

    def __init__(
        self,
        plugins: InstalledPlugins,
        database: Database,
        vault: Vault,
        *,
        clock: Clock | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.installed = plugins
        self.guard = guard or Guard()
        #: gateway → how many answers had a status that nobody here knows; an alert rises with it.
        self.unmodelled: Counter[str] = Counter()
        self._threads = Threads()
        self._settings = TenantSettings(
            database, vault, plugins=plugins, clock=clock or SystemClock()
        )
        self.wallets = WalletDesk(plugins, self._settings, self.guard)
        self.rates = RateDesk(plugins, self._settings, self.guard)
        self.scorers = ScorerDesk(plugins, self._settings, self.guard)
        self.rails = RailDesk(plugins, self._settings, self.guard)
        self.kyc = KycDesk(plugins, self._settings, self.guard)
        self.notifiers = NotifierDesk(plugins, self._settings, self.guard)
        self.calculators = CalculatorDesk(plugins, self._settings, self.guard)
        self.parsers = ParserDesk(plugins)

    @classmethod
    def load(
        cls,
        database: Database,
        vault: Vault,
        *,
        clock: Clock | None = None,
        guard: Guard | None = None,
        extra: Mapping[str, object] | None = None,
        discover: bool = True,
        hosting: Hosting | None = None,
    ) -> Self:
        """Load every installed plugin, and the objects `extra` by their names.

        Imports the plugins: call it once, before serving. Never raises because of a plugin.
        `hosting` says whose code may run in this process.
        """
        plugins = InstalledPlugins.load(extra=extra, discover=discover, hosting=hosting)
        return cls(plugins, database, vault, clock=clock, guard=guard)

    async def close(self) -> None:
        """Let gateways that hold connections let go of them; what one raises is its own affair."""
        gateways = [one.gateway for one in self.installed.gateways.values()]
        wallets = [one.wallet for one in self.installed.wallets.values()]
        rails = [one.rail for one in self.installed.payout_rails.values()]
        for offered in (*gateways, *wallets, *rails):
            release = getattr(offered, "aclose", None)
            if release is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_CLOSE_S):
                        await release()

    def plugins(self) -> Sequence[PluginInfo]:
        """Every installed plugin, ready or refused."""
        return self.installed.infos

    def gateway(self, name: str) -> LoadedGateway:
        """The gateway with its manifest; raises `PluginNotFound`."""
        return self.installed.gateway(name)

    async def describe(self, context: TenantContext) -> list[PluginState]:
        """Every installed plugin as the tenant has set it up; secrets show four characters."""
        context.require("plugins:read")
        return await self._settings.describe(context)

    async def save_settings(
        self,
        context: TenantContext,
        plugin: str,
        *,
        enabled: bool | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> PluginState:
        """Save the tenant's settings of a plugin; what is None stays as it is.

        `settings` replaces all plain fields; a secret that it leaves out stays, one that is null
        is forgotten. Raises `PluginNotFound`, `PluginIncompatible`, `PluginSettingsInvalid` (its
        path names the field), `PluginNotEnabled` (a test plugin in a live world), `Conflict`
        (saved by someone else meanwhile), `SensitiveDataRefused`, `PermissionDenied`; nothing is
        written then.
        """
        context.require("plugins:write")
        loaded = self.installed.plugin(plugin)
        await self._settings.save(context, loaded, enabled=enabled, settings=settings)
        states = await self._settings.describe(context)
        return next(state for state in states if state.info is loaded.info)

    async def for_tenant(self, context: TenantContext) -> Sequence[EnabledGateway]:
        """The gateways that new payments may take, in the order of their names.

        A plugin whose settings cannot be opened is left out.
        """
        opened = await self._settings.opened(context)
        found = []
        for gateway in self.installed.gateways.values():
            state = opened[gateway.plugin]
            if state.enabled and state.settings is not None:
                found.append(_enabled(gateway, state.settings, context))
        return found

    async def call(
        self,
        context: TenantContext,
        gateway: str,
        kind: CallKind,
        request: msgspec.Struct,
        *,
        deadline_ms: int,
        asked: Amount | None = None,
    ) -> Answer:
        """Call a gateway for the tenant, guarded; raises nothing but the caller's cancellation.

        An authorization needs the plugin enabled; what follows one does not, so that a tenant who
        has switched a gateway off can still refund through it. `asked` lets a lookup compare the
        amount that it finds with the one that the operation asked for.
        """
        found = self.installed.gateways.get(gateway)
        if found is None:
            return Answer(kind="not_sent", reason="not_installed")
        state = await self._state(context, found)
        if isinstance(state, Answer):
            return state
        if state.settings is None:
            return Answer(kind="not_sent", reason="settings_unavailable", detail=state.problem)
        barred = context.mode != "test" and found.manifest.test_worlds_only
        if barred or (kind == "authorize" and not state.enabled):
            return Answer(kind="not_sent", reason="not_enabled")
        call = _enabled(found, state.settings, context).call(deadline_ms=deadline_ms)
        began = time.perf_counter()
        answer = await self.guard.call(
            context.tenant_id, found.gateway, found.manifest, call, kind, request, asked=asked
        )
        timings.add_gateway(time.perf_counter() - began)
        if answer.reason == "unmodelled":
            self.unmodelled[gateway] += 1
        return answer

    async def parse_webhook(
        self, context: TenantContext, gateway: str, request: WebhookRequest
    ) -> tuple[WebhookEvent | DisputeEvent, ...]:
        """The verified events of a provider's call; raises `WebhookRefused` for all else.

        Whatever the plugin raises or returns that does not fit is a refusal: fail-closed. So is
        silence: the plugin works in a thread of its own and has five seconds.
        """
        found, call = await self._opened(context, gateway, deadline_ms=_WEBHOOK_MS)
        manifest = found.manifest
        if not manifest.webhooks:
            raise WebhookRefused(f"{manifest.title} takes no webhooks")

        def read() -> tuple[WebhookEvent | DisputeEvent, ...] | str:
            try:
                told = tuple(islice(found.gateway.parse_webhook(call, request), _MOST_EVENTS + 1))
                if len(told) > _MOST_EVENTS:
                    return f"more than {_MOST_EVENTS} events"
                return tuple(judge_event(event, manifest=manifest) for event in told)
            except BaseException as problem:  # its words are the plugin's code too
                return clean_text(said_by(problem))

        try:
            events = await self._threads.run(found.plugin, read, timeout_s=_WEBHOOK_MS / 1000)
        except TimeoutError:
            raise WebhookRefused(f"{manifest.title} did not read it in time") from None
        if isinstance(events, str):
            raise WebhookRefused(events)
        return events

    async def movements(
        self,
        context: TenantContext,
        gateway: str,
        *,
        since: datetime,
        until: datetime,
        deadline_ms: int,
    ) -> tuple[Movement, ...]:
        """The provider's own books with since ≤ at < until.

        Raises `GatewayUnavailable` where it offers none, does not answer or answers nonsense.
        """
        found, call = await self._opened(context, gateway, deadline_ms=deadline_ms)
        title = found.manifest.title
        if not found.manifest.movements:
            raise GatewayUnavailable(f"{title} shows no movements.")
        lines = await self.guard.ask(
            context.tenant_id,
            found.gateway,
            found.manifest,
            call,
            "movements",
            since=since.astimezone(UTC),
            until=until.astimezone(UTC),
        )
        if not isinstance(lines, Sequence) or len(lines) > _MOST_MOVEMENTS:
            raise GatewayUnavailable(f"{title} answered with no list, or with too long a one.")
        try:
            return tuple(from_plain(to_plain(line), Movement) for line in lines)
        except Exception as problem:
            raise GatewayUnavailable(clean_text(f"{title}: {said_by(problem)}")) from None

    async def _opened(
        self, context: TenantContext, gateway: str, *, deadline_ms: int
    ) -> tuple[LoadedGateway, Call]:
        found = self.installed.gateway(gateway)
        state = (await self._settings.opened(context))[found.plugin]
        if state.settings is None:
            raise PluginNotEnabled(state.problem)
        call = _enabled(found, state.settings, context).call(deadline_ms=deadline_ms)
        return found, call

    async def _state(self, context: TenantContext, gateway: LoadedGateway) -> OpenedPlugin | Answer:
        held = self._settings.held(context)
        if held is not None:
            return held[gateway.plugin]
        try:
            return (await self._settings.opened(context))[gateway.plugin]
        except PayengineError as problem:
            detail = problem.message
        except Exception as problem:
            # The database's words may hold values: the class alone is shown.
            detail = type(problem).__name__
        return Answer(kind="not_sent", reason="settings_unavailable", detail=detail)


def _enabled(
    gateway: LoadedGateway, settings: PluginSettings, context: TenantContext
) -> EnabledGateway:
    return EnabledGateway(
        name=gateway.name,
        plugin=gateway.plugin,
        manifest=gateway.manifest,
        settings=settings,
        context=context,
    )
