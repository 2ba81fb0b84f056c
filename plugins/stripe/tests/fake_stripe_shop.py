"""Who is paid through Stripe alone in these tests?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fake_stripe_process import FakeStripe, api_key
from payengine.invariants import verify
from payengine.payments import PaymentResult
from payengine.plugin import Movement

from tests.engines import Shop, Till

__all__ = ["WEBHOOK_SECRET", "StripeShop", "open_shop"]

WEBHOOK_SECRET = "whsec_of_the_shop"
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StripeShop(Shop):
    """A tenant that is paid through Stripe alone."""

    fake: FakeStripe
    key: str

    async def pay(
        self, amount: int = 1_000, token: str | None = "pm_card_visa", **given: Any
    ) -> PaymentResult:
        """A new payment; the buyer has a place to come back to."""
        fields = {"return_url": "https://shop.example/back"} | given
        return await super().pay(amount, token, **fields)

    async def movements(self) -> list[Movement]:
        """Stripe's own books of this shop."""
        lines = await self.engine.registry.movements(
            self.context,
            "stripe",
            since=_ALWAYS,
            until=datetime.now(UTC) + timedelta(days=1),
            deadline_ms=20_000,
        )
        return list(lines)

    async def assert_sound(self) -> None:
        """Every invariant of this shop holds, Stripe's books among them."""
        report = await verify(self.engine, tenant_ids=[self.context.tenant_id])
        assert report.ok, report.broken


async def open_shop(till: Till, fake: FakeStripe, **settings: Any) -> StripeShop:
    """A new tenant with an account of its own at the fake."""
    context = (await till.shop()).context
    key = api_key(flexible=True)
    registry = till.engine.registry
    given = {"api_key": key, "webhook_secret": WEBHOOK_SECRET, "multicapture": True}
    given |= {"increments": True} | settings
    await registry.save_settings(context, "sandbox", enabled=False)
    await registry.save_settings(context, "stripe", enabled=True, settings=given)
    return StripeShop(till, context, fake, key)
