"""Is it known what a customer may use now, and is each change told once?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from payengine.billing.collection.entitled import tell_entitlements
from payengine.billing.entitlements import Entitlement
from payengine.billing.models import CreatePrice, CreateProduct
from payengine.errors import NotFound
from payengine.ids import new_id

from tests.debtors import T0, Counter, Debtor
from tests.engines import key

_ITEM = """
    INSERT INTO subscription_item
        (tenant_id, id, subscription_id, price_id, quantity, starts_at, ended_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def _give(debtor: Debtor, features: dict[str, Any], *, quantity: str = "1") -> None:
    """An item of a product with these features."""
    catalogue = debtor.engine.catalogue
    product = await catalogue.create_product(
        debtor.context,
        CreateProduct(idempotency_key=key(), reference=key(), name="Plan", features=features),
    )
    price = await catalogue.create_price(
        debtor.context,
        CreatePrice(
            idempotency_key=key(),
            product_id=product.id,
            options={"EUR": {"model": "flat", "flat_amount": "10"}},
            interval_unit="month",
        ),
    )
    async with debtor.session() as session:
        await session.execute(
            _ITEM,
            debtor.context.tenant_id,
            new_id("sit"),
            debtor.subscription_id,
            price.id,
            quantity,
            T0,
            None,
        )
        await tell_entitlements(session, debtor.context.tenant_id, debtor.customer_id, debtor.now)


async def _may(debtor: Debtor) -> list[Entitlement]:
    return await debtor.engine.collection.entitlements.of(debtor.context, debtor.customer_id)


async def _told(debtor: Debtor) -> list[tuple[str, str]]:
    return [
        (change["feature"], change["kind"])
        for _, data in await debtor.told("entitlement.changed")
        for change in data["changes"]
    ]


async def test_what_subscriptions_grant_adds_up(counter: Counter) -> None:
    debtor = await counter.debtor("tok_visa")
    await _give(debtor, {"seats": {"limit": 5, "perUnit": True}, "export": {}}, quantity="3")
    await _give(debtor, {"seats": {"limit": 1}})
    assert await _may(debtor) == [
        Entitlement(feature="export", limit=None),
        Entitlement(feature="seats", limit=16),
    ]
    assert await _told(debtor) == [
        ("export", "granted"),
        ("seats", "granted"),
        ("seats", "changed"),
    ]


async def test_what_did_not_change_is_not_told_again(counter: Counter) -> None:
    debtor = await counter.debtor("tok_visa")
    await _give(debtor, {"export": {}})
    async with debtor.session() as session:
        tenant_id = debtor.context.tenant_id
        assert not await tell_entitlements(session, tenant_id, debtor.customer_id, debtor.now)
    assert await _told(debtor) == [("export", "granted")]


async def test_access_that_is_suspended_and_restored_is_told_with_it(counter: Counter) -> None:
    debtor = await counter.debtor("tok_decline_insufficient_funds")
    await _give(debtor, {"export": {}})
    await debtor.wait(T0 + timedelta(days=7))
    assert await _may(debtor) == []
    await debtor.becomes("tok_visa")
    await debtor.wait(T0 + timedelta(days=14))
    assert await _may(debtor) == [Entitlement(feature="export", limit=None)]
    assert await _told(debtor) == [
        ("export", "granted"),
        ("export", "revoked"),
        ("export", "granted"),
    ]


async def test_a_strangers_customer_is_not_there(counter: Counter) -> None:
    mine, theirs = await counter.debtor("tok_visa"), await counter.debtor("tok_visa")
    with pytest.raises(NotFound):
        await mine.engine.collection.entitlements.of(mine.context, theirs.customer_id)
