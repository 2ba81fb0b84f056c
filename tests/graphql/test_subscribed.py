"""Can a shop run a subscription over the wire, from its preview to its end a year later?"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from payengine.billing.models import CreatePrice, CreateProduct
from payengine.engine import Engine
from payengine.ids import new_id

from tests.graphql.subscribed_places import PLACES, subscribed_objects
from tests.graphql.worlds import World, codes, new_key, row_counts

_SHOWN = """
  id status access version periodStart periodEnd cancelAtPeriodEnd couponIds
  items { id priceId quantity } scheduledChanges { effect status at }
"""
_ERRORS = "errors { code message path }"


async def _do(world: World, name: str, shown: str, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{ {_ERRORS} {shown} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    payload: dict[str, Any] = data[name]
    assert payload["errors"] == [], payload
    return payload


async def _customer(world: World) -> tuple[str, str]:
    made = await _do(world, "createCustomer", "customer { id }")
    customer_id = made["customer"]["id"]
    saved = await _do(
        world,
        "savePaymentMethod",
        "paymentMethod { id }",
        customerId=customer_id,
        token="tok_visa",
        label="x",
    )
    return customer_id, saved["paymentMethod"]["id"]


async def _price(world: World, engine: Engine, amount: int) -> str:
    product = await engine.catalogue.create_product(
        world.context, CreateProduct(idempotency_key=new_key(), reference=new_key(), name="Plan")
    )
    price = await engine.catalogue.create_price(
        world.context,
        CreatePrice(
            idempotency_key=new_key(),
            product_id=product.id,
            options={"EUR": {"model": "per_unit", "unit_amount": str(amount)}},
            interval_unit="month",
        ),
    )
    return price.id


async def _advance(world: World, to: str) -> None:
    await _do(world, "advanceTestClock", "testClock { nowAt }", to=to)
    async with asyncio.timeout(120):
        while True:
            data = await world.run("{ testClock { status progress nowAt } }")
            if data["testClock"]["status"] == "READY":
                assert data["testClock"]["progress"] == 100
                return
            await asyncio.sleep(0.1)


async def _subscription(world: World, name: str) -> dict[str, Any]:
    data = await world.run(f"query($id: ID!) {{ subscription(id: $id) {{ {_SHOWN} }} }}", id=name)
    found: dict[str, Any] = data["subscription"]
    return found


async def _active(world: World, name: str) -> dict[str, Any]:
    """Once its first payment has come."""
    async with asyncio.timeout(60):
        while True:
            shown = await _subscription(world, name)
            if shown["status"] == "ACTIVE":
                return shown
            await asyncio.sleep(0.1)


async def test_a_subscription_lives_from_its_preview_to_its_end(
    world: World, engine: Engine
) -> None:
    await _do(world, "createTestClock", "testClock { status }", nowAt="2025-06-01T00:00:00Z")
    customer_id, method_id = await _customer(world)
    price, dearer = await _price(world, engine, 1_000), await _price(world, engine, 2_000)
    coupon = await _do(world, "createCoupon", "coupon { id code }", code="TEN", percentBps=1_000)
    given = {
        "customerId": customer_id,
        "currency": "EUR",
        "items": [{"priceId": price, "quantity": "2"}],
        "couponIds": [coupon["coupon"]["id"]],
        "paymentMethodId": method_id,
    }
    foretold = await world.run(
        "query($input: PreviewSubscriptionInput!) { previewSubscription(input: $input) {"
        " at status invoice { hash total discountTotal lines { amount quantity discount } }"
        " upcomingAt upcoming { hash total } } }",
        input=given,
    )
    preview = foretold["previewSubscription"]
    assert preview["invoice"]["total"] == preview["upcoming"]["total"] == 1_800
    made = await _do(world, "createSubscription", f"subscription {{ {_SHOWN} }}", **given)
    name = made["subscription"]["id"]
    shown = await _active(world, name)
    assert shown["access"] == "GRANTED"
    await _advance(world, "2025-06-16T00:00:00Z")
    edits = [{"itemId": shown["items"][0]["id"], "priceId": dearer}]
    changed = await _do(
        world,
        "changeSubscription",
        f"subscription {{ {_SHOWN} }}",
        subscriptionId=name,
        items=edits,
        expectedVersion=shown["version"],
    )
    assert changed["subscription"]["items"][0]["priceId"] == dearer
    following = await world.run(
        "query($id: ID!) { previewRenewal(subscriptionId: $id) { upcomingAt upcoming {"
        " hash total lines { kind amount } } } }",
        id=name,
    )
    await _do(
        world,
        "scheduleSubscriptionChange",
        "subscription { id }",
        subscriptionId=name,
        effect="CANCEL",
        at="2025-09-10T00:00:00Z",
    )
    await _advance(world, "2026-06-01T00:00:00Z")
    over = await _subscription(world, name)
    assert (over["status"], over["access"]) == ("CANCELED", "ENDED")
    assert [each["status"] for each in over["scheduledChanges"]] == ["DONE"]
    async with engine.database.tenant(world.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT hash, status FROM invoice WHERE tenant_id = $1 ORDER BY number",
            world.context.tenant_id,
        )
    assert [row["status"] for row in rows] == ["paid"] * 4
    hashes = [row["hash"] for row in rows]
    assert hashes[:2] == [
        preview["invoice"]["hash"],
        following["previewRenewal"]["upcoming"]["hash"],
    ]
    listed = await world.run("{ subscriptions { nodes { id } } coupons { nodes { code } } }")
    assert listed["subscriptions"]["nodes"] == [{"id": name}]
    assert listed["coupons"]["nodes"] == [{"code": "TEN"}]


async def test_a_refusal_has_its_code(world: World, engine: Engine) -> None:
    customer_id, _ = await _customer(world)
    ids = await subscribed_objects(world, engine, customer_id)
    for name, given, code in (
        ("resumeSubscription", {"subscriptionId": ids["sub"]}, "CONFLICT"),
        (
            "changeSubscription",
            {"subscriptionId": ids["sub"], "items": [], "expectedVersion": 77},
            "CONFLICT",
        ),
        (
            "cancelSubscription",
            {"subscriptionId": ids["sub"], "atPeriodEnd": True, "prorate": True},
            "INPUT_INVALID",
        ),
        ("advanceTestClock", {"to": "2030-01-01T00:00:00Z"}, "NOT_FOUND"),
    ):
        title = name[0].upper() + name[1:]
        answer = await world.ask(
            f"mutation($input: {title}Input!) {{ {name}(input: $input) {{ {_ERRORS} }} }}",
            input={"idempotencyKey": new_key()} | given,
        )
        assert codes(answer) == [code], name


async def test_foreign_ids_get_the_answers_of_random_ones(
    world: World, foreign: World, engine: Engine
) -> None:
    mine, theirs = await _ids(world, engine), await _ids(foreign, engine)
    random = {prefix: new_id(prefix) for prefix in theirs}
    worlds = (world.context, foreign.context)
    before = [await row_counts(engine, each) for each in worlds]
    for place, (document, shape) in PLACES.items():
        answers = [
            await world.ask(document, **_filled(shape, ids, mine)) for ids in (theirs, random)
        ]
        if "after" not in place:
            assert answers[0] == answers[1], place
            assert "customerId)" in place or codes(answers[0]), place
        shown = json.dumps(answers)
        assert not [each for each in theirs.values() if f'"{each}"' in shown], place
    assert [await row_counts(engine, each) for each in worlds] == before
    for place, (document, shape) in PLACES.items():
        if place.startswith(("Query.", "Preview")):
            answer = await world.ask(document, **_filled(shape, mine, mine))
            is_going_on = "Resume" in place  # there is nothing to resume
            assert codes(answer) == (["CONFLICT"] if is_going_on else []), place


async def _ids(world: World, engine: Engine) -> dict[str, str]:
    customer_id, method_id = await _customer(world)
    found = await subscribed_objects(world, engine, customer_id)
    return found | {"cus": customer_id, "pm": method_id}


def _filled(value: Any, ids: dict[str, str], mine: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, ids, mine) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, ids, mine) for each in value]
    if value == "$key()":
        return new_key()
    if isinstance(value, str) and value.startswith("$"):
        return mine[value[4:]] if value.startswith("$my ") else ids[value[1:]]
    return value
