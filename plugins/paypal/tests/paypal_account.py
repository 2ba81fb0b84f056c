"""Who sells something through the fake PayPal?

The fixtures of this plugin's tests: `paypal`, one process for the session, and `account`, a fresh
merchant there. PYTEST_DONT_REWRITE: tests import it before it is registered.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fake_paypal import FakePayPal, running_fake
from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Capture,
    Lookup,
    Outcome,
    PaymentMethod,
    Refund,
    Void,
)
from payengine_paypal.gateway import PayPalGateway

__all__ = ["Account", "account", "paypal"]

_CALM: dict[str, Any] = {
    "faults": {},
    "slow_s": 0,
    "token_s": 32_400,
    "strict_honor": False,
    "strict_patch": False,
    "pending_s": 0.2,
}


@pytest.fixture(scope="session")
def paypal() -> Iterator[FakePayPal]:
    """A fake PayPal in a process of its own."""
    with running_fake() as running:
        yield running


@dataclass
class Account:
    """A merchant's account at the fake, and the gateway that leads to it."""

    paypal: FakePayPal
    gateway: PayPalGateway
    name: str
    call: Call

    def request(self, token: str = "vault_ok", minor: int = 1_200, **more: Any) -> Authorize:
        """An authorization, captured unless told otherwise."""
        key = f"op-{uuid.uuid4().hex}"
        given: dict[str, Any] = {
            "key": key,
            "amount": Amount(minor, "EUR"),
            "capture": True,
            "payment_method": PaymentMethod(token=token, kind="paypal"),
            "payment_id": f"pay-{key}",
            "return_url": "https://shop.example/return",
        }
        return Authorize(**(given | more))

    async def pay(self, token: str = "vault_ok", minor: int = 1_200, **more: Any) -> Outcome:
        """Authorize."""
        return await self.gateway.authorize(self.call, self.request(token, minor, **more))

    async def hold(self, token: str = "vault_ok", minor: int = 1_200) -> str:
        """A hold's reference."""
        held = await self.pay(token, minor, capture=False)
        assert held.status == "succeeded"
        return str(held.provider_reference)

    async def capture(
        self, reference: str, minor: int, *, final: bool = True, key: str = ""
    ) -> Outcome:
        """Capture a part of the hold."""
        request = Capture(
            key=key or f"cap-{uuid.uuid4().hex}",
            provider_reference=reference,
            amount=Amount(minor, "EUR"),
            final=final,
        )
        return await self.gateway.capture(self.call, request)

    async def refund(self, reference: str, minor: int, *, key: str = "") -> Outcome:
        """Refund a part."""
        request = Refund(
            key=key or f"ref-{uuid.uuid4().hex}",
            provider_reference=reference,
            amount=Amount(minor, "EUR"),
            reason="too large",
        )
        return await self.gateway.refund(self.call, request)

    async def void(self, reference: str, *, key: str = "") -> Outcome:
        """Void."""
        request = Void(
            key=key or f"void-{uuid.uuid4().hex}",
            provider_reference=reference,
            amount=Amount(1_200, "EUR"),
        )
        return await self.gateway.void(self.call, request)

    async def look_up(
        self, key: str, reference: str | None, kind: Any = "authorize", **more: Any
    ) -> Outcome:
        """Ask what became of it."""
        return await self.gateway.lookup(
            self.call, Lookup(key=key, kind=kind, provider_reference=reference, **more)
        )

    def order(self, reference: str | None) -> dict[str, Any]:
        """What the fake's books hold of an order."""
        return next(row for row in self.paypal.sums(self.name) if row["id"] == reference)

    def sent(self) -> list[list[str]]:
        """What reached the fake, in order: method, path, request id."""
        found: list[list[str]] = self.paypal.ask("seen")
        return found


@pytest.fixture
async def account(paypal: FakePayPal) -> AsyncIterator[Account]:
    """A fresh merchant at a fake that is calm again."""
    paypal.ask("set", **_CALM)
    name = f"m{uuid.uuid4().hex}"
    gateway = PayPalGateway()
    call = Call(account=name, settings=paypal.settings(name), deadline_ms=5_000)
    yield Account(paypal, gateway, name, call)
    await gateway.aclose()
