"""Another tenant's ids are nothing special: each gets the answer of an id that nobody has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from payengine.engine import Engine
from payengine.ids import new_id
from payengine_graphql.schema import core_schema

from graphql import GraphQLInputObjectType, get_named_type
from tests.graphql.worlds import World, codes, new_key, row_counts

#: Where the schema takes an id → the document, and the variables with the id at `$`.
_COVERED: dict[str, tuple[str, dict[str, Any]]] = {
    "Query.payment(id)": ("query($id: ID!) { payment(id: $id) { id status } }", {"id": "$pay"}),
    "Query.customer(id)": ("query($id: ID!) { customer(id: $id) { id name } }", {"id": "$cus"}),
    "Query.node(id)": ("query($id: ID!) { node(id: $id) { id } }", {"id": "$pm"}),
    "Query.nodes(ids)": (
        "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
        {"ids": ["$pay", "$cus", "$pm", "$op", "$ref"]},
    ),
    "PaymentFilterInput.customerId": (
        "query($filter: PaymentFilterInput) { payments(filter: $filter) { nodes { id } } }",
        {"filter": {"customerId": "$cus"}},
    ),
    "Query.payments(after)": (
        "query($after: String) { payments(after: $after) { nodes { id } } }",
        {"after": "$pay"},
    ),
    "Query.customers(after)": (
        "query($after: String) { customers(after: $after) { nodes { id } } }",
        {"after": "$cus"},
    ),
    "Query.apiKeys(after)": (
        "query($after: String) { apiKeys(after: $after) { nodes { name } } }",
        {"after": "$key"},
    ),
}


def _mutation(name: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    title = name[0].upper() + name[1:]
    document = (
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{ errors {{ code message path"
        " } } }"
    )
    return document, {"input": {"idempotencyKey": "$key()"} | given}


_PAY = {"amount": {"amountMinor": 5, "currency": "EUR"}}
_COVERED |= {
    "CreatePaymentInput.customerId": _mutation(
        "createPayment", _PAY | {"paymentMethod": {"token": "tok_visa"}, "customerId": "$cus"}
    ),
    "CreatePaymentInput.savedPaymentMethodId": _mutation(
        "createPayment", _PAY | {"savedPaymentMethodId": "$pm"}
    ),
    "ConfirmPaymentInput.paymentId": _mutation("confirmPayment", {"paymentId": "$pay"}),
    "ConfirmPaymentInput.savedPaymentMethodId": _mutation(
        "confirmPayment", {"paymentId": "$declined", "savedPaymentMethodId": "$pm"}
    ),
    "CapturePaymentInput.paymentId": _mutation("capturePayment", {"paymentId": "$pay"}),
    "VoidPaymentInput.paymentId": _mutation("voidPayment", {"paymentId": "$pay"}),
    "RefundPaymentInput.paymentId": _mutation("refundPayment", {"paymentId": "$pay"}),
    "IncrementAuthorizationInput.paymentId": _mutation(
        "incrementAuthorization", {"paymentId": "$pay", "amountMinor": 5}
    ),
    "UpdateCustomerInput.customerId": _mutation(
        "updateCustomer", {"customerId": "$cus", "name": "mine now"}
    ),
    "SavePaymentMethodInput.customerId": _mutation(
        "savePaymentMethod", {"customerId": "$cus", "token": "tok_visa", "label": "x"}
    ),
    "DetachPaymentMethodInput.paymentMethodId": _mutation(
        "detachPaymentMethod", {"paymentMethodId": "$pm"}
    ),
    "RevokeApiKeyInput.apiKeyId": _mutation("revokeApiKey", {"apiKeyId": "$key"}),
}

#: Tried over a socket in test_sockets.py; an event's cursor is a place and names no object.
_COVERED_ELSEWHERE = {
    "PaymentEventFilter.paymentId",
    "PaymentEventFilter.customerId",
    "Subscription.paymentEvents(after)",
    "Query.events(after)",
}


def _places() -> Iterator[str]:
    """Every argument and input field of the schema that takes an id or a cursor."""
    for name, kind in core_schema().type_map.items():
        if name.startswith("__"):
            continue
        if isinstance(kind, GraphQLInputObjectType):
            for key, value in kind.fields.items():
                if get_named_type(value.type).name == "ID":
                    yield f"{name}.{key}"
        for key, field in getattr(kind, "fields", {}).items():
            for argument, shape in getattr(field, "args", {}).items():
                if get_named_type(shape.type).name == "ID" or argument == "after":
                    yield f"{name}.{key}({argument})"


def test_each_place_that_takes_an_id_is_tried() -> None:
    assert set(_places()) == set(_COVERED) | _COVERED_ELSEWHERE


@dataclass
class Objects:
    """The ids of one tenant's objects, by their prefixes."""

    ids: dict[str, str]
    declined: str


async def _objects(world: World) -> Objects:
    customer = await world.run(
        "mutation($input: CreateCustomerInput!) { createCustomer(input: $input)"
        " { customer { id } } }",
        input={"idempotencyKey": new_key(), "name": "Grace"},
    )
    customer_id = customer["createCustomer"]["customer"]["id"]
    saved = await world.run(
        "mutation($input: SavePaymentMethodInput!) { savePaymentMethod(input: $input)"
        " { paymentMethod { id } } }",
        input={
            "idempotencyKey": new_key(),
            "customerId": customer_id,
            "token": "tok_visa",
            "label": "x",
        },
    )
    held = await world.pay(captureMethod="MANUAL", customerId=customer_id)
    declined = await world.pay(paymentMethod={"token": "tok_decline_lost_card"})
    keys = await world.run("{ apiKeys { nodes { id } } }")
    return Objects(
        {
            "pay": held["payment"]["id"],
            "cus": customer_id,
            "pm": saved["savePaymentMethod"]["paymentMethod"]["id"],
            "op": held["operation"]["id"],
            "key": keys["apiKeys"]["nodes"][0]["id"],
            "ref": new_id("ref"),
        },
        declined["payment"]["id"],
    )


def _filled(value: Any, ids: dict[str, str], declined: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, ids, declined) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, ids, declined) for each in value]
    if value == "$key()":
        return new_key()
    if value == "$declined":
        return declined
    if isinstance(value, str) and value.startswith("$"):
        return ids[value[1:]]
    return value


@pytest.mark.parametrize("place", sorted(_COVERED))
async def test_a_foreign_id_gets_the_answer_of_a_random_one(
    world: World, foreign: World, engine: Engine, place: str
) -> None:
    mine, theirs = await _objects(world), await _objects(foreign)
    document, shape = _COVERED[place]
    random = {prefix: new_id(prefix) for prefix in theirs.ids}
    before = await row_counts(engine, world.context), await row_counts(engine, foreign.context)
    answers = [
        await world.ask(document, **_filled(shape, ids, mine.declined))
        for ids in (theirs.ids, random)
    ]
    if "after" in place:
        # A cursor is a place in the order: what follows may differ, whose it is may not.
        assert codes(answers[0]) == codes(answers[1]) == []
    else:
        assert answers[0] == answers[1]
    shown = json.dumps(answers)
    assert not [each for each in theirs.ids.values() if f'"{each}"' in shown]
    after = await row_counts(engine, world.context), await row_counts(engine, foreign.context)
    assert after == before


async def test_the_same_places_answer_for_ones_own_ids(world: World) -> None:
    mine = await _objects(world)
    for place, (document, shape) in _COVERED.items():
        if place.startswith("Query.") and "after" not in place:
            ids = mine.ids | {"ref": mine.ids["op"]}
            answer = await world.ask(document, **_filled(shape, ids, mine.declined))
            assert codes(answer) == [], place
            assert "null" not in json.dumps(answer["data"]), place
