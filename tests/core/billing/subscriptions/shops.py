"""A tenant that sells subscriptions, on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from payengine.billing.collection.hearing import invoice_paid
from payengine.billing.invoices.renewals import Renewals
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.models import CatalogPrice
from payengine.billing.subscriptions.models import (
    CancelSubscription,
    ChangeSubscription,
    CreateCoupon,
    CreateSubscription,
    ItemEdit,
    KeptCoupon,
    PauseSubscription,
    ResumeSubscription,
    ScheduleSubscriptionChange,
    Subscription,
    WantedItem,
)
from payengine.billing.subscriptions.room import SubscriptionRoom
from payengine.billing.subscriptions.steps import Steps
from payengine.context import TenantContext
from payengine.registry import Registry
from payengine.storage import Database
from payengine.vault import Vault

from tests.core.billing.invoices.selling import JUNE, Seller, seller
from tests.engines import key

__all__ = ["SubscriptionShop", "amounts", "edit", "subscription_shop"]

_OPEN = """
    SELECT id FROM invoice WHERE tenant_id = $1 AND status = 'open'
        AND customer_id = coalesce($2, customer_id) ORDER BY number
"""


def edit(item_id: str | None = None, **given: Any) -> ItemEdit:
    """An edit of an item, or a new one."""
    if "quantity" in given:
        given["quantity"] = Decimal(given["quantity"])
    return ItemEdit(item_id=item_id, **given)


@dataclass(frozen=True)
class SubscriptionShop:
    """The seller's catalogue and clock, and the room of subscriptions."""

    seller: Seller
    room: SubscriptionRoom

    @property
    def context(self) -> TenantContext:
        """Who asks."""
        return self.seller.context

    @property
    def now(self) -> datetime:
        """Where the clock stands."""
        return self.seller.clock.now(self.seller.tenant_id)

    def go_to(self, at: datetime) -> None:
        """Move the clock; nothing is run."""
        self.seller.clock.advance(at - self.now)

    async def create(self, *prices: CatalogPrice, **given: Any) -> Subscription:
        """A subscription of a new customer, or of `customer_id`."""
        return await self.room.subscriptions.create(
            self.context, await self.wanted(*prices, **given)
        )

    async def wanted(self, *prices: CatalogPrice, **given: Any) -> CreateSubscription:
        """The request for one."""
        quantity = Decimal(given.pop("quantity", 1))
        words: dict[str, Any] = {
            "idempotency_key": key(),
            "currency": "EUR",
            "items": tuple(WantedItem(price_id=each.id, quantity=quantity) for each in prices),
        }
        words |= given
        if "customer_id" not in words:
            words["customer_id"] = await self.seller.customer()
        return CreateSubscription(**words)

    async def active(self, *prices: CatalogPrice, **given: Any) -> Subscription:
        """One whose first invoice is paid."""
        made = await self.create(*prices, **given)
        await self.pay()
        return await self.read(made.id)

    async def pay(self, customer_id: str | None = None) -> None:
        """Every open invoice, or every one of the customer, is paid by a transfer."""
        tenant_id = self.seller.tenant_id
        rows = await self.seller.rows(_OPEN, customer_id)
        for row in rows:
            async with self.seller.database.tenant(tenant_id) as session:
                await invoice_paid(session, tenant_id, row["id"], at=self.now)

    async def read(self, subscription_id: str) -> Subscription:
        """It as it is."""
        return (await self.room.reader.by_id(self.context, [subscription_id]))[subscription_id]

    async def items(self, subscription_id: str) -> list[str]:
        """The ids of its items."""
        found = await self.room.reader.items_of(self.context, [subscription_id])
        return [item.id for item in found.get(subscription_id, [])]

    def changing(self, subscription_id: str, *edits: ItemEdit, **given: Any) -> ChangeSubscription:
        """The request of a change."""
        words = {"idempotency_key": key(), "subscription_id": subscription_id, "items": edits}
        return ChangeSubscription(**(words | given))

    async def change(self, subscription_id: str, *edits: ItemEdit, **given: Any) -> Subscription:
        """Change it."""
        request = self.changing(subscription_id, *edits, **given)
        return await self.room.subscriptions.change(self.context, request)

    async def cancel(self, subscription_id: str, **given: Any) -> Subscription:
        """End it."""
        request = CancelSubscription(
            idempotency_key=key(), subscription_id=subscription_id, **given
        )
        return await self.room.subscriptions.cancel(self.context, request)

    async def pause(self, subscription_id: str, **given: Any) -> Subscription:
        """Pause it."""
        request = PauseSubscription(idempotency_key=key(), subscription_id=subscription_id, **given)
        return await self.room.subscriptions.pause(self.context, request)

    async def resume(self, subscription_id: str) -> Subscription:
        """Let it go on."""
        request = ResumeSubscription(idempotency_key=key(), subscription_id=subscription_id)
        return await self.room.subscriptions.resume(self.context, request)

    async def schedule(self, subscription_id: str, **given: Any) -> Subscription:
        """Keep a change for later."""
        words = {"idempotency_key": key(), "subscription_id": subscription_id} | given
        request = ScheduleSubscriptionChange(**words)
        return await self.room.subscriptions.schedule(self.context, request)

    async def coupon(self, **given: Any) -> KeptCoupon:
        """A coupon."""
        words = {"idempotency_key": key(), "code": key()} | given
        return await self.room.coupons.create(self.context, CreateCoupon(**words))

    async def renew(self, at: datetime | None = None) -> int:
        """Do what is due until nothing is; how much that was."""
        done = await self.seller.renew(at)
        for _ in range(20):
            done += (more := await self.seller.renew())
            if not more:
                break
        return done

    async def invoices(self) -> list[dict[str, Any]]:
        """All invoices as documents, in the order of their numbers."""
        return [
            {**msgspec.json.decode(row["document"]), "hash": row["hash"], "status": row["status"]}
            for row in await self.seller.documents()
        ]

    async def told(self, *types: str) -> list[str]:
        """The types of what was told, of these."""
        return [row["type"] for row in await self.seller.events(*types)]


def subscription_shop(
    database: Database, vault: Vault, context: TenantContext, *, at: datetime = JUNE
) -> SubscriptionShop:
    """A shop whose clock stands at `at`."""
    plain = seller(database, vault, context, at=at)
    registry = Registry.load(database, vault, clock=plain.clock)
    taxes = TaxDesk(database=database, calculators=registry.calculators)
    renewals = Renewals(database=database, clock=plain.clock, taxes=taxes, steps=Steps())
    room = SubscriptionRoom.of(database, clock=plain.clock, taxes=taxes, renewals=renewals)
    return SubscriptionShop(replace(plain, renewals=renewals), room)


def amounts(invoice: dict[str, Any]) -> Sequence[int]:
    """What stands on its lines."""
    return [line["line"]["amount"] for line in invoice["lines"]]
