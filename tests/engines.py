"""Where do the payments of these tests happen?

On a PostgreSQL of their own: no other test's loops pick up what is due, and a planted fault may
take a constraint away. The sandbox's books lie in the session's home, one account for each tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.engine import Engine, open_engine
from payengine.invariants import verify
from payengine.payments import (
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    Evidence,
    IncrementAuthorization,
    MethodInput,
    Operation,
    Payment,
    PaymentResult,
    RefundPayment,
    VoidPayment,
)
from payengine.payments.fold import Folded, fold
from payengine.plugin import Movement
from payengine.settings import Settings

from tests.conftest import Servers, make_tenant
from tests.servers import HomeOfTest, migrated_home

__all__ = ["ShiftedClock", "Shop", "Till", "key", "open_till"]

_SHIFT: ContextVar[timedelta] = ContextVar("shift", default=timedelta())
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


class ShiftedClock:
    """Wall time, shifted for whoever runs inside `later`."""

    def now(self, tenant_id: uuid.UUID) -> datetime:
        """The shifted instant."""
        return datetime.now(UTC) + _SHIFT.get()

    @contextmanager
    def later(self, by: timedelta) -> Iterator[datetime]:
        """Inside, and in the tasks begun there, it is `by` later; gives the instant."""
        token = _SHIFT.set(by)
        try:
            yield datetime.now(UTC) + by
        finally:
            _SHIFT.reset(token)


def key() -> str:
    """A new idempotency key; letters, so that none looks like a card number."""
    return "k" + "".join(chr(ord("a") + digit % 26) for digit in uuid.uuid4().bytes)


@dataclass(frozen=True)
class Till:
    """An engine, its clock and the database behind it."""

    engine: Engine
    clock: ShiftedClock
    home: HomeOfTest

    async def shop(self) -> Shop:
        """A new tenant that sells something."""
        return Shop(self, await make_tenant(self.engine.database))

    @asynccontextmanager
    async def as_owner(self, tenant_id: uuid.UUID | None = None) -> AsyncIterator[Any]:
        """A connection of the owner, within the tenant's scope where one is given."""
        connection = await asyncpg.connect(self.home.owner_url)
        try:
            if tenant_id is not None:
                await connection.execute(f"SET app.tenant_id = '{tenant_id}'")
            yield connection
        finally:
            await connection.close()


@dataclass(frozen=True)
class Shop:
    """One tenant at a till: the mutations with few words, and what became of them."""

    till: Till
    context: TenantContext

    @property
    def engine(self) -> Engine:
        """The engine that serves this shop."""
        return self.till.engine

    def at(self, till: Till) -> Shop:
        """The same tenant, served by another engine."""
        return Shop(till, self.context)

    async def pay(
        self, amount: int = 1_000, token: str | None = "tok_visa", **given: Any
    ) -> PaymentResult:
        """A new payment; AUTOMATIC in EUR unless `given` says otherwise."""
        method = MethodInput(token=token) if token is not None else None
        fields = {"idempotency_key": key(), "currency": "EUR", "payment_method": method} | given
        request = CreatePayment(amount_minor=amount, **fields)
        return await self.engine.payments.create(self.context, request)

    async def hold(self, amount: int = 1_000, **given: Any) -> Payment:
        """A payment that is AUTHORIZED."""
        held = await self.pay(amount, capture_method="MANUAL", **given)
        assert held.payment.status == "AUTHORIZED", held
        return held.payment

    async def charge(self, amount: int = 1_000, **given: Any) -> Payment:
        """A payment that is CAPTURED."""
        charged = await self.pay(amount, **given)
        assert charged.payment.status == "CAPTURED", charged
        return charged.payment

    async def confirm(
        self, payment_id: str, token: str | None = None, **given: Any
    ) -> PaymentResult:
        """Go on, with another token or without."""
        method = MethodInput(token=token) if token is not None else None
        fields = {"idempotency_key": key(), "payment_method": method} | given
        return await self.engine.payments.confirm(
            self.context, ConfirmPayment(payment_id=payment_id, **fields)
        )

    async def capture(
        self, payment_id: str, amount: int | None = None, **given: Any
    ) -> PaymentResult:
        """Capture all or a part."""
        fields = {"idempotency_key": key()} | given
        return await self.engine.payments.capture(
            self.context, CapturePayment(payment_id=payment_id, amount_minor=amount, **fields)
        )

    async def void(self, payment_id: str, **given: Any) -> PaymentResult:
        """Void what is held."""
        fields = {"idempotency_key": key()} | given
        return await self.engine.payments.void(
            self.context, VoidPayment(payment_id=payment_id, **fields)
        )

    async def refund(
        self, payment_id: str, amount: int | None = None, **given: Any
    ) -> PaymentResult:
        """Refund all or a part."""
        fields = {"idempotency_key": key()} | given
        return await self.engine.payments.refund(
            self.context, RefundPayment(payment_id=payment_id, amount_minor=amount, **fields)
        )

    async def increment(self, payment_id: str, amount: int, **given: Any) -> PaymentResult:
        """Raise what is held."""
        fields = {"idempotency_key": key()} | given
        return await self.engine.payments.increment(
            self.context,
            IncrementAuthorization(payment_id=payment_id, amount_minor=amount, **fields),
        )

    async def payment(self, payment_id: str) -> Payment:
        """The row as it stands."""
        return (await self.engine.payments.get_many(self.context, [payment_id]))[payment_id]

    async def operations(self, payment_id: str) -> list[Operation]:
        """The payment's operations."""
        found = await self.engine.payments.operations_of(self.context, [payment_id])
        return found.get(payment_id, [])

    async def evidence(self, operation_id: str) -> list[Evidence]:
        """Why the operation's outcome is believed."""
        found = await self.engine.payments.evidence_of(self.context, [operation_id])
        return found.get(operation_id, [])

    async def movements(self) -> list[Movement]:
        """The sandbox's own books of this shop."""
        return list(
            await self.engine.registry.movements(
                self.context,
                "sandbox",
                since=_ALWAYS,
                until=datetime.now(UTC) + timedelta(days=1),
                deadline_ms=10_000,
            )
        )

    async def booked(self, payment_id: str) -> tuple[int, int]:
        """What the ledger has of the payment: (net owed to the merchant, still reserved)."""
        lines = await self.engine.ledger.transfers_of(self.context, payment_id)
        ended = {(line.pending_transaction_id, line.pending_line) for line in lines}
        owed = reserved = 0
        for line in lines:
            if line.phase in ("posted", "post"):
                credited = line.credit_account == "merchant_payable:main"
                debited = line.debit_account == "merchant_payable:main"
                owed += (credited - debited) * line.amount_minor
            if line.phase == "pending" and (line.transaction_id, line.line) not in ended:
                reserved += line.amount_minor
        return owed, reserved

    async def check_books(self, payment_id: str) -> Payment:
        """The payment, after its row and its operations have been compared."""
        payment = await self.payment(payment_id)
        folded = fold(await self.operations(payment_id))
        row = Folded(**{name: getattr(payment, name) for name in Folded.__struct_fields__})
        assert row == folded
        return payment

    async def check(self, payment_id: str) -> Payment:
        """The payment, after its row, its operations and the ledger have been compared."""
        payment = await self.check_books(payment_id)
        held = payment.authorized_minor - payment.captured_minor - payment.voided_minor
        owed = payment.captured_minor - payment.refunded_minor - payment.refund_reserved_minor
        owed -= payment.charged_back_minor
        assert await self.booked(payment_id) == (owed, max(held, 0))
        return payment

    async def assert_sound(self) -> None:
        """Every invariant of this shop holds."""
        report = await verify(self.engine, tenant_ids=[self.context.tenant_id])
        assert report.ok, report.broken

    async def rows(self) -> dict[str, int]:
        """How many rows the tenant has in each table that it may write."""
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            return {
                table: await session.fetchval(
                    f"SELECT count(*) FROM {table} WHERE tenant_id = $1", self.context.tenant_id
                )
                for table in _TABLES
            }

    async def look(self, *, after: timedelta = timedelta(minutes=1)) -> int:
        """Let the reconciler look at what is due by then."""
        return await self.engine.reconciler.run_once(at=datetime.now(UTC) + after)


_TABLES = (
    "attempt",
    "customer",
    "data_key",
    "event",
    "evidence",
    "idempotency_key",
    "ledger_rollup",
    "ledger_tail",
    "ledger_transfer",
    "operation",
    "payment",
    "payment_method",
    "plugin_setting",
)


@asynccontextmanager
async def open_till(
    home: HomeOfTest,
    *,
    background: bool = False,
    plugins: Mapping[str, object] | None = None,
    **more: Any,
) -> AsyncIterator[Till]:
    """An engine on `home`'s database with a clock that can be shifted."""
    clock = ShiftedClock()
    settings = Settings.from_environment({}, home=home.home, **more)
    async with open_engine(
        settings,
        login_url=home.login_url,
        clock=clock,
        background=background,
        plugins=plugins,
    ) as engine:
        yield Till(engine, clock, home)


@pytest.fixture(scope="session")
async def payment_home(servers: Servers) -> AsyncIterator[HomeOfTest]:
    """A migrated PostgreSQL for payments alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(scope="session")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine whose loops stand still."""
    async with open_till(payment_home) as opened:
        yield opened


@pytest.fixture(scope="session")
async def hasty(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine that waits a second for a gateway; its loops stand still."""
    async with open_till(payment_home, gateway_deadline_ms=1_000) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    """A fresh tenant at the till."""
    return await till.shop()


@pytest.fixture
async def other_shop(till: Till) -> Shop:
    """Another tenant."""
    return await till.shop()
