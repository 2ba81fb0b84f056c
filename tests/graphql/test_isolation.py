"""Another tenant's ids are nothing special: each gets the answer of an id that nobody has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from payengine.engine import Engine
from payengine.ids import new_id
from payengine_graphql.schema import core_schema

from graphql import GraphQLInputObjectType, get_named_type
from tests.graphql.worlds import World, codes, new_key, row_counts
from tests.notices import dispute_notice, notice

#: Where the schema takes an id → the document, and the variables with the id at `$`.
_COVERED: dict[str, tuple[str, dict[str, Any]]] = {
    "Query.payment(id)": ("query($id: ID!) { payment(id: $id) { id status } }", {"id": "$pay"}),
    "Query.customer(id)": ("query($id: ID!) { customer(id: $id) { id name } }", {"id": "$cus"}),
    "Query.node(id)": ("query($id: ID!) { node(id: $id) { id } }", {"id": "$pm"}),
    "Query.nodes(ids)": (
        "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
        {
            "ids": [
                "$pay",
                "$cus",
                "$pm",
                "$op",
                "$ref",
                "$whe",
                "$whd",
                "$whr",
                "$gwe",
                "$rwh",
                "$rtp",
                "$fle",
                "$fal",
                "$dsp",
                "$rev",
            ]
        },
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

_ENDPOINT = {"webhookEndpointId": "$whe"}
_DELIVERIES = (
    "query($id: ID!, $after: String, $filter: WebhookDeliveryFilterInput) { webhookDeliveries("
    "webhookEndpointId: $id, after: $after, filter: $filter) { nodes { id attempts { error } } } }"
)
_COVERED |= {
    "Query.webhookEndpoint(id)": (
        "query($id: ID!) { webhookEndpoint(id: $id) { id url secrets { lastFour } } }",
        {"id": "$whe"},
    ),
    "Query.webhookEndpoints(after)": (
        "query($after: String) { webhookEndpoints(after: $after) { nodes { id } } }",
        {"after": "$whe"},
    ),
    "Query.webhookDeliveries(webhookEndpointId)": (_DELIVERIES, {"id": "$whe"}),
    "Query.webhookDeliveries(after)": (_DELIVERIES, {"id": "$my whe", "after": "$whd"}),
    "WebhookDeliveryFilterInput.eventId": (
        _DELIVERIES,
        {"id": "$my whe", "filter": {"eventId": "$evt"}},
    ),
    "UpdateWebhookEndpointInput.webhookEndpointId": _mutation(
        "updateWebhookEndpoint", _ENDPOINT | {"url": "https://mine.example.invalid/"}
    ),
    "EnableWebhookEndpointInput.webhookEndpointId": _mutation("enableWebhookEndpoint", _ENDPOINT),
    "DisableWebhookEndpointInput.webhookEndpointId": _mutation("disableWebhookEndpoint", _ENDPOINT),
    "DeleteWebhookEndpointInput.webhookEndpointId": _mutation("deleteWebhookEndpoint", _ENDPOINT),
    "RotateWebhookSecretInput.webhookEndpointId": _mutation("rotateWebhookSecret", _ENDPOINT),
    "SendTestWebhookInput.webhookEndpointId": _mutation("sendTestWebhook", _ENDPOINT),
    "RedeliverWebhookInput.webhookEndpointId": _mutation(
        "redeliverWebhook", _ENDPOINT | {"since": "$instant()"}
    ),
    "RedeliverWebhookInput.eventId": _mutation(
        "redeliverWebhook", {"webhookEndpointId": "$my whe", "eventId": "$evt"}
    ),
}

_COVERED |= {
    "Query.routingPolicy(id)": (
        "query($id: ID!) { routingPolicy(id: $id) { id version reason actor } }",
        {"id": "$rtp"},
    ),
    "Query.routingPolicies(after)": (
        "query($after: String) { routingPolicies(after: $after) { nodes { id } } }",
        {"after": "$rtp"},
    ),
    "ActivateRoutingPolicyInput.routingPolicyId": _mutation(
        "activateRoutingPolicy", {"routingPolicyId": "$rtp", "reason": "it is theirs"}
    ),
}

_COVERED |= {
    "Query.receivedWebhook(id)": (
        "query($id: ID!) { receivedWebhook(id: $id) { id eventId gateway } }",
        {"id": "$rwh"},
    ),
    "Query.webhookRequest(id)": (
        "query($id: ID!) { webhookRequest(id: $id) { id body } }",
        {"id": "$rwh"},
    ),
    "Query.gatewayEndpoints(after)": (
        "query($after: String) { gatewayEndpoints(after: $after) { nodes { id } } }",
        {"after": "$gwe"},
    ),
    "Query.receivedWebhooks(after)": (
        "query($after: String) { receivedWebhooks(after: $after) { nodes { id } } }",
        {"after": "$rwh"},
    ),
    "ReceivedWebhookFilterInput.paymentId": (
        "query($filter: ReceivedWebhookFilterInput) { receivedWebhooks(filter: $filter)"
        " { nodes { id } } }",
        {"filter": {"paymentId": "$pay"}},
    ),
    "RevokeGatewayEndpointInput.gatewayEndpointId": _mutation(
        "revokeGatewayEndpoint", {"gatewayEndpointId": "$gwe"}
    ),
    "ReplayWebhookInput.receivedWebhookId": _mutation(
        "replayWebhook", {"receivedWebhookId": "$rwh"}
    ),
}

_DISPUTE = {"disputeId": "$dsp"}
_REVIEW = {"reviewId": "$rev", "person": "Ada"}
_SETTLED = {"outcome": "DECLINED", "reason": "as their site shows", "person": "Ada"}
_COVERED |= {
    "Query.dispute(id)": (
        "query($id: ID!) { dispute(id: $id) { id status reports { eventId } payment { id } } }",
        {"id": "$dsp"},
    ),
    "Query.disputes(after)": (
        "query($after: String) { disputes(after: $after) { nodes { id } } }",
        {"after": "$dsp"},
    ),
    "DisputeFilterInput.paymentId": (
        "query($filter: DisputeFilterInput) { disputes(filter: $filter) { nodes { id } } }",
        {"filter": {"paymentId": "$disputed"}},
    ),
    "AddDisputeEvidenceInput.disputeId": _mutation(
        "addDisputeEvidence", _DISPUTE | {"category": "OTHER", "text": "mine"}
    ),
    "SubmitDisputeEvidenceInput.disputeId": _mutation("submitDisputeEvidence", _DISPUTE),
    "AcceptDisputeInput.disputeId": _mutation("acceptDispute", _DISPUTE),
    "Query.review(id)": (
        "query($id: ID!) { review(id: $id) { id reasons payment { id } evidence { id } } }",
        {"id": "$rev"},
    ),
    "Query.reviews(after)": (
        "query($after: String) { reviews(after: $after) { nodes { id } } }",
        {"after": "$rev"},
    ),
    "ClaimReviewInput.reviewId": _mutation("claimReview", _REVIEW),
    "ReleaseReviewInput.reviewId": _mutation("releaseReview", _REVIEW),
    "CloseReviewInput.reviewId": _mutation("closeReview", _REVIEW | {"reason": "seen"}),
    "SettleReviewInput.reviewId": _mutation(
        "settleReview", _SETTLED | {"reviewId": "$rev", "operationId": "$my op"}
    ),
    "SettleReviewInput.operationId": _mutation(
        "settleReview", _SETTLED | {"reviewId": "$my rev", "operationId": "$op"}
    ),
}

_COVERED |= {
    "Query.fraudListEntry(id)": (
        "query($id: ID!) { fraudListEntry(id: $id) { id label reason person } }",
        {"id": "$fle"},
    ),
    "Query.fraudListEntries(after)": (
        "query($after: String) { fraudListEntries(after: $after) { nodes { id label } } }",
        {"after": "$fle"},
    ),
    "Query.fraudAlert(id)": (
        "query($id: ID!) { fraudAlert(id: $id) { id kind subject openedAt } }",
        {"id": "$fal"},
    ),
    "Query.fraudAlerts(after)": (
        "query($after: String) { fraudAlerts(after: $after) { nodes { id kind } } }",
        {"after": "$fal"},
    ),
    "Query.paymentFraudDecisions(id)": (
        "query($id: ID!) { paymentFraudDecisions(id: $id) { paymentId verdict outcomes { isFraud }"
        " } }",
        {"id": "$pay"},
    ),
    "AddFraudListEntryInput.paymentId": _mutation(
        "addFraudListEntry",
        {"list": "BLOCK", "kind": "CARD", "paymentId": "$pay", "person": "Ada", "reason": "seen"},
    ),
    "RemoveFraudListEntryInput.fraudListEntryId": _mutation(
        "removeFraudListEntry", {"fraudListEntryId": "$fle", "person": "Ada", "reason": "mine"}
    ),
    "ReportFraudOutcomeInput.paymentId": _mutation(
        "reportFraudOutcome", {"paymentId": "$pay", "isFraud": True}
    ),
    "DecideReviewInput.reviewId": _mutation(
        "decideReview", _REVIEW | {"decision": "APPROVED", "reason": "seen"}
    ),
}

#: Tried over a socket in test_sockets.py; an event's cursor is a place and names no object. A
#: decision's cursor is tried in test_fraud.py.
_COVERED_ELSEWHERE = {
    "Query.fraudDecisions(after)",
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


async def _objects(world: World, engine: Engine) -> Objects:
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
    told = await _told(world)
    return Objects(
        {
            "pay": held["payment"]["id"],
            "cus": customer_id,
            "pm": saved["savePaymentMethod"]["paymentMethod"]["id"],
            "op": held["operation"]["id"],
            "key": keys["apiKeys"]["nodes"][0]["id"],
            "ref": new_id("ref"),
            **told,
            **await _received(world, held["operation"]["id"]),
            "rtp": await _policy(world),
            "fle": await _listed(world),
            "fal": await _alert(world, engine),
        },
        declined["payment"]["id"],
    )


async def _policy(world: World) -> str:
    """A routing policy that says nothing."""
    saved = await world.run(
        "mutation($input: SaveRoutingPolicyInput!) { saveRoutingPolicy(input: $input)"
        " { routingPolicy { id } } }",
        input={"idempotencyKey": new_key(), "policy": {}, "reason": "a test"},
    )
    policy_id: str = saved["saveRoutingPolicy"]["routingPolicy"]["id"]
    return policy_id


async def _listed(world: World) -> str:
    """An entry that stops nobody."""
    added = await world.run(
        "mutation($input: AddFraudListEntryInput!) { addFraudListEntry(input: $input)"
        " { fraudListEntry { id } } }",
        input={
            "idempotencyKey": new_key(),
            "list": "BLOCK",
            "kind": "SELLER",
            "value": "nobody",
            "person": "Ada",
            "reason": "a test",
        },
    )
    entry_id: str = added["addFraudListEntry"]["fraudListEntry"]["id"]
    return entry_id


async def _alert(world: World, engine: Engine) -> str:
    """An alert, as the watch would open it."""
    alert_id, at = new_id("fal"), datetime.now(UTC)
    async with engine.database.tenant(world.context.tenant_id) as session:
        await session.execute(
            "INSERT INTO fraud_alert (tenant_id, id, kind, subject, reading, opened_at, told_at)"
            " VALUES ($1, $2, 'queue_age', 'x', '{}', $3, $3)",
            world.context.tenant_id,
            alert_id,
            at,
        )
    return alert_id


async def _received(world: World, operation_id: str) -> dict[str, str]:
    """A gateway's endpoint, and what came in there: it was known, and changes nothing."""
    made = await world.run(
        "mutation($input: CreateGatewayEndpointInput!) { createGatewayEndpoint(input: $input)"
        " { path gatewayEndpoint { id } } }",
        input={"idempotencyKey": new_key(), "gateway": "sandbox"},
    )
    endpoint = made["createGatewayEndpoint"]
    known = {"reference": "sbx_1", "key": operation_id, "kind": "authorize", "status": "succeeded"}
    call = notice(world.context, known | {"amount_minor": 1_234, "currency": "EUR"})
    sent = await world.client.post(endpoint["path"], content=call.body, headers=call.headers)
    assert sent.status_code == 200
    listed = await world.run("{ receivedWebhooks { nodes { id } } }")
    return {
        "gwe": endpoint["gatewayEndpoint"]["id"],
        "rwh": listed["receivedWebhooks"]["nodes"][0]["id"],
        **await _disputed(world, endpoint["path"]),
    }


async def _disputed(world: World, path: str) -> dict[str, str]:
    """A dispute over more than was paid, so that it waits for a person."""
    paid = await world.pay()
    told = dispute_notice(world.context, paid["operation"]["id"], amount_minor=9_999)
    sent = await world.client.post(path, content=told.body, headers=told.headers)
    assert sent.status_code == 200
    found: list[dict[str, str]] = []
    while not found:
        found = (await world.run("{ disputes { nodes { id } } }"))["disputes"]["nodes"]
    payment_id = paid["payment"]["id"]
    return {"dsp": found[0]["id"], "rev": f"rev_{payment_id[4:]}", "disputed": payment_id}


async def _told(world: World) -> dict[str, str]:
    """An endpoint that wants nothing that happens, its test, a redelivery of nothing, an event."""
    events: list[dict[str, str]] = []
    while not events:
        events = (await world.run("{ events { nodes { id } } }"))["events"]["nodes"]
    ids = {"evt": events[0]["id"]}
    for prefix, mutation, shown, given in (
        (
            "whe",
            "createWebhookEndpoint",
            "webhookEndpoint",
            {"url": "https://hooks.example.invalid/", "eventTypes": ["nothing.*"]},
        ),
        ("whd", "sendTestWebhook", "webhookDelivery", _ENDPOINT),
        ("whr", "redeliverWebhook", "webhookRedelivery", _ENDPOINT | {"since": "$instant()"}),
    ):
        title = mutation[0].upper() + mutation[1:]
        made = await world.run(
            f"mutation($input: {title}Input!)"
            f" {{ {mutation}(input: $input) {{ {shown} {{ id }} }} }}",
            input=_filled({"idempotencyKey": "$key()"} | given, Objects(ids, "")),
        )
        ids[prefix] = made[mutation][shown]["id"]
    return ids


def _filled(value: Any, theirs: Objects, mine: Objects | None = None) -> Any:
    """The variables, with ids of `theirs` but where the shape says `my`."""
    ids = theirs.ids
    mine = mine or theirs
    if isinstance(value, dict):
        return {key: _filled(each, theirs, mine) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, theirs, mine) for each in value]
    if value == "$key()":
        return new_key()
    if value == "$instant()":
        return datetime.now(UTC).isoformat()
    if value == "$declined":
        return mine.declined
    if isinstance(value, str) and value.startswith("$my "):
        return mine.ids[value[4:]]
    if isinstance(value, str) and value.startswith("$"):
        return ids[value[1:]]
    return value


@pytest.mark.parametrize("place", sorted(_COVERED))
async def test_a_foreign_id_gets_the_answer_of_a_random_one(
    world: World, foreign: World, engine: Engine, place: str
) -> None:
    mine, theirs = await _objects(world, engine), await _objects(foreign, engine)
    document, shape = _COVERED[place]
    random = {prefix: new_id("pay" if prefix == "disputed" else prefix) for prefix in theirs.ids}
    before = await row_counts(engine, world.context), await row_counts(engine, foreign.context)
    answers = [
        await world.ask(document, **_filled(shape, Objects(ids, ""), mine))
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


async def test_the_same_places_answer_for_ones_own_ids(world: World, engine: Engine) -> None:
    mine = await _objects(world, engine)
    for place, (document, shape) in _COVERED.items():
        if place.startswith("Query.") and "after" not in place:
            ids = mine.ids | {"ref": mine.ids["op"]}
            answer = await world.ask(document, **_filled(shape, Objects(ids, ""), mine))
            assert codes(answer) == [], place
            assert "null" not in json.dumps(answer["data"]), place
