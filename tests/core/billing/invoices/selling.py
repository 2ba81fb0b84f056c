"""A tenant with prices and subscriptions, written as rows: many, or one with a peculiarity."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from payengine.billing.catalogue import Catalogue
from payengine.billing.invoices.renewals import Renewals
from payengine.billing.invoices.service import Invoices
from payengine.billing.invoices.setting_store import SettingStore, UpdateBillingSettings
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.models import (
    CatalogPrice,
    CreateMeter,
    CreatePrice,
    CreateProduct,
    Meter,
    ToldUsage,
)
from payengine.billing.usage_log import UsageLog
from payengine.clock import FixedClock
from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.registry import Registry
from payengine.storage import Database
from payengine.vault import Vault

from tests.engines import key

__all__ = ["JULY", "JUNE", "NOON", "Seller", "seller"]

JUNE = datetime(2025, 6, 1, tzinfo=UTC)
JULY = datetime(2025, 7, 1, tzinfo=UTC)
NOON = timedelta(hours=12)

_CUSTOMERS = """
    INSERT INTO customer (tenant_id, id, reference, metadata, created_at)
    SELECT $1, id, id, '{}', $3 FROM unnest($2::text[]) AS id
"""
_SUBSCRIPTIONS = """
    INSERT INTO subscription (tenant_id, id, customer_id, currency, status, access, anchor,
        interval_unit, interval_count, time_zone, period_start, period_end, cancel_at_period_end,
        pause_at_period_end, coupons, phases, proration_mode, metadata, version, due_at, created_at)
    SELECT $1, id, customer_id, 'EUR', $4, 'granted', $5, 'month', 1, 'UTC', $5, $6, $7, $8,
        $9::jsonb, '[]', 'second', '{}', 1, $6, $5
    FROM unnest($2::text[], $3::text[]) AS given (id, customer_id)
"""
_ITEMS = """
    INSERT INTO subscription_item
        (tenant_id, id, subscription_id, price_id, quantity, starts_at, ended_at)
    SELECT $1, id, subscription_id, $4, $5, $6, NULL
    FROM unnest($2::text[], $3::text[]) AS given (id, subscription_id)
"""
_LINE = """
    INSERT INTO pending_line
        (tenant_id, id, customer_id, subscription_id, currency, line, created_at)
    VALUES ($1, $2, $3, $4, 'EUR', $5, $6)
"""


@dataclass(frozen=True)
class Seller:
    """One tenant, and what renews for it."""

    database: Database
    context: TenantContext
    clock: FixedClock
    renewals: Renewals
    invoices: Invoices
    settings: SettingStore
    catalogue: Catalogue
    usage: UsageLog

    @property
    def tenant_id(self) -> uuid.UUID:
        """The tenant's name."""
        return self.context.tenant_id

    async def price(self, amount: int = 1_000, **given: Any) -> CatalogPrice:
        """A monthly price of a product of its own."""
        features = given.pop("features", {})
        metadata = given.pop("metadata", {})
        product = await self.catalogue.create_product(
            self.context,
            CreateProduct(
                idempotency_key=key(),
                reference=key(),
                name="A thing",
                features=features,
                metadata=metadata,
            ),
        )
        model = given.pop("model", {"model": "per_unit", "unit_amount": str(amount)})
        words: dict[str, Any] = {"interval_unit": "month", "interval_count": 1} | given
        return await self.catalogue.create_price(
            self.context,
            CreatePrice(
                idempotency_key=key(),
                product_id=product.id,
                options={"EUR": model},
                **words,
            ),
        )

    async def meter(self, late_policy: Any = "next_invoice") -> Meter:
        """A meter that sums up."""
        return await self.catalogue.create_meter(
            self.context,
            CreateMeter(idempotency_key=key(), name=key(), formula="sum", late_policy=late_policy),
        )

    async def use(self, meter: Meter, customer_id: str, value: str, at: datetime) -> str:
        """Tell usage; the receipt's outcome or its error's code."""
        (receipt,) = await self.usage.tell(
            self.context,
            [
                ToldUsage(
                    meter=meter.name,
                    customer_id=customer_id,
                    id=key(),
                    at=at,
                    value=Decimal(value),
                )
            ],
        )
        return receipt.code or receipt.outcome

    async def subscribe(
        self,
        price: CatalogPrice | Sequence[CatalogPrice],
        *,
        number: int = 1,
        customer_id: str | None = None,
        quantity: str = "1",
        start: datetime = JUNE,
        end: datetime = JULY,
        status: str = "active",
        cancels: bool = False,
        pauses: bool = False,
        coupons: Sequence[dict[str, Any]] = (),
    ) -> list[str]:
        """Subscriptions whose present period ends at `end`; their ids."""
        customers = [customer_id or new_id("cus") for _ in range(number)]
        names = [new_id("sub") for _ in range(number)]
        prices = [price] if isinstance(price, CatalogPrice) else list(price)
        async with self.database.tenant(self.tenant_id) as session:
            if customer_id is None:
                await session.execute(_CUSTOMERS, self.tenant_id, customers, start)
            await session.execute(
                _SUBSCRIPTIONS,
                self.tenant_id,
                names,
                customers,
                status,
                start,
                end,
                cancels,
                pauses,
                list(coupons),
            )
            for each in prices:
                await session.execute(
                    _ITEMS,
                    self.tenant_id,
                    [new_id("sit") for _ in names],
                    names,
                    each.id,
                    quantity,
                    start,
                )
        return names

    async def customer(self) -> str:
        """A customer who has nothing."""
        customer_id = new_id("cus")
        async with self.database.tenant(self.tenant_id) as session:
            await session.execute(_CUSTOMERS, self.tenant_id, [customer_id], JUNE)
        return customer_id

    async def wait_line(
        self, customer_id: str, amount: int, *, subscription_id: str | None = None
    ) -> str:
        """A line that waits for the next invoice."""
        name = new_id("pli")
        async with self.database.tenant(self.tenant_id) as session:
            await session.execute(
                _LINE,
                self.tenant_id,
                name,
                customer_id,
                subscription_id,
                {"amount": amount, "kind": "proration", "discountable": False},
                JUNE,
            )
        return name

    async def rows(self, sql: str, *arguments: Any) -> list[Any]:
        """Rows of the tenant; `$1` is its id."""
        async with self.database.tenant(self.tenant_id) as session:
            return await session.fetch(sql, self.tenant_id, *arguments)

    async def row(self, sql: str, *arguments: Any) -> Any:
        """The one row."""
        (found,) = await self.rows(sql, *arguments)
        return found

    async def execute(self, sql: str, *arguments: Any) -> None:
        """A change; `$1` is the tenant's id."""
        async with self.database.tenant(self.tenant_id) as session:
            await session.execute(sql, self.tenant_id, *arguments)

    async def subscription(self, name: str) -> Any:
        """One subscription's row."""
        return await self.row("SELECT * FROM subscription WHERE tenant_id = $1 AND id = $2", name)

    async def documents(self) -> list[Any]:
        """All invoices, in the order of their numbers."""
        return await self.rows("SELECT * FROM invoice WHERE tenant_id = $1 ORDER BY number")

    async def events(self, *types: str) -> list[Any]:
        """What was told, of these types."""
        return await self.rows(
            "SELECT * FROM event WHERE tenant_id = $1 AND type = ANY ($2) ORDER BY seq", list(types)
        )

    async def set(self, **document: Any) -> None:
        """Change billing settings."""
        await self.settings.update(
            self.context, UpdateBillingSettings(idempotency_key=key(), document=document)
        )

    async def renew(self, at: datetime | None = None) -> int:
        """Renew what is due."""
        if at is not None:
            self.clock.advance(at - self.clock.now(self.tenant_id))
        return await self.renewals.run_tenant(self.tenant_id, at=self.clock.now(self.tenant_id))


def seller(
    database: Database,
    vault: Vault,
    context: TenantContext,
    *,
    at: datetime = JULY,
    plugins: dict[str, object] | None = None,
) -> Seller:
    """The rooms of one tenant on a clock that is moved by hand."""
    clock = FixedClock(at)
    registry = Registry.load(database, vault, clock=clock, extra=plugins)
    taxes = TaxDesk(database=database, calculators=registry.calculators)
    return Seller(
        database=database,
        context=context,
        clock=clock,
        renewals=Renewals(database=database, clock=clock, taxes=taxes),
        invoices=Invoices(database=database, clock=clock, taxes=taxes),
        settings=SettingStore(
            database=database, clock=clock, calculators=registry.calculators.names()
        ),
        catalogue=Catalogue(database=database, clock=clock),
        usage=UsageLog(database=database, clock=clock),
    )
