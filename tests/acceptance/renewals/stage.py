"""Many subscriptions that are due at once, and what must be true of them afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
from payengine.billing.models import CreatePrice, CreateProduct
from payengine.context import TenantContext
from payengine.engine import Engine
from payengine.ids import new_id
from payengine.invariants import verify

from tests.engines import Shop, Till, key

__all__ = ["AMOUNT", "Stage", "Standing"]

AMOUNT = 1_900
_PATIENCE_S = 30.0
_MONTH = timedelta(days=28)

_CUSTOMERS = """
    INSERT INTO customer (tenant_id, id, reference, metadata, created_at)
    SELECT $1, id, id, '{}', $3 FROM unnest($2::text[]) AS id
"""
_METHODS = """
    INSERT INTO payment_method
        (tenant_id, id, customer_id, kind, label, token_sealed, created_at, gateway)
    SELECT $1, id, customer_id, $6, '', sealed, $5, NULL
    FROM unnest($2::text[], $3::text[], $4::bytea[]) AS given (id, customer_id, sealed)
"""
_SUBSCRIPTIONS = """
    INSERT INTO subscription (tenant_id, id, customer_id, currency, status, access, anchor,
        interval_unit, interval_count, time_zone, period_start, period_end, cancel_at_period_end,
        pause_at_period_end, coupons, phases, proration_mode, metadata, version, due_at, created_at)
    SELECT $1, id, customer_id, 'EUR', 'active', 'granted', $4, 'month', 1, 'UTC', $4, $5, false,
        false, '[]', '[]', 'second', '{}', 1, $5, $4
    FROM unnest($2::text[], $3::text[]) AS given (id, customer_id)
"""
_ITEMS = """
    INSERT INTO subscription_item
        (tenant_id, id, subscription_id, price_id, quantity, starts_at, ended_at)
    SELECT $1, id, subscription_id, $4, '1', $5, NULL
    FROM unnest($2::text[], $3::text[]) AS given (id, subscription_id)
"""
_INVOICES = """
    SELECT id, number, subscription_id, period_start, period_end, status, total, document,
           finalized_at
    FROM invoice WHERE tenant_id = $1 ORDER BY number
"""
_PAYMENTS = """
    SELECT payment.id, key AS idempotency_key, captured_minor FROM payment
    JOIN idempotency_key USING (tenant_id)
    WHERE tenant_id = $1 AND resource_id = payment.id AND mutation = 'createPayment'
"""
_SENT = "SELECT id, amount_minor FROM operation WHERE tenant_id = $1 AND status = 'sending'"
_PERIODS = "SELECT id, period_start, period_end FROM subscription WHERE tenant_id = $1"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What there is after a run; `broken` says in words what must not be."""

    invoices: int
    paid: int
    provider_charges: int
    payments_recorded: int
    ledger_transactions: int
    broken: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One tenant whose subscriptions are due."""

    till: Till
    context: TenantContext

    @property
    def engine(self) -> Engine:
        """The engine on which the stage was set."""
        return self.till.engine

    @classmethod
    async def open(
        cls,
        till: Till,
        due: int,
        *,
        names: list[str] | None = None,
        kind: str = "card",
        end: datetime | None = None,
    ) -> Stage:
        """A tenant with `due` subscriptions that became due an hour ago, or are at `end`.

        `names` are their ids; each customer has a saved method of the `kind`.
        """
        shop = await till.shop()
        stage = cls(till, shop.context)
        await stage._fill(due, names or [new_id("sub") for _ in range(due)], kind, end)
        return stage

    async def _fill(self, due: int, names: list[str], kind: str, at: datetime | None) -> None:
        price_id = await self.price(AMOUNT)
        tenant_id = self.context.tenant_id
        end = at or datetime.now(UTC) - timedelta(hours=1)
        start = end - _MONTH
        customers = [new_id("cus") for _ in range(due)]
        methods = [new_id("pm") for _ in range(due)]
        async with self.engine.database.tenant(tenant_id) as session:
            sealed = [
                await self.engine.vault.seal(
                    session,
                    tenant_id,
                    "tok_visa",
                    table="payment_method",
                    row=name,
                    column="token_sealed",
                )
                for name in methods
            ]
            await session.execute(_CUSTOMERS, tenant_id, customers, start)
            await session.execute(_METHODS, tenant_id, methods, customers, sealed, start, kind)
            await session.execute(_SUBSCRIPTIONS, tenant_id, names, customers, start, end)
            items = [new_id("sit") for _ in names]
            await session.execute(_ITEMS, tenant_id, items, names, price_id, start)

    async def add(self, due: int) -> None:
        """So many more subscriptions that became due an hour ago."""
        await self._fill(due, [new_id("sub") for _ in range(due)], "card", None)

    async def price(self, amount: int) -> str:
        """A monthly price of a product of its own."""
        product = await self.engine.catalogue.create_product(
            self.context,
            CreateProduct(idempotency_key=key(), reference=key(), name="A thing"),
        )
        price = await self.engine.catalogue.create_price(
            self.context,
            CreatePrice(
                idempotency_key=key(),
                product_id=product.id,
                options={"EUR": {"model": "flat", "flat_amount": str(amount)}},
                interval_unit="month",
                interval_count=1,
            ),
        )
        return price.id

    async def rows(self, sql: str, *arguments: Any) -> list[Any]:
        """Rows of the tenant; `$1` is its id."""
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            return await session.fetch(sql, self.context.tenant_id, *arguments)

    async def write(self, sql: str, *arguments: Any) -> None:
        """A change; `$1` is the tenant's id."""
        async with self.engine.database.tenant(self.tenant_id) as session:
            await session.execute(sql, self.tenant_id, *arguments)

    async def invoices(self) -> list[Any]:
        """All invoices, in the order of their numbers."""
        return await self.rows(_INVOICES)

    async def poison(self) -> None:
        """Make every renewal of this tenant fail: only a defect writes such a zone."""
        await self.write("UPDATE subscription SET time_zone = 'Nowhere' WHERE tenant_id = $1")

    async def settle(self, *, rounds: int = 40) -> None:
        """Let time pass until nothing is left to be done: leases of the dead run out."""
        for _ in range(rounds):
            at = datetime.now(UTC) + timedelta(minutes=2)
            done = await self.engine.invoicing.renewals.run_once(at=at)
            await self.engine.reconciler.run_once(at=at)
            done += await self.engine.collection.collections.run_once(at=at)
            open_ones = await self.rows(
                "SELECT 1 FROM invoice WHERE tenant_id = $1 AND status = 'open' LIMIT 1"
            )
            if not done and not open_ones:
                return

    async def operation_sent(self) -> Any:
        """The operation that is under way; waits until there is one."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                found = await self.rows(_SENT)
                if found:
                    return found[0]
                await asyncio.sleep(0.005)

    async def standing(self, *, has_statement: bool = True) -> Standing:
        """What there is now, and what of it must not be.

        A provider without statement tells no charges: they are those that are recorded.
        """
        invoices = await self.rows(_INVOICES)
        payments = await self.rows(_PAYMENTS)
        charged = len(payments)
        if has_statement:
            movements = await Shop(self.till, self.context).movements()
            charged = sum(each.kind in ("authorize", "capture") for each in movements)
        ledger = await self.rows(
            "SELECT DISTINCT transaction_id FROM ledger_transfer WHERE tenant_id = $1"
        )
        return Standing(
            invoices=len(invoices),
            paid=sum(row["status"] == "paid" for row in invoices),
            provider_charges=charged,
            payments_recorded=sum(row["captured_minor"] > 0 for row in payments),
            ledger_transactions=len(ledger),
            broken=(*await self._broken(invoices, payments), *await self._verified()),
        )

    async def _broken(self, invoices: list[Any], payments: list[Any]) -> list[str]:
        broken = []
        names = Counter((row["subscription_id"], row["period_start"]) for row in invoices)
        broken += [f"{name} is invoiced {n} times" for name, n in names.items() if n > 1]
        numbers = [row["number"] for row in invoices]
        if numbers != list(range(1, len(numbers) + 1)):
            broken.append("the numbers have a gap")
        for row in invoices:
            document = msgspec.json.decode(row["document"])
            if sum(line["total"] for line in document["lines"]) != document["total"]:
                broken.append(f"{row['id']} is not the sum of its lines")
        own = Counter(
            row["idempotency_key"].rpartition("_a")[0]
            for row in payments
            if row["captured_minor"] > 0
        )
        broken += [f"{name} is paid {n} times" for name, n in own.items() if n > 1]
        broken += self._seams(invoices, await self.rows(_PERIODS))
        return broken

    def _seams(self, invoices: list[Any], subscriptions: list[Any]) -> list[str]:
        """Each period begins where the one before it ends, the present one too."""
        broken = []
        periods: dict[str, list[Any]] = {}
        for row in sorted(invoices, key=lambda each: each["period_start"]):
            periods.setdefault(row["subscription_id"], []).append(row)
        for name, own in periods.items():
            for left, right in pairwise(own):
                if left["period_end"] != right["period_start"]:
                    broken.append(f"the periods of {name} have a gap or overlap")
        for row in subscriptions:
            own = periods.get(row["id"], [])
            if own and (own[-1]["period_start"], own[-1]["period_end"]) != (
                row["period_start"],
                row["period_end"],
            ):
                broken.append(f"the present period of {row['id']} is not the one invoiced last")
        return broken

    async def _verified(self) -> list[str]:
        """The house's own checker: the ledger's trial balance is one of its rules."""
        report = await verify(self.engine, tenant_ids=[self.context.tenant_id])
        return [str(each) for each in report.broken]

    @property
    def tenant_id(self) -> uuid.UUID:
        """The tenant's name."""
        return self.context.tenant_id
