"""What does the shop sell, and at which prices?

Products may be archived, prices too; nothing of a price is ever changed, so that an invoice of any
age can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import asyncpg
import msgspec

from payengine.billing.entitlements import Grant
from payengine.billing.models import (
    ArchivePrice,
    ArchiveProduct,
    CatalogPrice,
    CreateMeter,
    CreatePrice,
    CreateProduct,
    Meter,
    Product,
    TaxBehavior,
)
from payengine.billing.periods import Interval
from payengine.billing.pricing import Price, parse_model
from payengine.billing.usage import Formula, LatePolicy
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.storage import Database, Session
from payengine.storage.columns import Columns
from payengine.texts import check_id, check_metadata, check_text

__all__ = ["Catalogue", "features_of", "price_of"]

_MOST_FEATURES = 100
_MOST_CURRENCIES = 200

_PRODUCT = Columns(Product)
_METER = Columns(Meter)
_PRICE = Columns(CatalogPrice)

_INSERT_PRODUCT = f"""
    INSERT INTO product (tenant_id, {_PRODUCT.listed}) VALUES ($1, {_PRODUCT.parameters(2)})
"""
_INSERT_METER = f"""
    INSERT INTO meter (tenant_id, {_METER.listed}) VALUES ($1, {_METER.parameters(2)})
"""
_INSERT_PRICE = f"""
    INSERT INTO price (tenant_id, {_PRICE.listed}) VALUES ($1, {_PRICE.parameters(2)})
"""

_ARCHIVE_PRODUCT = """
    UPDATE product SET archived_at = $3 WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL
"""
_ARCHIVE_PRICE = """
    UPDATE price SET archived_at = $3 WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL
"""

_PRODUCTS = f"SELECT {_PRODUCT.listed} FROM product WHERE tenant_id = $1 AND id = ANY ($2)"
_METERS = f"SELECT {_METER.listed} FROM meter WHERE tenant_id = $1 AND id = ANY ($2)"
_PRICES = f"SELECT {_PRICE.listed} FROM price WHERE tenant_id = $1 AND id = ANY ($2)"

_PAGE = f"""
    SELECT {_PRODUCT.listed} FROM product
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_METER_PAGE = f"""
    SELECT {_METER.listed} FROM meter
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_PRICES_OF = f"""
    SELECT {_PRICE.listed} FROM price
    WHERE tenant_id = $1 AND product_id = ANY ($2) ORDER BY product_id, id
"""


class Catalogue:
    """The products, meters and prices of all tenants."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create_product(self, context: TenantContext, request: CreateProduct) -> Product:
        """Add a product; raises `InputInvalid`, and `Conflict` where the reference is taken."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        _check_name(request.reference, field="reference")
        _check_name(request.name, field="name")
        check_metadata(request.metadata)
        features_of(request.features)
        product = Product(
            id=new_id("prd"),
            reference=request.reference,
            name=request.name,
            features=request.features,
            metadata=request.metadata,
            created_at=self._clock.now(context.tenant_id),
        )
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await self._claim(session, context, "createProduct", request, product.id)
                if earlier is None:
                    await session.execute(
                        _INSERT_PRODUCT, context.tenant_id, *_PRODUCT.values(product)
                    )
                return await _product(session, context, earlier or product.id)
        except asyncpg.UniqueViolationError:
            raise Conflict("Another product has this reference.", path=("reference",)) from None

    async def archive_product(self, context: TenantContext, request: ArchiveProduct) -> Product:
        """Offer it no more; raises `NotFound`. A second time changes nothing."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.product_id, "prd", field="productId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            found = await _product(session, context, request.product_id)
            earlier = await self._claim(session, context, "archiveProduct", request, found.id)
            if earlier is None:
                await session.execute(_ARCHIVE_PRODUCT, context.tenant_id, found.id, at)
            return await _product(session, context, found.id)

    async def create_meter(self, context: TenantContext, request: CreateMeter) -> Meter:
        """Add a meter; raises `InputInvalid`, and `Conflict` where the name is taken."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        _check_name(request.name, field="name")
        if not request.name.isprintable():
            raise InputInvalid("A meter's name is printable.", path=("name",))
        if request.formula not in get_args(Formula) or request.late_policy not in get_args(
            LatePolicy
        ):
            raise InputInvalid("There is no such formula or policy.", path=("formula",))
        meter = Meter(
            id=new_id("mtr"),
            name=request.name,
            formula=request.formula,
            late_policy=request.late_policy,
            created_at=self._clock.now(context.tenant_id),
        )
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await self._claim(session, context, "createMeter", request, meter.id)
                if earlier is None:
                    await session.execute(_INSERT_METER, context.tenant_id, *_METER.values(meter))
                (row,) = await session.fetch(_METERS, context.tenant_id, [earlier or meter.id])
                return _METER.read(row)
        except asyncpg.UniqueViolationError:
            raise Conflict("Another meter has this name.", path=("name",)) from None

    async def create_price(self, context: TenantContext, request: CreatePrice) -> CatalogPrice:
        """Add a price to a product that is not archived.

        Raises `InputInvalid`, `NotFound`, and `Conflict` where the product is archived.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        _check_price(request)
        at = self._clock.now(context.tenant_id)
        price = CatalogPrice(
            id=new_id("prc"),
            product_id=request.product_id,
            options=request.options,
            interval_unit=request.interval_unit,
            interval_count=request.interval_count or (1 if request.interval_unit else None),
            meter_id=request.meter_id,
            tax_behavior=request.tax_behavior,
            created_at=at,
        )
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await self._claim(session, context, "createPrice", request, price.id)
                if earlier is None:
                    product = await _product(session, context, request.product_id)
                    if product.archived_at is not None:
                        raise Conflict("The product is archived.", path=("productId",))
                    await session.execute(_INSERT_PRICE, context.tenant_id, *_PRICE.values(price))
                return await _price(session, context, earlier or price.id)
        except asyncpg.ForeignKeyViolationError:
            raise NotFound("There is no such meter.", path=("meterId",)) from None

    async def archive_price(self, context: TenantContext, request: ArchivePrice) -> CatalogPrice:
        """Offer it no more; raises `NotFound`. A second time changes nothing."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.price_id, "prc", field="priceId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            found = await _price(session, context, request.price_id)
            earlier = await self._claim(session, context, "archivePrice", request, found.id)
            if earlier is None:
                await session.execute(_ARCHIVE_PRICE, context.tenant_id, found.id, at)
            return await _price(session, context, found.id)

    async def products(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[Product]:
        """Newest first, after the product `after`; one more than `first` where there is."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, first + 1)
        return [_PRODUCT.read(row) for row in rows]

    async def products_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, Product]:
        """The products that exist, by id; archived ones too."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PRODUCTS, context.tenant_id, list(ids))
        return {row["id"]: _PRODUCT.read(row) for row in rows}

    async def meters(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[Meter]:
        """Newest first, after the meter `after`; one more than `first` where there is."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_METER_PAGE, context.tenant_id, after, first + 1)
        return [_METER.read(row) for row in rows]

    async def meters_by_id(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Meter]:
        """The meters that exist, by id."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_METERS, context.tenant_id, list(ids))
        return {row["id"]: _METER.read(row) for row in rows}

    async def prices_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, CatalogPrice]:
        """The prices that exist, by id; archived ones too."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PRICES, context.tenant_id, list(ids))
        return {row["id"]: _PRICE.read(row) for row in rows}

    async def prices_of(
        self, context: TenantContext, product_ids: Sequence[str]
    ) -> dict[str, list[CatalogPrice]]:
        """Each product's prices, oldest first; archived ones too."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PRICES_OF, context.tenant_id, list(product_ids))
        found: dict[str, list[CatalogPrice]] = {}
        for row in rows:
            found.setdefault(row["product_id"], []).append(_PRICE.read(row))
        return found

    async def _claim(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: msgspec.Struct,
        resource_id: str,
    ) -> str | None:
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        return await claim(
            session,
            context.tenant_id,
            key=key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=resource_id,
            at=self._clock.now(context.tenant_id),
        )


def price_of(kept: CatalogPrice) -> Price:
    """The price that computes; raises `InputInvalid` for what cannot be one."""
    return _priced(kept.options, metered=kept.meter_id is not None)


def features_of(features: Mapping[str, Any]) -> tuple[Grant, ...]:
    """What a product grants, by name; raises `InputInvalid` for a spelling that nobody knows."""
    if len(features) > _MOST_FEATURES:
        raise InputInvalid(f"A product has at most {_MOST_FEATURES} features.", path=("features",))
    grants = []
    for name, words in sorted(features.items()):
        _check_name(name, field="features")
        if not isinstance(words, dict) or set(words) - {"limit", "perUnit"}:
            raise InputInvalid(f"The feature {name} has a limit, or none.", path=("features", name))
        limit, per_unit = words.get("limit"), words.get("perUnit", False)
        if type(per_unit) is not bool or not (limit is None or type(limit) is int):
            raise InputInvalid(
                f"The limit of {name} is a whole number.", path=("features", name, "limit")
            )
        grants.append(Grant(feature=name, limit=limit, per_unit=per_unit))
    return tuple(grants)


def _check_price(request: CreatePrice) -> None:
    check_id(request.product_id, "prd", field="productId")
    if request.meter_id is not None:
        check_id(request.meter_id, "mtr", field="meterId")
    if request.tax_behavior not in get_args(TaxBehavior):
        raise InputInvalid("The tax is inclusive or exclusive.", path=("taxBehavior",))
    if request.interval_unit is None and request.interval_count is not None:
        raise InputInvalid("An interval has a unit.", path=("intervalUnit",))
    if request.interval_unit is None and request.meter_id is not None:
        raise InputInvalid("Usage is charged by the period.", path=("intervalUnit",))
    if request.interval_unit is not None:
        count = 1 if request.interval_count is None else request.interval_count
        Interval(unit=request.interval_unit, count=count)
    _priced(request.options, metered=request.meter_id is not None)


def _priced(options: Mapping[str, Any], *, metered: bool) -> Price:
    if len(options) > _MOST_CURRENCIES:
        raise InputInvalid("There are not so many currencies.", path=("options",))
    models = {}
    for code, document in options.items():
        if not isinstance(document, dict):
            raise InputInvalid("An option of a currency is a price model.", path=("options", code))
        try:
            models[code] = parse_model(document)
        except InputInvalid as problem:
            raise InputInvalid(problem.message, path=("options", code, *problem.path)) from None
    return Price(options=models, metered=metered)


def _check_name(text: str, *, field: str) -> None:
    check_text(text, field=field, most=200)
    if not text.strip():
        raise InputInvalid(f"The {field} is not empty.", path=(field,))


async def _product(session: Session, context: TenantContext, product_id: str) -> Product:
    row = await session.fetchrow(_PRODUCTS, context.tenant_id, [product_id])
    if row is None:
        raise NotFound("There is no such product.", path=("productId",))
    return _PRODUCT.read(row)


async def _price(session: Session, context: TenantContext, price_id: str) -> CatalogPrice:
    row = await session.fetchrow(_PRICES, context.tenant_id, [price_id])
    if row is None:
        raise NotFound("There is no such price.", path=("priceId",))
    return _PRICE.read(row)
