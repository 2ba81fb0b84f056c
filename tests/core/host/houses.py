"""A hostile plugin in its host, called through the guard as the engine calls it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from payengine.host.limits import HostLimits
from payengine.host.plugin import HostedPlugin
from payengine.host.supervisor import PluginHost
from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Gateway,
    Manifest,
    NetworkToken,
    PaymentMethod,
    parse_settings,
)
from payengine.registry import Answer, Breakers, Guard

__all__ = ["House", "request_of"]

MODULE = "tests.core.host.hostile"


def request_of(token: str, *, minor: int = 500, network: NetworkToken | None = None) -> Authorize:
    """An authorization with this token."""
    return Authorize(
        key=f"k-{uuid.uuid4().hex}",
        amount=Amount(minor, "EUR"),
        capture=True,
        payment_method=PaymentMethod(token=token, network_token=network),
        payment_id="pay_1",
    )


@dataclass
class House:
    """A host, its one gateway and a guard whose breaker stays closed."""

    limits: HostLimits = field(default_factory=lambda: HostLimits(grace_s=0.3, load_s=240))
    environment: dict[str, str] = field(default_factory=dict)
    module: str = MODULE

    def __post_init__(self) -> None:
        self.host = PluginHost(
            distribution="hostile",
            plugins={"hostile": self.module},
            limits=self.limits,
            environment=self.environment,
        )
        self.plugin = HostedPlugin(self.host, "hostile")
        self.host.rest()
        self.gateway: Gateway = self.plugin.gateways()[0]
        self.manifest: Manifest = self.gateway.describe()
        self.guard = Guard(breakers=Breakers(threshold=1_000))

    def call_of(self, *, deadline_ms: int = 60_000, **settings: Any) -> Call:
        """A tenant's call."""
        plain = {"api_key": "key-of-this-tenant"} | settings
        return Call(
            account="acct",
            settings=parse_settings(self.manifest.settings, plain),
            deadline_ms=deadline_ms,
        )

    async def pay(self, token: str, *, deadline_ms: int = 60_000, **given: Any) -> Answer:
        """One authorization through the guard."""
        return await self.guard.call(
            uuid.uuid4(),
            self.gateway,
            self.manifest,
            self.call_of(deadline_ms=deadline_ms),
            "authorize",
            request_of(token, **given),
        )

    async def close(self) -> None:
        """End the host."""
        await self.host.aclose()
