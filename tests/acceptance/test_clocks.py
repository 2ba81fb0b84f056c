"""A year passes in a test world in seconds, and in no other: with the real loops and charges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from payengine.billing.clocked import AdvanceTestClock, CreateTestClock, TestClock
from payengine.billing.models import CreatePrice, CreateProduct
from payengine.billing.subscriptions.models import (
    CreateSubscription,
    ScheduleSubscriptionChange,
    Subscription,
    WantedItem,
)
from payengine.context import TenantContext
from payengine.customers import CreateCustomer, SavePaymentMethod
from payengine.engine import Engine, open_engine
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.settings import Settings

from tests.bazaar import Bazaar, escrow, rest
from tests.conftest import make_tenant
from tests.engines import Shop, key
from tests.servers import HomeOfTest, migrated_home

_START = datetime(2025, 1, 31, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
async def own_home(servers: Any) -> AsyncIterator[HomeOfTest]:
    """Servers for these tests alone, as their loops take up whatever is due."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(scope="module")
async def engine(own_home: HomeOfTest) -> AsyncIterator[Engine]:
    """An engine as it is served: with its loops, and the time of the wall and the clocks."""
    settings = Settings.from_environment({}, home=own_home.home)
    async with open_engine(settings, login_url=own_home.login_url, background=True) as opened:
        yield opened


async def _subscribed(
    engine: Engine, context: TenantContext, *, token: str = "tok_visa", **given: Any
) -> Subscription:
    """A monthly subscription at 10.00 EUR of a customer with a saved card."""
    customer = await engine.customers.create(context, CreateCustomer(idempotency_key=key()))
    method = await engine.customers.save_method(
        context,
        SavePaymentMethod(idempotency_key=key(), customer_id=customer.id, token=token),
    )
    product = await engine.catalogue.create_product(
        context, CreateProduct(idempotency_key=key(), reference=key(), name="Plan")
    )
    price = await engine.catalogue.create_price(
        context,
        CreatePrice(
            idempotency_key=key(),
            product_id=product.id,
            options={"EUR": {"model": "per_unit", "unit_amount": "1000"}},
            interval_unit="month",
        ),
    )
    words: dict[str, Any] = {
        "idempotency_key": key(),
        "customer_id": customer.id,
        "currency": "EUR",
        "items": (WantedItem(price_id=price.id, quantity=Decimal(1)),),
        "payment_method_id": method.id,
    }
    return await engine.subscribing.subscriptions.create(
        context, CreateSubscription(**(words | given))
    )


async def _clock(engine: Engine, at: datetime = _START) -> TenantContext:
    context = await make_tenant(engine.database)
    made = CreateTestClock(idempotency_key=key(), now_at=at)
    clock = await engine.test_clocks.create(context, made)
    assert (clock.status, clock.progress, clock.now_at) == ("ready", 100, at)
    return context


async def _advanced(engine: Engine, context: TenantContext, to: datetime) -> TestClock:
    await engine.test_clocks.advance(context, AdvanceTestClock(idempotency_key=key(), to=to))
    seen = -1
    async with asyncio.timeout(300):
        while True:
            clock = await engine.test_clocks.get(context)
            assert clock is not None
            assert clock.progress >= seen
            seen = clock.progress
            if clock.status == "ready":
                return clock
            await asyncio.sleep(0.05)


async def _read(engine: Engine, context: TenantContext, name: str) -> Subscription:
    return (await engine.subscribing.reader.by_id(context, [name]))[name]


async def _until(engine: Engine, context: TenantContext, name: str, status: str) -> Subscription:
    async with asyncio.timeout(240):
        while True:
            found = await _read(engine, context, name)
            if found.status == status:
                return found
            await asyncio.sleep(0.05)


async def _invoices(engine: Engine, context: TenantContext) -> list[Any]:
    async with engine.database.tenant(context.tenant_id) as session:
        return await session.fetch(
            "SELECT * FROM invoice WHERE tenant_id = $1 ORDER BY number", context.tenant_id
        )


async def test_a_year_of_a_monthly_subscription_passes_while_others_stand(engine: Engine) -> None:
    context = await _clock(engine)
    standing = await _clock(engine)
    elsewhere = await make_tenant(engine.database)
    mine = await _subscribed(engine, context)
    theirs = await _subscribed(engine, standing)
    walls = await _subscribed(engine, elsewhere)
    await _until(engine, context, mine.id, "active")
    others = [
        (standing, await _until(engine, standing, theirs.id, "active")),
        (elsewhere, await _until(engine, elsewhere, walls.id, "active")),
    ]
    clock = await _advanced(engine, context, _START + timedelta(days=365))
    assert engine.clock.now(context.tenant_id) == clock.now_at == _START + timedelta(days=365)
    invoices = await _invoices(engine, context)
    assert [each["number"] for each in invoices] == list(range(1, 14))
    assert {each["status"] for each in invoices} == {"paid"}
    assert [each["period_start"].day for each in invoices[:5]] == [31, 28, 31, 30, 31]
    for before, after in pairwise(invoices):
        assert before["period_end"] == after["period_start"] == after["created_at"]
    for other, before in others:
        assert await _read(engine, other, before.id) == before
        assert len(await _invoices(engine, other)) == 1
    assert engine.clock.now(standing.tenant_id) == _START
    assert abs(engine.clock.now(elsewhere.tenant_id) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_what_was_scheduled_and_unpaid_happens_in_its_order(engine: Engine) -> None:
    context = await _clock(engine)
    mine = await _subscribed(engine, context, token="tok_visa", trial_days=10)
    poor = await _subscribed(engine, context, token="tok_decline_insufficient_funds", trial_days=10)
    ends = _START + timedelta(days=60)
    await engine.subscribing.subscriptions.schedule(
        context,
        ScheduleSubscriptionChange(
            idempotency_key=key(), subscription_id=mine.id, kind="cancel", at=ends
        ),
    )
    await _advanced(engine, context, _START + timedelta(days=90))
    gone, dunned = await _read(engine, context, mine.id), await _read(engine, context, poor.id)
    assert (gone.status, gone.ended_at, gone.access) == ("canceled", ends, "ended")
    # Attempts 2, 5, 7 and 7 days apart from the end of the trial, and the end with the last.
    late = _START + timedelta(days=10 + 21)
    assert (dunned.status, dunned.access, dunned.ended_at) == ("canceled", "ended", late)
    paid = [each["status"] for each in await _invoices(engine, context)]
    assert paid.count("paid") == 2


async def test_a_renewal_that_fails_holds_up_no_clock_and_is_made_when_it_is_mended(
    engine: Engine,
) -> None:
    context = await _clock(engine)
    made = await _subscribed(engine, context)
    await _until(engine, context, made.id, "active")

    async def set_zone(name: str) -> None:  # only a defect writes another one than there are
        async with engine.database.tenant(context.tenant_id) as session:
            await session.execute(
                "UPDATE subscription SET time_zone = $2 WHERE tenant_id = $1",
                context.tenant_id,
                name,
            )

    await set_zone("Nowhere")
    to = _START + timedelta(days=120)
    clock = await _advanced(engine, context, to)
    assert (clock.status, clock.now_at) == ("ready", to)
    assert len(await _invoices(engine, context)) == 1
    async with engine.database.tenant(context.tenant_id) as session:
        failure = await session.fetchrow(
            "SELECT * FROM renewal_failure WHERE tenant_id = $1", context.tenant_id
        )
        told = await session.fetchval(
            "SELECT count(*) FROM event WHERE tenant_id = $1"
            " AND type = 'subscription.renewal_failed'",
            context.tenant_id,
        )
    assert failure is not None
    assert (failure["code"], failure["resolved_at"]) == ("INPUT_INVALID", None)
    assert told == failure["attempts"] < 12
    assert failure["retry_at"] > to
    await set_zone("UTC")
    await _advanced(engine, context, to)
    async with asyncio.timeout(240):
        while True:
            if len(await _invoices(engine, context)) == 5:
                break
            await asyncio.sleep(0.05)
    assert (await _read(engine, context, made.id)).period_end > to


async def test_what_a_clock_refuses(engine: Engine) -> None:
    context = await _clock(engine)
    again = CreateTestClock(idempotency_key=key(), now_at=_START)
    with pytest.raises(Conflict):
        await engine.test_clocks.create(context, again)
    for to in (_START - timedelta(seconds=1), _START + timedelta(days=4_000)):
        with pytest.raises(InputInvalid):
            await engine.test_clocks.advance(
                context, AdvanceTestClock(idempotency_key=key(), to=to)
            )
    live = await make_tenant(engine.database, mode="live")
    with pytest.raises(Conflict):
        await engine.test_clocks.create(live, again)
    other = await make_tenant(engine.database)
    with pytest.raises(NotFound):
        await engine.test_clocks.advance(other, AdvanceTestClock(idempotency_key=key(), to=_START))
    assert await engine.test_clocks.get(other) is None


async def test_another_process_tells_the_same_time(engine: Engine, own_home: HomeOfTest) -> None:
    context = await _clock(engine)
    settings = Settings.from_environment({}, home=own_home.home)
    async with open_engine(settings, login_url=own_home.login_url, background=False) as other:
        assert other.clock.now(context.tenant_id) == _START
        to = _START + timedelta(days=1)
        await _advanced(engine, context, to)
        async with asyncio.timeout(240):
            while True:
                if other.clock.now(context.tenant_id) == to:
                    break
                await asyncio.sleep(0.05)


async def test_a_clock_lets_escrow_run_out(engine: Engine) -> None:
    context = await _clock(engine)
    till: Any = SimpleNamespace(engine=engine)
    bazaar = Bazaar(Shop(till, context))
    vendor = await bazaar.vendor()
    paid = await bazaar.sell(1_000, rest(vendor), escrow=escrow("delivered", timeout_days=5))
    await _advanced(engine, context, _START + timedelta(days=4))
    assert (await bazaar.escrow(paid)).status == "held"
    await _advanced(engine, context, _START + timedelta(days=6))
    assert (await bazaar.escrow(paid)).status == "released"
    assert (await bazaar.standing(vendor)).available_minor == 1_000
