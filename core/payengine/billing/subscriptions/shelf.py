"""Which coupons does the shop give, and which subscriptions are there to read?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from payengine.billing.coupons import Coupon, apply_coupons
from payengine.billing.invoice_lines import require_currency
from payengine.billing.subscriptions.models import (
    ArchiveCoupon,
    CreateCoupon,
    ItemRow,
    KeptCoupon,
    ScheduledChange,
    Subscription,
)
from payengine.billing.subscriptions.store import CHANGE, COUPON, ITEM, SUBSCRIPTION
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.storage import Database, Session
from payengine.texts import check_id, check_text

__all__ = ["Coupons", "SubscriptionReader"]

_MOST_PERIODS = 1_000
_MOST_PRODUCTS = 100

_INSERT = f"INSERT INTO coupon (tenant_id, {COUPON.listed}) VALUES ($1, {COUPON.parameters(2)})"
_ARCHIVE = """
    UPDATE coupon SET archived_at = $3 WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL
"""
_BY_ID = f"SELECT {COUPON.listed} FROM coupon WHERE tenant_id = $1 AND id = ANY ($2)"
_PAGE = f"""
    SELECT {COUPON.listed} FROM coupon
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_PRODUCTS = "SELECT id FROM product WHERE tenant_id = $1 AND id = ANY ($2)"

_SUBSCRIPTIONS = f"""
    SELECT {SUBSCRIPTION.listed} FROM subscription WHERE tenant_id = $1 AND id = ANY ($2)
"""
_SUBSCRIPTION_PAGE = f"""
    SELECT {SUBSCRIPTION.listed} FROM subscription
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_PAGE_OF_CUSTOMER = f"""
    SELECT {SUBSCRIPTION.listed} FROM subscription
    WHERE tenant_id = $1 AND customer_id = $4 AND id < coalesce($2, '~')
    ORDER BY id DESC LIMIT $3
"""
_ITEMS = f"""
    SELECT {ITEM.listed} FROM subscription_item
    WHERE tenant_id = $1 AND subscription_id = ANY ($2) AND ended_at IS NULL
    ORDER BY subscription_id, id
"""
_CHANGES = f"""
    SELECT {CHANGE.listed} FROM scheduled_change
    WHERE tenant_id = $1 AND subscription_id = ANY ($2) ORDER BY subscription_id, at, id LIMIT $3
"""
_MOST_CHANGES = 10_000


class Coupons:
    """The coupons of all tenants."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, context: TenantContext, request: CreateCoupon) -> KeptCoupon:
        """Add a coupon; raises `InputInvalid`, `NotFound`, and `Conflict` for a code in use."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        at = self._clock.now(context.tenant_id)
        coupon = KeptCoupon(
            id=new_id("cpn"), code=request.code, terms=_terms(request), created_at=at
        )
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await claim(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    mutation="createCoupon",
                    fingerprint=fingerprint("createCoupon", request),
                    resource_id=coupon.id,
                    at=at,
                )
                if earlier is None:
                    await _check_products(session, context, request.products)
                    await session.execute(_INSERT, context.tenant_id, *COUPON.values(coupon))
                return await _coupon(session, context, earlier or coupon.id)
        except asyncpg.UniqueViolationError:
            raise Conflict("Another coupon has this code.", path=("code",)) from None

    async def archive(self, context: TenantContext, request: ArchiveCoupon) -> KeptCoupon:
        """Give it no more; raises `NotFound`. A second time changes nothing."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.coupon_id, "cpn", field="couponId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            found = await _coupon(session, context, request.coupon_id)
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="archiveCoupon",
                fingerprint=fingerprint("archiveCoupon", request),
                resource_id=found.id,
                at=at,
            )
            if earlier is None:
                await session.execute(_ARCHIVE, context.tenant_id, found.id, at)
            return await _coupon(session, context, found.id)

    async def by_id(self, context: TenantContext, ids: Sequence[str]) -> dict[str, KeptCoupon]:
        """The coupons that exist, by id; archived ones too."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: COUPON.read(row) for row in rows}

    async def page(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[KeptCoupon]:
        """Newest first, after the coupon `after`; one more than `first` where there is."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, first + 1)
        return [COUPON.read(row) for row in rows]


class SubscriptionReader:
    """The subscriptions of all tenants, to be read."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def by_id(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Subscription]:
        """The subscriptions that exist, by id."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_SUBSCRIPTIONS, context.tenant_id, list(ids))
        return {row["id"]: SUBSCRIPTION.read(row) for row in rows}

    async def page(
        self,
        context: TenantContext,
        *,
        first: int,
        after: str | None = None,
        customer_id: str | None = None,
    ) -> list[Subscription]:
        """Newest first, after the subscription `after`; one more than `first` where there is."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            if customer_id is None:
                rows = await session.fetch(_SUBSCRIPTION_PAGE, context.tenant_id, after, first + 1)
            else:
                rows = await session.fetch(
                    _PAGE_OF_CUSTOMER, context.tenant_id, after, first + 1, customer_id
                )
        return [SUBSCRIPTION.read(row) for row in rows]

    async def items_of(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, list[ItemRow]]:
        """Each subscription's present items, oldest first."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_ITEMS, context.tenant_id, list(ids))
        found: dict[str, list[ItemRow]] = {}
        for row in rows:
            found.setdefault(row["subscription_id"], []).append(ITEM.read(row))
        return found

    async def changes_of(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, list[ScheduledChange]]:
        """Each subscription's scheduled changes, by their instants; those that are over too."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_CHANGES, context.tenant_id, list(ids), _MOST_CHANGES)
        found: dict[str, list[ScheduledChange]] = {}
        for row in rows:
            found.setdefault(row["subscription_id"], []).append(CHANGE.read(row))
        return found


def _terms(request: CreateCoupon) -> dict[str, Any]:
    check_text(request.code, field="code", most=100)
    if not request.code.strip():
        raise InputInvalid("The code is not empty.", path=("code",))
    if request.currency is not None:
        require_currency(request.currency)
    if (request.amount_off is None) != (request.currency is None):
        raise InputInvalid("An amount off has a currency, a part has none.", path=("currency",))
    periods = request.periods
    if periods is not None and not 1 <= periods <= _MOST_PERIODS:
        raise InputInvalid(f"A coupon lasts 1 to {_MOST_PERIODS} periods.", path=("periods",))
    if len(request.products) > _MOST_PRODUCTS:
        raise InputInvalid(
            f"A coupon names at most {_MOST_PRODUCTS} products.", path=("productIds",)
        )
    for product in request.products:
        check_id(product, "prd", field="productIds")
    coupon = Coupon(
        percent_bps=request.percent_bps,
        amount_off=request.amount_off,
        currency=request.currency,
        products=request.products,
    )
    try:
        apply_coupons([], [coupon], currency=request.currency or "EUR")
    except InputInvalid as problem:
        part = "percentBps" if request.amount_off is None else "amountOff"
        raise InputInvalid(problem.message, path=(part,)) from None
    return {
        "percent_bps": coupon.percent_bps,
        "amount_off": coupon.amount_off,
        "currency": coupon.currency,
        "products": list(coupon.products),
        "periods": periods,
    }


async def _check_products(
    session: Session, context: TenantContext, products: Sequence[str]
) -> None:
    if products:
        rows = await session.fetch(_PRODUCTS, context.tenant_id, list(products))
        if len(rows) < len(set(products)):
            raise NotFound("There is no such product.", path=("productIds",))


async def _coupon(session: Session, context: TenantContext, coupon_id: str) -> KeptCoupon:
    row = await session.fetchrow(_BY_ID, context.tenant_id, [coupon_id])
    if row is None:
        raise NotFound("There is no such coupon.", path=("couponId",))
    return COUPON.read(row)
