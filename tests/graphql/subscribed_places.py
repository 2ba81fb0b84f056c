"""Where the API of subscriptions takes an id, and a tenant who has one of each object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from payengine.billing.models import CreatePrice, CreateProduct
from payengine.billing.subscriptions.models import (
    CreateCoupon,
    CreateSubscription,
    ScheduleSubscriptionChange,
    WantedItem,
)
from payengine.engine import Engine

from tests.graphql.worlds import World, new_key

__all__ = ["PLACES", "subscribed_objects"]


def _mutation(name: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    title = name[0].upper() + name[1:]
    document = (
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{ errors {{ code message path"
        " } } }"
    )
    return document, {"input": {"idempotencyKey": "$key()"} | given}


def _preview(name: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    title = name[0].upper() + name[1:]
    document = f"query($input: {title}Input!) {{ {name}(input: $input) {{ at }} }}"
    return document, {"input": given}


_ITEM = [{"priceId": "$my prc"}]
_NEW = {"customerId": "$my cus", "currency": "EUR", "items": _ITEM}
_MINE = {"subscriptionId": "$my sub"}
_COUPON = {"couponIds": ["$cpn"]}
_METHOD = {"paymentMethodId": "$pm"}
#: A new subscription's ids, and those of a change.
_CREATED: dict[str, dict[str, Any]] = {
    "customerId": _NEW | {"customerId": "$cus"},
    "couponIds": _NEW | _COUPON,
    "paymentMethodId": _NEW | _METHOD,
}
_CHANGED: dict[str, dict[str, Any]] = {
    "subscriptionId": {"subscriptionId": "$sub"},
    "couponIds": _MINE | _COUPON,
    "paymentMethodId": _MINE | _METHOD,
}

PLACES: dict[str, tuple[str, dict[str, Any]]] = {
    "Query.subscription(id)": (
        "query($id: ID!) { subscription(id: $id) { id status } }",
        {"id": "$sub"},
    ),
    "Query.subscriptions(after)": (
        "query($after: String) { subscriptions(after: $after) { nodes { id } } }",
        {"after": "$sub"},
    ),
    "Query.subscriptions(customerId)": (
        "query($id: ID) { subscriptions(customerId: $id) { nodes { status } } }",
        {"id": "$cus"},
    ),
    "Query.coupon(id)": ("query($id: ID!) { coupon(id: $id) { id } }", {"id": "$cpn"}),
    "Query.coupons(after)": (
        "query($after: String) { coupons(after: $after) { nodes { id } } }",
        {"after": "$cpn"},
    ),
    "Query.previewRenewal(subscriptionId)": (
        "query($id: ID!) { previewRenewal(subscriptionId: $id) { at } }",
        {"id": "$sub"},
    ),
    **{
        f"CreateSubscriptionInput.{name}": _mutation("createSubscription", given)
        for name, given in _CREATED.items()
    },
    **{
        f"PreviewSubscriptionInput.{name}": _preview("previewSubscription", given)
        for name, given in _CREATED.items()
    },
    **{
        f"ChangeSubscriptionInput.{name}": _mutation("changeSubscription", given)
        for name, given in _CHANGED.items()
    },
    **{
        f"PreviewSubscriptionChangeInput.{name}": _preview("previewSubscriptionChange", given)
        for name, given in _CHANGED.items()
    },
    **{
        f"PreviewSubscription{name}Input.subscriptionId": _preview(
            f"previewSubscription{name}", {"subscriptionId": "$sub"}
        )
        for name in ("Cancel", "Pause")
    },
    "SubscriptionItemInput.priceId": _mutation(
        "createSubscription", _NEW | {"items": [{"priceId": "$prc"}]}
    ),
    "SubscriptionItemEditInput.itemId": _mutation(
        "changeSubscription", _MINE | {"items": [{"itemId": "$sit", "quantity": "2"}]}
    ),
    "SubscriptionItemEditInput.priceId": _mutation(
        "changeSubscription", _MINE | {"items": [{"priceId": "$prc"}]}
    ),
    "CancelSubscriptionInput.subscriptionId": _mutation(
        "cancelSubscription", {"subscriptionId": "$sub", "atPeriodEnd": False}
    ),
    "PauseSubscriptionInput.subscriptionId": _mutation(
        "pauseSubscription", {"subscriptionId": "$sub"}
    ),
    "PreviewSubscriptionResumeInput.subscriptionId": _preview(
        "previewSubscriptionResume", {"subscriptionId": "$sub"}
    ),
    "ResumeSubscriptionInput.subscriptionId": _mutation(
        "resumeSubscription", {"subscriptionId": "$sub"}
    ),
    "ScheduleSubscriptionChangeInput.subscriptionId": _mutation(
        "scheduleSubscriptionChange", {"subscriptionId": "$sub", "effect": "CANCEL"}
    ),
    "ScheduleSubscriptionChangeInput.couponIds": _mutation(
        "scheduleSubscriptionChange", _MINE | _COUPON
    ),
    "WithdrawScheduledChangeInput.scheduledChangeId": _mutation(
        "withdrawScheduledChange", {"scheduledChangeId": "$sch"}
    ),
    "CreateCouponInput.productIds": _mutation(
        "createCoupon", {"code": "$key()", "percentBps": 100, "productIds": ["$prd"]}
    ),
    "ArchiveCouponInput.couponId": _mutation("archiveCoupon", {"couponId": "$cpn"}),
}


async def subscribed_objects(world: World, engine: Engine, customer_id: str) -> dict[str, str]:
    """A subscription in its trial, with an item and a change that waits; a coupon."""
    tenant, room = world.context, engine.subscribing
    product = await engine.catalogue.create_product(
        tenant, CreateProduct(idempotency_key=new_key(), reference="plan", name="Plan")
    )
    price = await engine.catalogue.create_price(
        tenant,
        CreatePrice(
            idempotency_key=new_key(),
            product_id=product.id,
            options={"EUR": {"model": "flat", "flat_amount": "1000"}},
            interval_unit="month",
        ),
    )
    coupon = await room.coupons.create(
        tenant, CreateCoupon(idempotency_key=new_key(), code="TEN", percent_bps=1_000)
    )
    made = await room.subscriptions.create(
        tenant,
        CreateSubscription(
            idempotency_key=new_key(),
            customer_id=customer_id,
            currency="EUR",
            items=(WantedItem(price_id=price.id, quantity=Decimal(1)),),
            trial_days=30,
        ),
    )
    at = datetime.now(UTC) + timedelta(days=10)
    await room.subscriptions.schedule(
        tenant,
        ScheduleSubscriptionChange(
            idempotency_key=new_key(), subscription_id=made.id, kind="cancel", at=at
        ),
    )
    ((item,),) = (await room.reader.items_of(tenant, [made.id])).values()
    ((change,),) = (await room.reader.changes_of(tenant, [made.id])).values()
    return {
        "sub": made.id,
        "sit": item.id,
        "sch": change.id,
        "cpn": coupon.id,
        "prc": price.id,
        "prd": product.id,
    }
