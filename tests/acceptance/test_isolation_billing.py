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
import pytest
from payengine.billing import Period
from payengine.billing.catalogue import Catalogue
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
from payengine.billing.usage_log import UsageLog
from payengine.clock import FixedClock
from payengine.context import TenantContext
from payengine.errors import NotFound
from payengine.ids import new_id
from payengine.storage import Database

from tests.acceptance.worlds import read_tables
from tests.conftest import make_tenant
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
