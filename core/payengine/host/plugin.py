"""How does a hosted plugin look from here?

Like any other: an object with hooks whose gateways, wallets and fraud rules have the contract's
methods. Those methods hand their messages to the host; a rule's `evaluate` is therefore awaited, as
a scorer's `score` is. What an offer does not have there it does not have here.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from payengine.host.described import manifest_from, settings_from
from payengine.host.supervisor import HostHealth, PluginHost, Unreadable
from payengine.host.wire import METHODS, Described, Offer, Span, encode
from payengine.plugin import (
    Call,
    DisputeEvent,
    Feature,
    Manifest,
    Movement,
    PluginSettings,
    RuleManifest,
    WalletManifest,
    WebhookEvent,
    WebhookRequest,
    hookimpl,
)

__all__ = ["HostedPlugin", "NotLoaded"]

#: So many settings of one rule are remembered, with what it reads under them.
_MOST_SAID = 1_000
_LEFT_ALONE_S = 5.0


class NotLoaded(Exception):
    """The host could not load the plugin, or what it described cannot be used."""


class _Offered:
    """A gateway, a wallet or a fraud rule of the host."""

    def __init__(
        self,
        host: PluginHost,
        *,
        key: str,
        manifest: Manifest | WalletManifest | RuleManifest,
    ) -> None:
        self._host = host
        self._key = key
        self._manifest = manifest

    def describe(self) -> Manifest | WalletManifest | RuleManifest:
        """As it described itself when it was loaded."""
        return self._manifest

    async def aclose(self) -> None:
        """End the host."""
        await self._host.aclose()


class _OfferedRule(_Offered):
    """A fraud rule of the host. What it reads is asked once for each of its settings."""

    def __init__(self, host: PluginHost, *, key: str, manifest: RuleManifest) -> None:
        super().__init__(host, key=key, manifest=manifest)
        self._said: OrderedDict[bytes, tuple[Sequence[Feature] | str, float]] = OrderedDict()

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What it reads; may take two seconds where it was not asked before.

        Raises `ValueError` where it does not say; it is then left alone for a moment.
        """
        spelled = bytes(encode(settings))
        said, until = self._said.get(spelled, ("", 0.0))
        if time.monotonic() >= until:
            said, until = self._ask(settings)
            self._said[spelled] = said, until
            while len(self._said) > _MOST_SAID:
                self._said.popitem(last=False)
        if isinstance(said, str):
            raise ValueError(said)
        return said

    def _ask(self, settings: PluginSettings) -> tuple[Sequence[Feature] | str, float]:
        try:
            return self._host.features(self._key, settings), math.inf
        except ValueError as problem:
            return str(problem) or "it does not say", time.monotonic() + _LEFT_ALONE_S


def _asking(name: str) -> Callable[..., Any]:
    async def ask(self: _Offered, call: Call, request: Any) -> Any:
        return await self._host.call(self._key, name, call, request)

    ask.__name__ = name
    return ask


async def _movements(
    self: _Offered, call: Call, *, since: datetime, until: datetime
) -> Sequence[Movement] | None:
    lines = await self._host.call(self._key, "movements", call, Span(since, until))
    return None if isinstance(lines, Unreadable) else lines


def _parse_webhook(
    self: _Offered, call: Call, request: WebhookRequest
) -> Sequence[WebhookEvent | DisputeEvent]:
    return self._host.parse_webhook(self._key, call, request)


_ASKING: dict[str, Callable[..., Any]] = {name: _asking(name) for name in METHODS} | {
    "movements": _movements,
    "parse_webhook": _parse_webhook,
}


class HostedPlugin:
    """One entry point of a distribution that runs in a host."""

    def __init__(self, host: PluginHost, name: str) -> None:
        """Asks the host to load it; raises `NotLoaded` with the reason."""
        self.host = host
        self.name = name
        described = host.describe(name)
        if described.problem:
            raise NotLoaded(described.problem)
        try:
            classes = [settings_from(shape) for shape in described.shapes]
        except ValueError as problem:
            raise NotLoaded(f"No form can be made of the settings: {problem}.") from None
        self._gateways = self._offered(described, "gateway", Manifest, classes)
        self._wallets = self._offered(described, "wallet", WalletManifest, classes)
        self._rules = self._offered(described, "rule", RuleManifest, classes)

    @hookimpl
    def gateways(self) -> Sequence[Any]:
        """The host's gateways."""
        return self._gateways

    @hookimpl
    def wallets(self) -> Sequence[Any]:
        """The host's wallets."""
        return self._wallets

    @hookimpl
    def fraud_rules(self) -> Sequence[Any]:
        """The host's fraud rules."""
        return self._rules

    def health(self) -> HostHealth:
        """How its host is."""
        return self.host.health()

    def vet(self, plain: Mapping[str, Any]) -> str:
        """What the plugin's own code finds wrong with settings, or ""; may take two seconds."""
        return self.host.vet(self.name, plain)

    def _offered(
        self,
        described: Described,
        noun: str,
        kind: type[Manifest] | type[WalletManifest] | type[RuleManifest],
        classes: Sequence[type[PluginSettings]],
    ) -> list[Any]:
        offers: list[Offer] = getattr(described, f"{noun}s")
        made = []
        for offer in offers:
            if not 0 <= offer.shape < len(classes):
                raise NotLoaded("It described settings that it does not have.")
            try:
                manifest = manifest_from(offer, kind, classes[offer.shape])
            except TypeError as problem:
                raise NotLoaded(f"The manifest is malformed: {problem}.") from None
            methods = {name: _ASKING[name] for name in offer.methods if name in _ASKING}
            base = _OfferedRule if noun == "rule" else _Offered
            proxy = type(f"Hosted{noun.title()}", (base,), methods)
            key = f"{self.name}:{noun}:{offer.manifest.get('name')}"
            made.append(proxy(self.host, key=key, manifest=manifest))
        return made
