"""Who owes money in these tests?

A customer with a subscription and invoices, written as the rooms above write them, in a shop whose
clock stands where the test puts it. Each shop has a hand of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from payengine.billing.collection.begin import Begin, begin
from payengine.billing.collection.rows import ChargeRow, charges_of, lock, state_of
from payengine.billing.collection.service import next_due
from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.dunning_state import DunningState
from payengine.billing.dunning_words import CollectionKind
from payengine.context import TenantContext
from payengine.customers import CreateCustomer, DetachPaymentMethod, SavePaymentMethod
from payengine.engine import Engine, open_engine
from payengine.ids import new_id
from payengine.plugin import Movement
from payengine.settings import Settings
from payengine.storage import Session

from tests.conftest import make_tenant
from tests.engines import key
from tests.servers import HomeOfTest

__all__ = [
    "T0",
    "Counter",
    "Debtor",
    "HandClock",
    "counter",
    "insert_invoice",
    "insert_subscription",
    "open_counter",
]

T0 = datetime(2025, 6, 1, 8, tzinfo=UTC)
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)

_SUBSCRIPTION = """
    INSERT INTO subscription (tenant_id, id, customer_id, currency, status, access, anchor,
        interval_unit, interval_count, time_zone, period_start, period_end, cancel_at_period_end,
        pause_at_period_end, coupons, phases, proration_mode, metadata, version, created_at)
    VALUES ($1, $2, $3, 'EUR', $4, $5, $6, 'month', 1, 'UTC', $6, $7, false, false, '[]', '[]',
        'second', '{}', 1, $6)
"""
_INVOICE = """
    INSERT INTO invoice (tenant_id, id, number, customer_id, subscription_id, period_start,
        reason, status, currency, total, amount_due, amount_paid, amount_credited, document, hash,
        version, created_at, finalized_at)
    VALUES ($1, $2, (SELECT coalesce(max(number), 0) + 1 FROM invoice WHERE tenant_id = $1), $3,
        $4, $5, $6, 'open', 'EUR', $7, $7, 0, 0, '', '', 1, $5, $5)
"""
_REASONS: dict[CollectionKind, str] = {
    "first": "subscription_create",
    "renewal": "subscription_cycle",
    "usage": "usage_cycle",
}


async def insert_subscription(
    session: Session,
    tenant_id: uuid.UUID,
    subscription_id: str,
    customer_id: str,
    *,
    at: datetime,
    is_new: bool = False,
) -> None:
    """A subscription whose period is long; a new one waits for its first payment."""
    await session.execute(
        _SUBSCRIPTION,
        tenant_id,
        subscription_id,
        customer_id,
        "incomplete" if is_new else "active",
        "withheld" if is_new else "granted",
        at,
        at + timedelta(days=400),
    )


async def insert_invoice(
    session: Session,
    tenant_id: uuid.UUID,
    invoice_id: str,
    customer_id: str,
    subscription_id: str,
    *,
    at: datetime,
    amount: int,
    kind: CollectionKind = "renewal",
) -> None:
    """An open invoice over the amount."""
    await session.execute(
        _INVOICE,
        tenant_id,
        invoice_id,
        customer_id,
        subscription_id,
        at,
        _REASONS[kind],
        amount,
    )


class HandClock:
    """A clock with one hand for each tenant, which stands where it was put."""

    def __init__(self) -> None:
        self._hands: dict[uuid.UUID, datetime] = {}

    def now(self, tenant_id: uuid.UUID) -> datetime:
        """Where the tenant's hand stands; at the wall's instant before it was put anywhere."""
        return self._hands.get(tenant_id) or datetime.now(UTC)

    def put(self, tenant_id: uuid.UUID, at: datetime) -> None:
        """Put the tenant's hand."""
        self._hands[tenant_id] = at


@dataclass(frozen=True)
class Counter:
    """An engine that collects, whose loops stand still."""

    engine: Engine
    clock: HandClock
    home: HomeOfTest

    async def debtor(
        self,
        *tokens: str,
        kind: CollectionKind = "renewal",
        policy: DunningPolicy | None = None,
        amount: int = 5_000,
    ) -> Debtor:
        """A new shop's customer with these saved methods, the default first, who owes."""
        context = await make_tenant(self.engine.database)
        self.clock.put(context.tenant_id, T0)
        debtor = await self.customer_of(context, *tokens, kind=kind)
        await debtor.owe(amount, kind=kind, policy=policy)
        return debtor

    async def customer_of(
        self, context: TenantContext, *tokens: str, kind: CollectionKind = "renewal"
    ) -> Debtor:
        """A customer of the shop with a subscription, who owes nothing yet."""
        made = CreateCustomer(
            idempotency_key=key(), reference=key(), email="buyer@example.com", name="Ada Buyer"
        )
        customer = await self.engine.customers.create(context, made)
        debtor = Debtor(self, context, customer.id, new_id("sub"))
        for token in reversed(tokens):  # the newest is the default
            await debtor.save(token)
        debtor.methods.reverse()
        async with debtor.session() as session:
            await insert_subscription(
                session,
                context.tenant_id,
                debtor.subscription_id,
                customer.id,
                at=T0,
                is_new=kind == "first",
            )
        return debtor


@dataclass(frozen=True)
class Debtor:
    """A customer who owes, and what became of it."""

    counter: Counter
    context: TenantContext
    customer_id: str
    subscription_id: str
    methods: list[str] = field(default_factory=list)
    invoices: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        """The engine that collects."""
        return self.counter.engine

    @property
    def invoice_id(self) -> str:
        """The first invoice."""
        return self.invoices[0]

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A transaction of the shop's."""
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            yield session

    async def save(self, token: str, **given: Any) -> str:
        """Another saved method, which becomes the default."""
        saved = await self.engine.customers.save_method(
            self.context,
            SavePaymentMethod(
                idempotency_key=key(), customer_id=self.customer_id, token=token, **given
            ),
        )
        self.methods.append(saved.id)
        return saved.id

    async def detach(self, method_id: str) -> None:
        """The method is used no more."""
        request = DetachPaymentMethod(idempotency_key=key(), payment_method_id=method_id)
        await self.engine.customers.detach_method(self.context, request)

    async def set_billing(self, **document: Any) -> None:
        """The shop bills so from now on."""
        async with self.session() as session:
            await session.execute(
                "INSERT INTO billing_setting (tenant_id, version, document, actor, created_at)"
                " VALUES ($1, 1, $2, 'a test', $3)",
                self.context.tenant_id,
                document,
                self.now,
            )

    async def becomes(self, token: str, *, method: int = 0) -> None:
        """The card behind a saved method answers otherwise from now on."""
        method_id = self.methods[method]
        async with self.session() as session:
            sealed = await self.engine.vault.seal(
                session,
                self.context.tenant_id,
                token,
                table="payment_method",
                row=method_id,
                column="token_sealed",
            )
        await self.as_owner(
            "UPDATE payment_method SET token_sealed = $1 WHERE id = $2", sealed, method_id
        )

    async def as_owner(self, sql: str, *arguments: Any) -> None:
        """What no serving role may do."""
        connection = await asyncpg.connect(self.counter.home.owner_url)
        try:
            await connection.execute(f"SET app.tenant_id = '{self.context.tenant_id}'")
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()

    async def owe(
        self,
        amount: int = 5_000,
        *,
        kind: CollectionKind = "renewal",
        policy: DunningPolicy | None = None,
    ) -> str:
        """One more invoice, in collection from now on."""
        invoice_id = new_id("inv")
        at = self.now
        async with self.session() as session:
            await begin(
                session,
                self.context.tenant_id,
                [
                    Begin(
                        invoice_id=invoice_id,
                        customer_id=self.customer_id,
                        subscription_id=self.subscription_id,
                        kind=kind,
                    )
                ],
                policy=policy or DunningPolicy(),
                at=at,
            )
            await insert_invoice(
                session,
                self.context.tenant_id,
                invoice_id,
                self.customer_id,
                self.subscription_id,
                at=at + timedelta(microseconds=len(self.invoices)),
                amount=amount,
                kind=kind,
            )
        self.invoices.append(invoice_id)
        return invoice_id

    @property
    def now(self) -> datetime:
        """Where the shop's hand stands."""
        return self.counter.clock.now(self.context.tenant_id)

    async def collect(self, at: datetime | None = None) -> int:
        """Do what is due at the instant, or at the present one."""
        if at is not None:
            self.counter.clock.put(self.context.tenant_id, at)
        collections = self.engine.collection.collections
        return await collections.run_tenant(self.context.tenant_id, at=self.now)

    async def wait(self, until: datetime) -> None:
        """Go from due instant to due instant up to the one given."""
        while (due := await self.due()) is not None and due <= until:
            await self.collect(max(due, self.now))
        self.counter.clock.put(self.context.tenant_id, until)

    async def look(self, *, after: timedelta = timedelta(minutes=20)) -> int:
        """Let the poller look at what the wall's time makes due by then."""
        wall = datetime.now(UTC) + after
        return await self.engine.collection.collections.run_once(at=wall)

    async def due(self) -> datetime | None:
        """When something is due next."""
        async with self.session() as session:
            return await next_due(session, self.context.tenant_id)

    async def state(self, invoice: int = 0) -> DunningState:
        """What the machine keeps of an invoice."""
        async with self.session() as session:
            row = await lock(session, self.context.tenant_id, self.invoices[invoice])
        assert row is not None
        return state_of(row)

    async def charges(self, invoice: int = 0) -> list[ChargeRow]:
        """The invoice's charges."""
        invoice_id = self.invoices[invoice]
        async with self.session() as session:
            found = await charges_of(session, self.context.tenant_id, [invoice_id])
        return found.get(invoice_id, [])

    async def standing(self, invoice: int = 0) -> tuple[str, str, str]:
        """The subscription's status and access, and the invoice's status."""
        async with self.session() as session:
            row = await session.fetchrow(
                "SELECT subscription.status, access, invoice.status AS invoice"
                " FROM subscription JOIN invoice USING (tenant_id)"
                " WHERE tenant_id = $1 AND subscription.id = $2 AND invoice.id = $3",
                self.context.tenant_id,
                self.subscription_id,
                self.invoices[invoice],
            )
        assert row is not None
        return row["status"], row["access"], row["invoice"]

    async def events(self, *prefixes: str) -> list[str]:
        """The types of the shop's events, of billing alone unless asked otherwise."""
        wanted = prefixes or ("invoice.", "subscription.", "entitlement.")
        return [kind for kind, _ in await self.told(*wanted)]

    async def told(self, *prefixes: str) -> list[tuple[str, dict[str, Any]]]:
        """The shop's events with these types, and what they say."""
        async with self.session() as session:
            rows = await session.fetch(
                "SELECT type, data FROM event WHERE tenant_id = $1 ORDER BY seq",
                self.context.tenant_id,
            )
        return [(row["type"], row["data"]) for row in rows if row["type"].startswith(prefixes)]

    async def notices(self) -> list[tuple[int, str]]:
        """The charge and kind of each notice."""
        async with self.session() as session:
            rows = await session.fetch(
                "SELECT charge, kind FROM notice WHERE tenant_id = $1 ORDER BY id",
                self.context.tenant_id,
            )
        return [(row["charge"], row["kind"]) for row in rows]

    async def movements(self) -> Sequence[Movement]:
        """What the provider's own books say."""
        return await self.engine.registry.movements(
            self.context,
            "sandbox",
            since=_ALWAYS,
            until=datetime.now(UTC) + timedelta(days=1),
            deadline_ms=10_000,
        )


@asynccontextmanager
async def open_counter(
    home: HomeOfTest, *, plugins: Mapping[str, object] | None = None, **more: Any
) -> AsyncIterator[Counter]:
    """An engine on `home`'s database whose clock has a hand for each tenant."""
    clock = HandClock()
    settings = Settings.from_environment({}, home=home.home, **more)
    async with open_engine(
        settings, login_url=home.login_url, clock=clock, background=False, plugins=plugins
    ) as engine:
        yield Counter(engine, clock, home)


@pytest.fixture(scope="session")
async def counter(payment_home: HomeOfTest) -> AsyncIterator[Counter]:
    """Where debts are collected."""
    async with open_counter(payment_home, gateway_deadline_ms=1_000) as opened:
        yield opened
