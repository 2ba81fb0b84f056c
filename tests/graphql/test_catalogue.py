"""Can a shop keep its catalogue and tell its usage over the wire?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from payengine.engine import Engine

from tests.graphql.worlds import World, codes, make_world, new_key

_RECORD = """
mutation ($input: RecordUsageInput!) {
  recordUsage(input: $input) {
    errors { code path } accepted duplicates refused receipts { meter id outcome code }
  }
}
"""


async def _do(world: World, name: str, shown: str, /, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{"
        f" errors {{ code message path }} {shown} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    payload: dict[str, Any] = data[name]
    return payload


async def _meter(world: World) -> tuple[str, str]:
    """A meter named calls and a customer."""
    meter = await _do(world, "createMeter", "meter { id }", name="calls", formula="SUM")
    customer = await _do(world, "createCustomer", "customer { id }", reference=new_key())
    return meter["meter"]["id"], customer["customer"]["id"]


def _event(customer: str, name: str, **given: Any) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    return {"meter": "calls", "customerId": customer, "id": name, "at": at, "value": "1"} | given


async def _record(world: World, events: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    sent = {"idempotencyKey": new_key(), "events": events} | given
    data = await world.run(_RECORD, input=sent)
    payload: dict[str, Any] = data["recordUsage"]
    return payload


async def test_a_catalogue_is_made_and_read(world: World) -> None:
    features = {"seats": {"limit": 5, "perUnit": True}}
    made = await _do(
        world,
        "createProduct",
        "product { id features }",
        reference="plan",
        name="Plan",
        features=features,
    )
    product = made["product"]["id"]
    meter, _ = await _meter(world)
    priced = await _do(
        world,
        "createPrice",
        "price { id intervalUnit intervalCount taxBehavior meter { name formula } }",
        productId=product,
        options={"EUR": {"model": "per_unit", "unit_amount": "0.05"}},
        intervalUnit="MONTH",
        meterId=meter,
    )
    price = priced["price"]
    assert price == {
        "id": price["id"],
        "intervalUnit": "MONTH",
        "intervalCount": 1,
        "taxBehavior": "EXCLUSIVE",
        "meter": {"name": "calls", "formula": "SUM"},
    }
    data = await world.run(
        "query($ids: [ID!]!) { products(first: 5) { nodes { id reference prices { id } } }"
        " meters(first: 5) { nodes { id } } nodes(ids: $ids) { id __typename } }",
        ids=[product, price["id"], meter],
    )
    assert data["products"]["nodes"] == [
        {"id": product, "reference": "plan", "prices": [{"id": price["id"]}]}
    ]
    assert data["meters"]["nodes"] == [{"id": meter}]
    assert [each["__typename"] for each in data["nodes"]] == ["Product", "Price", "Meter"]
    archived = await _do(world, "archiveProduct", "product { archivedAt }", productId=product)
    assert archived["product"]["archivedAt"] is not None
    kept = await _do(world, "archivePrice", "price { archivedAt }", priceId=price["id"])
    assert kept["price"]["archivedAt"] is not None
    refused = await _do(
        world,
        "createPrice",
        "price { id }",
        productId=product,
        options={"EUR": {"model": "flat", "flat_amount": "1"}},
        intervalUnit="MONTH",
    )
    assert [each["code"] for each in refused["errors"]] == ["CONFLICT"]


async def test_usage_is_taken_once_with_a_receipt_for_each_event(world: World) -> None:
    meter, customer = await _meter(world)
    events = [_event(customer, f"e{n}", value="0.25") for n in range(4)]
    first = await _record(world, events)
    assert (first["accepted"], first["duplicates"], first["refused"]) == (4, 0, 0)
    bad = _event(customer, "bad", meter="nothing")
    again = await _record(world, [*events, bad, _event(customer, "e0", value="9")])
    assert [each["outcome"] for each in again["receipts"]] == ["DUPLICATE"] * 4 + ["REFUSED"] * 2
    assert [each["code"] for each in again["receipts"][4:]] == ["NOT_FOUND", "IDEMPOTENCY_CONFLICT"]
    data = await world.run(
        "query($m: ID!, $c: ID!, $since: DateTime!, $until: DateTime!) {"
        " usageQuantity(meterId: $m, customerId: $c, since: $since, until: $until) }",
        m=meter,
        c=customer,
        since=(datetime.now(UTC) - timedelta(days=1)).isoformat(),
        until=(datetime.now(UTC) + timedelta(days=1)).isoformat(),
    )
    assert data["usageQuantity"] == "1"


async def test_a_batchs_key_stands_for_its_events(world: World) -> None:
    _, customer = await _meter(world)
    key, events = new_key(), [_event(customer, "one")]
    assert (await _record(world, events, idempotencyKey=key))["accepted"] == 1
    assert (await _record(world, events, idempotencyKey=key))["duplicates"] == 1
    other = await _record(world, [_event(customer, "two")], idempotencyKey=key)
    assert [each["code"] for each in other["errors"]] == ["IDEMPOTENCY_CONFLICT"]


@pytest.mark.parametrize("value", ["1e3", "", "0.0000000000001", "NaN", "4111111111111111"])
async def test_a_batch_that_cannot_be_read_is_refused_whole(world: World, value: str) -> None:
    _, customer = await _meter(world)
    told = await _record(world, [_event(customer, "fine"), _event(customer, "bad", value=value)])
    if told["errors"]:
        assert (told["accepted"], told["receipts"]) == (0, [])
    else:
        assert value == "4111111111111111"  # a quantity of sixteen digits is one


async def test_too_many_events_are_refused(world: World) -> None:
    _, customer = await _meter(world)
    told = await _record(world, [_event(customer, f"e{n}") for n in range(1_001)])
    assert [each["code"] for each in told["errors"]] == ["INPUT_INVALID"]


async def test_a_key_without_the_scope_does_nothing(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    reader = await make_world(engine, client, scopes=["billing:read", "customers:write"])
    answer = await reader.ask(_RECORD, input={"idempotencyKey": new_key(), "events": []})
    assert codes(answer) == ["PERMISSION_DENIED"]
