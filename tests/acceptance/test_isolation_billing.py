"""Billing keeps tenants apart on its own too, were the policies of the database gone.

Each test runs twice, as in `test_isolation_services`: as installed, and with a further policy on
every table that lets all rows through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest
from payengine.billing import Period
from payengine.billing.catalogue import Catalogue
from payengine.billing.invoices.models import (
    AdjustBalance,
    CreateCreditNote,
    CreateInvoice,
    CreditedLine,
    CreditNote,
    DeleteDraft,
    FinalizeInvoice,
    InvoiceItem,
    StoredInvoice,
    VoidInvoice,
    WriteOffInvoice,
)
from payengine.billing.invoices.profiles import SetBillingProfile
from payengine.billing.invoices.setting_store import UpdateBillingSettings
from payengine.billing.models import (
    ArchivePrice,
    ArchiveProduct,
    CatalogPrice,
    CreateMeter,
    CreatePrice,
    CreateProduct,
    Meter,
    Product,
    ToldUsage,
)
from payengine.billing.subscriptions.models import (
    ArchiveCoupon,
    CancelSubscription,
    ChangeSubscription,
    CreateCoupon,
    CreateSubscription,
    ItemEdit,
    PauseSubscription,
    ResumeSubscription,
    ScheduleSubscriptionChange,
    Subscription,
    WantedItem,
    WithdrawScheduledChange,
)
from payengine.billing.usage_log import UsageLog
from payengine.clock import FixedClock
from payengine.context import TenantContext
from payengine.errors import NotFound
from payengine.ids import new_id, new_tenant_id
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.acceptance.worlds import read_tables
from tests.conftest import make_tenant
from tests.core.billing.subscriptions.shops import SubscriptionShop, subscription_shop
from tests.debtors import Counter, open_counter
from tests.engines import key
from tests.servers import HomeOfTest, migrated_home

_NOW = datetime(2025, 6, 15, tzinfo=UTC)
_PERIOD = Period(start=_NOW - timedelta(days=1), end=_NOW + timedelta(days=1))


@pytest.fixture(scope="module")
async def own_home(servers: Any) -> AsyncIterator[HomeOfTest]:
    """Servers for these tests alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(scope="module")
async def own_database(own_home: HomeOfTest) -> AsyncIterator[Database]:
    """Their database."""
    opened = await Database.open(own_home.login_url)
    yield opened
    await opened.close()


@pytest.fixture(params=["with policies", "without policies"])
async def layer(request: pytest.FixtureRequest, own_home: HomeOfTest) -> AsyncIterator[str]:
    """Whether the policies hold or let everything through."""
    connection = await asyncpg.connect(own_home.owner_url)
    tables = [table.name for table in await read_tables(connection)]
    try:
        for table in tables if request.param == "without policies" else ():
            await connection.execute(f"CREATE POLICY opened ON {table} USING (true)")
        yield request.param
    finally:
        for table in tables:
            await connection.execute(f"DROP POLICY IF EXISTS opened ON {table}")
        await connection.close()


@dataclass
class World:
    """One tenant's catalogue, with an event of usage."""

    context: TenantContext
    product: Product
    meter: Meter
    price: CatalogPrice
    customer_id: str


@pytest.fixture
def catalogue(own_database: Database) -> Catalogue:
    """The catalogue of all tenants."""
    return Catalogue(database=own_database, clock=FixedClock(_NOW))


@pytest.fixture
def log(own_database: Database) -> UsageLog:
    """The usage of all tenants."""
    return UsageLog(database=own_database, clock=FixedClock(_NOW))


async def _world(database: Database, catalogue: Catalogue) -> World:
    context = await make_tenant(database)
    made = CreateProduct(idempotency_key="product", reference="plan", name="Plan")
    product = await catalogue.create_product(context, made)
    metered = CreateMeter(idempotency_key="meter", name="calls", formula="sum")
    meter = await catalogue.create_meter(context, metered)
    priced = CreatePrice(
        idempotency_key="price",
        product_id=product.id,
        options={"EUR": {"model": "per_unit", "unit_amount": "1"}},
        interval_unit="month",
        meter_id=meter.id,
    )
    price = await catalogue.create_price(context, priced)
    customer_id = new_id("cus")
    async with database.tenant(context.tenant_id) as session:
        await session.execute(
            "INSERT INTO customer (tenant_id, id, reference, metadata, created_at)"
            " VALUES ($1, $2, 'buyer', '{}', $3)",
            context.tenant_id,
            customer_id,
            _NOW,
        )
    return World(context, product, meter, price, customer_id)


def _event(world: World, value: int, **given: Any) -> ToldUsage:
    words: dict[str, Any] = {"customer_id": world.customer_id, "id": "one", "at": _NOW}
    return ToldUsage(meter="calls", value=Decimal(value), **(words | given))


async def test_the_catalogue_of_others_is_not_there(
    own_database: Database, catalogue: Catalogue, layer: str
) -> None:
    # Their keys, references and names are the same: neither tenant stands in the other's way.
    mine = await _world(own_database, catalogue)
    theirs = await _world(own_database, catalogue)
    context = mine.context
    assert await catalogue.products(context, first=10) == [mine.product]
    assert await catalogue.products_by_id(context, [theirs.product.id]) == {}
    assert await catalogue.meters_by_id(context, [theirs.meter.id]) == {}
    assert await catalogue.prices_by_id(context, [theirs.price.id]) == {}
    assert await catalogue.prices_of(context, [theirs.product.id]) == {}
    for product_id, meter_id in (
        (theirs.product.id, mine.meter.id),
        (mine.product.id, theirs.meter.id),
    ):
        request = CreatePrice(
            idempotency_key=key(),
            product_id=product_id,
            options={"EUR": {"model": "flat", "flat_amount": "1"}},
            interval_unit="month",
            meter_id=meter_id,
        )
        with pytest.raises(NotFound):
            await catalogue.create_price(context, request)
    their_price = ArchivePrice(idempotency_key=key(), price_id=theirs.price.id)
    their_product = ArchiveProduct(idempotency_key=key(), product_id=theirs.product.id)
    with pytest.raises(NotFound):
        await catalogue.archive_price(context, their_price)
    with pytest.raises(NotFound):
        await catalogue.archive_product(context, their_product)
    assert await catalogue.products(theirs.context, first=10) == [theirs.product]
    assert await catalogue.prices_of(theirs.context, [theirs.product.id]) == {
        theirs.product.id: [theirs.price]
    }


async def test_the_usage_of_others_is_neither_seen_nor_added_to(
    own_database: Database, catalogue: Catalogue, log: UsageLog, layer: str
) -> None:
    mine = await _world(own_database, catalogue)
    theirs = await _world(own_database, catalogue)
    # The same meter's name and the same event's id are two events, with contents of their own.
    for world, value in ((mine, 3), (theirs, 4)):
        (receipt,) = await log.tell(world.context, [_event(world, value)])
        assert receipt.outcome == "accepted"
    foreign = _event(mine, 100, customer_id=theirs.customer_id, id="two")
    (receipt,) = await log.tell(mine.context, [foreign])
    assert receipt.code == "NOT_FOUND"
    for world, value in ((mine, 3), (theirs, 4)):
        quantity = await log.quantity(
            world.context, meter_id=world.meter.id, customer_id=world.customer_id, period=_PERIOD
        )
        assert quantity == value
    assert (
        await log.quantity(
            mine.context,
            meter_id=mine.meter.id,
            customer_id=theirs.customer_id,
            period=_PERIOD,
        )
        == 0
    )
    with pytest.raises(NotFound):
        await log.quantity(
            mine.context,
            meter_id=theirs.meter.id,
            customer_id=theirs.customer_id,
            period=_PERIOD,
        )


@pytest.fixture
def subscribing(own_database: Database, own_home: HomeOfTest) -> SubscriptionShop:
    """The subscriptions of all tenants."""
    vault = Vault(MasterKey(own_home.home / "master.key", may_create=True))
    nobody = TenantContext(new_tenant_id(), "test", "nobody", frozenset())
    return subscription_shop(own_database, vault, nobody, at=_NOW)


@dataclass
class Subscribed:
    """One tenant's subscription, coupon and change that waits."""

    world: World
    subscription: Subscription
    coupon_id: str
    change_id: str


async def _subscribed(
    database: Database, catalogue: Catalogue, shop: SubscriptionShop
) -> Subscribed:
    world = await _world(database, catalogue)
    context, room = world.context, shop.room
    made = await room.subscriptions.create(
        context,
        CreateSubscription(
            idempotency_key="subscription",
            customer_id=world.customer_id,
            currency="EUR",
            items=(WantedItem(price_id=world.price.id),),
        ),
    )
    coupon = await room.coupons.create(
        context, CreateCoupon(idempotency_key="coupon", code="TEN", percent_bps=1_000)
    )
    scheduled = ScheduleSubscriptionChange(
        idempotency_key="change", subscription_id=made.id, kind="cancel"
    )
    made = await room.subscriptions.schedule(context, scheduled)
    ((change,),) = (await room.reader.changes_of(context, [made.id])).values()
    return Subscribed(world, made, coupon.id, change.id)


async def test_the_subscriptions_of_others_are_neither_seen_nor_touched(
    own_database: Database, catalogue: Catalogue, subscribing: SubscriptionShop, layer: str
) -> None:
    mine = await _subscribed(own_database, catalogue, subscribing)
    theirs = await _subscribed(own_database, catalogue, subscribing)
    room, context = subscribing.room, mine.world.context
    name = theirs.subscription.id
    assert await room.reader.by_id(context, [name]) == {}
    assert await room.reader.page(context, first=10) == [mine.subscription]
    assert await room.reader.page(context, first=10, customer_id=theirs.world.customer_id) == []
    assert await room.reader.items_of(context, [name]) == {}
    assert await room.reader.changes_of(context, [name]) == {}
    assert await room.coupons.by_id(context, [theirs.coupon_id]) == {}
    assert len(await room.coupons.page(context, first=10)) == 1
    words: dict[str, Any] = {"idempotency_key": key(), "subscription_id": name}
    own: dict[str, Any] = {"idempotency_key": key(), "subscription_id": mine.subscription.id}
    wanted = CreateSubscription(
        idempotency_key=key(),
        customer_id=mine.world.customer_id,
        currency="EUR",
        items=(WantedItem(price_id=mine.world.price.id),),
    )
    foreign = (
        msgspec.structs.replace(wanted, customer_id=theirs.world.customer_id),
        msgspec.structs.replace(wanted, items=(WantedItem(price_id=theirs.world.price.id),)),
        msgspec.structs.replace(wanted, coupons=(theirs.coupon_id,)),
    )
    changes = (
        ChangeSubscription(**words),
        ChangeSubscription(**own, coupons=(theirs.coupon_id,)),
        ChangeSubscription(**own, items=(ItemEdit(price_id=theirs.world.price.id),)),
        CancelSubscription(**words),
        PauseSubscription(**words),
        ResumeSubscription(**words),
    )
    service = room.subscriptions
    doings: list[Any] = [service.create(context, each) for each in foreign]
    doings += [room.previews.creation(context, each) for each in foreign]
    doings += [room.previews.change(context, each) for each in changes]
    doings += [service.change(context, each) for each in changes[:3]]
    doings += [
        service.cancel(context, CancelSubscription(**words)),
        service.pause(context, PauseSubscription(**words)),
        service.resume(context, ResumeSubscription(**words)),
        service.schedule(context, ScheduleSubscriptionChange(**words)),
        room.previews.upcoming(context, name),
        service.withdraw(
            context,
            WithdrawScheduledChange(idempotency_key=key(), scheduled_change_id=theirs.change_id),
        ),
        room.coupons.archive(
            context, ArchiveCoupon(idempotency_key=key(), coupon_id=theirs.coupon_id)
        ),
    ]
    for doing in doings:
        with pytest.raises(NotFound):
            await doing
    for each in (mine, theirs):
        found = await room.reader.by_id(each.world.context, [each.subscription.id])
        assert found == {each.subscription.id: each.subscription}


@pytest.fixture(scope="module")
async def own_counter(own_home: HomeOfTest, own_database: Database) -> AsyncIterator[Counter]:
    """The rooms of invoices, as the engine makes them."""
    async with open_counter(own_home) as opened:
        yield opened


@dataclass
class Billed:
    """One tenant's invoices, credit note, balance and billing details."""

    world: World
    draft: StoredInvoice
    final: StoredInvoice
    note: CreditNote


def _draft_of(customer_id: str, **given: Any) -> CreateInvoice:
    words: dict[str, Any] = {"idempotency_key": key(), "customer_id": customer_id}
    line = InvoiceItem(amount=1_000, description="work")
    return CreateInvoice(**words, currency="EUR", lines=(msgspec.structs.replace(line, **given),))


async def _billed(counter: Counter, catalogue: Catalogue, database: Database) -> Billed:
    world = await _world(database, catalogue)
    room, context = counter.engine.invoicing, world.context
    draft = await room.invoices.create(context, _draft_of(world.customer_id))
    other = await room.invoices.create(context, _draft_of(world.customer_id))
    final = await room.invoices.finalize(
        context, FinalizeInvoice(idempotency_key=key(), invoice_id=other.id)
    )
    part = (CreditedLine(place=0, net="100"),)
    note = await room.credit_notes.create(
        context,
        CreateCreditNote(idempotency_key=key(), invoice_id=final.id, reason="late", lines=part),
    )
    await room.balances.adjust(context, _adjust(world.customer_id))
    profile = SetBillingProfile(
        idempotency_key=key(), customer_id=world.customer_id, country="DE", address=("Weg 1",)
    )
    await room.profiles.set(context, profile)
    await room.settings.update(
        context, UpdateBillingSettings(idempotency_key=key(), document={"footer": draft.id})
    )
    return Billed(world, draft, (await room.invoices.by_id(context, [final.id]))[final.id], note)


def _adjust(customer_id: str) -> AdjustBalance:
    return AdjustBalance(
        idempotency_key=key(), customer_id=customer_id, currency="EUR", amount=500, reason="gift"
    )


async def test_the_invoices_of_others_are_neither_seen_nor_touched(
    own_counter: Counter, catalogue: Catalogue, own_database: Database, layer: str
) -> None:
    mine = await _billed(own_counter, catalogue, own_database)
    theirs = await _billed(own_counter, catalogue, own_database)
    room, context = own_counter.engine.invoicing, mine.world.context
    invoices, notes, name = room.invoices, room.credit_notes, theirs.final.id
    customer = theirs.world.customer_id
    # Both have the same numbers: each tenant counts for itself.
    assert (mine.final.number, mine.note.number) == (theirs.final.number, theirs.note.number)
    assert await invoices.by_id(context, [name, theirs.draft.id]) == {}
    assert await invoices.page(context, first=10) == [mine.final, mine.draft]
    assert await invoices.page(context, first=10, customer_id=customer) == []
    assert await notes.by_id(context, [theirs.note.id]) == {}
    assert await notes.of(context, [name]) == {}
    assert await room.balances.of(context, [customer]) == {}
    assert await room.balances.entries(context, customer, first=10) == []
    assert await room.profiles.of(context, [customer]) == {}
    assert (await room.settings.get(context)).footer == mine.draft.id
    words: dict[str, Any] = {"idempotency_key": key(), "invoice_id": name}
    draft: dict[str, Any] = {"idempotency_key": key(), "invoice_id": theirs.draft.id}
    own = mine.world.customer_id
    doings: list[Any] = [
        invoices.create(context, _draft_of(customer)),
        invoices.create(context, _draft_of(own, product_id=theirs.world.product.id)),
        invoices.finalize(context, FinalizeInvoice(**draft)),
        invoices.delete_draft(context, DeleteDraft(**draft)),
        invoices.void(context, VoidInvoice(**words)),
        invoices.write_off(context, WriteOffInvoice(**words)),
        notes.create(context, CreateCreditNote(**words, reason="mine")),
        room.balances.adjust(context, _adjust(customer)),
        room.profiles.set(
            context, SetBillingProfile(idempotency_key=key(), customer_id=customer, country="FR")
        ),
        room.papers.pdf(context, name),
    ]
    for doing in doings:
        with pytest.raises(NotFound):
            await doing
    for each in (mine, theirs):
        known = [each.draft.id, each.final.id]
        assert await invoices.by_id(each.world.context, known) == {
            each.draft.id: each.draft,
            each.final.id: each.final,
        }
        found = await room.balances.of(each.world.context, [each.world.customer_id])
        assert found == {each.world.customer_id: {"EUR": 500}}
