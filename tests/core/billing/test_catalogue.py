"""Are products and prices kept as they were made, once for each key?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from payengine.billing import Grant
from payengine.billing.catalogue import Catalogue, features_of, price_of
from payengine.billing.models import (
    ArchivePrice,
    ArchiveProduct,
    CatalogPrice,
    CreateMeter,
    CreatePrice,
    CreateProduct,
    Meter,
    Product,
)
from payengine.clock import SystemClock
from payengine.context import TenantContext
from payengine.errors import (
    Conflict,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    PermissionDenied,
)
from payengine.ids import new_id
from payengine.storage import Database

from tests.engines import key

_PER_UNIT = {"model": "per_unit", "unit_amount": "0.06"}


@pytest.fixture
def catalogue(database: Database) -> Catalogue:
    """The catalogue on the wall's time."""
    return Catalogue(database=database, clock=SystemClock())


async def _product(catalogue: Catalogue, context: TenantContext, **given: Any) -> Product:
    words = {"idempotency_key": key(), "reference": key(), "name": "Plan"} | given
    return await catalogue.create_product(context, CreateProduct(**words))


async def _meter(catalogue: Catalogue, context: TenantContext, **given: Any) -> Meter:
    words = {"idempotency_key": key(), "name": key(), "formula": "sum"} | given
    return await catalogue.create_meter(context, CreateMeter(**words))


async def _price(
    catalogue: Catalogue, context: TenantContext, product_id: str, **given: Any
) -> CatalogPrice:
    words = {"idempotency_key": key(), "product_id": product_id, "options": {"EUR": _PER_UNIT}}
    return await catalogue.create_price(context, CreatePrice(**(words | given)))


async def test_a_product_is_read_as_it_was_made(
    catalogue: Catalogue, tenant: TenantContext
) -> None:
    features = {"export": {}, "seats": {"limit": 5, "perUnit": True}}
    made = await _product(catalogue, tenant, features=features, metadata={"line": "1"})
    assert (await catalogue.products_by_id(tenant, [made.id])) == {made.id: made}
    assert features_of(made.features) == (
        Grant(feature="export"),
        Grant(feature="seats", limit=5, per_unit=True),
    )


async def test_products_are_paged_newest_first(catalogue: Catalogue, tenant: TenantContext) -> None:
    made = [(await _product(catalogue, tenant)).id for _ in range(3)]
    page = await catalogue.products(tenant, first=1)
    assert [each.id for each in page] == sorted(made, reverse=True)[:2]
    rest = await catalogue.products(tenant, first=10, after=page[0].id)
    assert [each.id for each in rest] == sorted(made, reverse=True)[1:]


async def test_a_key_makes_one_product_and_a_reference_is_one_products(
    catalogue: Catalogue, tenant: TenantContext
) -> None:
    words = {"idempotency_key": key(), "reference": "basic"}
    made = await _product(catalogue, tenant, **words)
    assert await _product(catalogue, tenant, **words) == made
    with pytest.raises(IdempotencyConflict):
        await _product(catalogue, tenant, **words, name="Another")
    with pytest.raises(Conflict):
        await _product(catalogue, tenant, reference="basic")


async def test_a_price_computes_what_was_saved(catalogue: Catalogue, tenant: TenantContext) -> None:
    product, meter = await _product(catalogue, tenant), await _meter(catalogue, tenant)
    tiers = {"model": "graduated", "tiers": [{"up_to": 10, "unit_amount": "5"}, {"flat_amount": 7}]}
    made = await _price(
        catalogue,
        tenant,
        product.id,
        options={"EUR": _PER_UNIT, "KWD": tiers},
        interval_unit="month",
        meter_id=meter.id,
    )
    kept = (await catalogue.prices_by_id(tenant, [made.id]))[made.id]
    assert kept == made
    assert (made.interval_unit, made.interval_count, made.meter_id) == ("month", 1, meter.id)
    price = price_of(kept)
    assert price.metered
    assert price.amount_minor(Decimal(1_430), currency="EUR") == 86
    assert price.amount_minor(11, currency="KWD") == 57
    assert await catalogue.prices_of(tenant, [product.id]) == {product.id: [made]}


async def test_an_archived_price_stays_and_an_archived_product_gets_no_new_one(
    catalogue: Catalogue, tenant: TenantContext
) -> None:
    product = await _product(catalogue, tenant)
    price = await _price(catalogue, tenant, product.id)
    archive = ArchivePrice(idempotency_key=key(), price_id=price.id)
    archived = await catalogue.archive_price(tenant, archive)
    assert archived.archived_at is not None
    assert await catalogue.archive_price(tenant, archive) == archived
    again = ArchivePrice(idempotency_key=key(), price_id=price.id)
    assert await catalogue.archive_price(tenant, again) == archived
    await catalogue.archive_product(
        tenant, ArchiveProduct(idempotency_key=key(), product_id=product.id)
    )
    with pytest.raises(Conflict):
        await _price(catalogue, tenant, product.id)
    assert await catalogue.prices_of(tenant, [product.id]) == {product.id: [archived]}


async def test_the_app_cannot_change_a_price_or_a_meter(
    catalogue: Catalogue, tenant: TenantContext, database: Database
) -> None:
    product = await _product(catalogue, tenant)
    await _price(catalogue, tenant, product.id)
    for sql in (
        "UPDATE price SET options = '{}'",
        "DELETE FROM price",
        "UPDATE meter SET formula = 'max'",
        "UPDATE usage_event SET value = '0'",
        "DELETE FROM usage_event",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.tenant(tenant.tenant_id) as session:
                await session.execute(sql)


@pytest.mark.parametrize(
    "given",
    [
        {"options": {}},
        {"options": {"XXL": _PER_UNIT}},
        {"options": {"EUR": {"model": "auction"}}},
        {"options": {"EUR": "5"}},
        {"interval_unit": "hour"},
        {"interval_unit": "month", "interval_count": 0},
        {"interval_count": 1},
        {"meter_id": new_id("mtr")},
        {"meter_id": "x", "interval_unit": "month"},
        {"tax_behavior": "maybe"},
        {"product_id": "prd_1"},
    ],
)
async def test_a_price_that_cannot_be_is_refused(
    catalogue: Catalogue, tenant: TenantContext, given: dict[str, Any]
) -> None:
    product = await _product(catalogue, tenant)
    with pytest.raises(InputInvalid):
        await _price(catalogue, tenant, **({"product_id": product.id} | given))
    assert await catalogue.prices_of(tenant, [product.id]) == {}


@pytest.mark.parametrize(
    "given",
    [
        {"name": " "},
        {"reference": ""},
        {"features": {"seats": 5}},
        {"features": {"seats": {"limit": 1.5}}},
        {"features": {"seats": {"limit": -1}}},
        {"features": {"seats": {"most": 1}}},
        {"features": {"seats": {"perUnit": 1}}},
        {"features": {"": {}}},
    ],
)
async def test_a_product_that_cannot_be_is_refused(
    catalogue: Catalogue, tenant: TenantContext, given: dict[str, Any]
) -> None:
    with pytest.raises(InputInvalid):
        await _product(catalogue, tenant, **given)
    assert await catalogue.products(tenant, first=10) == []


async def test_a_meter_has_a_name_of_its_own(catalogue: Catalogue, tenant: TenantContext) -> None:
    made = await _meter(catalogue, tenant, name="calls", formula="max", late_policy="reject")
    assert await catalogue.meters_by_id(tenant, [made.id]) == {made.id: made}
    with pytest.raises(Conflict):
        await _meter(catalogue, tenant, name="calls")
    for bad in ({"formula": "median"}, {"late_policy": "never"}, {"name": "a\u200b"}):
        with pytest.raises(InputInvalid):
            await _meter(catalogue, tenant, **bad)


async def test_what_is_another_tenants_is_not_there(
    catalogue: Catalogue, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    product, meter = await _product(catalogue, tenant), await _meter(catalogue, tenant)
    price = await _price(catalogue, tenant, product.id)
    own = await _product(catalogue, other_tenant, reference=product.reference)
    assert [each.id for each in await catalogue.products(other_tenant, first=10)] == [own.id]
    assert await catalogue.products_by_id(other_tenant, [product.id]) == {}
    assert await catalogue.prices_by_id(other_tenant, [price.id]) == {}
    assert await catalogue.prices_of(other_tenant, [product.id]) == {}
    assert await catalogue.meters_by_id(other_tenant, [meter.id]) == {}
    with pytest.raises(NotFound):
        await _price(catalogue, other_tenant, product.id)
    with pytest.raises(NotFound):
        await _price(catalogue, other_tenant, own.id, meter_id=meter.id, interval_unit="month")
    with pytest.raises(NotFound):
        await catalogue.archive_price(
            other_tenant, ArchivePrice(idempotency_key=key(), price_id=price.id)
        )
    with pytest.raises(NotFound):
        await catalogue.archive_product(
            other_tenant, ArchiveProduct(idempotency_key=key(), product_id=product.id)
        )


async def test_reading_and_writing_need_their_scopes(
    catalogue: Catalogue, tenant: TenantContext
) -> None:
    reader = TenantContext(tenant.tenant_id, "test", "reader", frozenset({"billing:read"}))
    assert await catalogue.products(reader, first=1) == []
    with pytest.raises(PermissionDenied):
        await _product(catalogue, reader)
    writer = TenantContext(tenant.tenant_id, "test", "writer", frozenset({"billing:write"}))
    await _product(catalogue, writer)
    with pytest.raises(PermissionDenied):
        await catalogue.products(writer, first=1)
