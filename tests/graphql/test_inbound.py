"""Can a tenant make addresses for its providers, see what came in, and have it applied again?"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from payengine.context import SCOPES
from payengine.engine import Engine
from payengine.ids import new_id

from tests.graphql.worlds import World, codes, make_world, new_key
from tests.notices import Doorbell

_CREATE = """
mutation($input: CreateGatewayEndpointInput!) {
  createGatewayEndpoint(input: $input) {
    path errors { code path }
    gatewayEndpoint { id plugin gateway lastFour createdAt revokedAt }
  }
}
"""
_REVOKE = """
mutation($input: RevokeGatewayEndpointInput!) {
  revokeGatewayEndpoint(input: $input) { errors { code } gatewayEndpoint { id revokedAt } }
}
"""
_REPLAY = """
mutation($input: ReplayWebhookInput!) {
  replayWebhook(input: $input) { errors { code } receivedWebhook { id state tries } }
}
"""
_LIST = """
query($first: Int! = 20, $after: String, $filter: ReceivedWebhookFilterInput) {
  receivedWebhooks(first: $first, after: $after, filter: $filter) {
    nodes {
      id plugin gateway eventId kind told state problem needsReview tries
      occurredAt receivedAt settledAt nextTryAt paymentId operationId
      payment { id status } operation { id status }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


async def _create(world: World, **given: Any) -> dict[str, Any]:
    fields = {"idempotencyKey": new_key(), "gateway": "sandbox"} | given
    made: dict[str, Any] = (await world.run(_CREATE, input=fields))["createGatewayEndpoint"]
    return made


def _told(paid: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "reference": "sbx_1",
        "key": paid["operation"]["id"],
        "kind": "authorize",
        "status": "succeeded",
        "amount_minor": 1_234,
        "currency": "EUR",
        "captured": True,
    } | changes


async def _settled(world: World, count: int) -> list[dict[str, Any]]:
    """The received webhooks, when none of them is about to be applied any more."""
    async with asyncio.timeout(60):
        while True:
            nodes: list[dict[str, Any]] = (await world.run(_LIST))["receivedWebhooks"]["nodes"]
            if len(nodes) == count and all(node["state"] != "PENDING" for node in nodes):
                return nodes
            await asyncio.sleep(0.05)


async def test_an_address_is_shown_once(world: World) -> None:
    key = new_key()
    made = await _create(world, idempotencyKey=key)
    assert made["errors"] == []
    assert made["path"].startswith("/api/webhooks/sandbox/")
    shown = made["gatewayEndpoint"]
    assert (shown["plugin"], shown["gateway"]) == ("sandbox", "sandbox")
    assert shown["lastFour"] == made["path"][-4:]
    again = await _create(world, idempotencyKey=key)
    assert (again["path"], again["gatewayEndpoint"], again["errors"]) == (None, shown, [])
    listed = await world.run("{ gatewayEndpoints { nodes { id lastFour revokedAt } } }")
    assert listed["gatewayEndpoints"]["nodes"] == [
        {"id": shown["id"], "lastFour": shown["lastFour"], "revokedAt": None}
    ]


async def test_a_third_address_needs_a_revocation(world: World) -> None:
    one, _ = await _create(world), await _create(world)
    assert [each["code"] for each in (await _create(world))["errors"]] == ["CONFLICT"]
    given = {"idempotencyKey": new_key(), "gatewayEndpointId": one["gatewayEndpoint"]["id"]}
    for _ in range(2):  # the same key again answers alike
        revoked = (await world.run(_REVOKE, input=given))["revokeGatewayEndpoint"]
        assert revoked["errors"] == []
        assert revoked["gatewayEndpoint"]["revokedAt"]
    assert (await _create(world))["errors"] == []


@pytest.mark.parametrize(
    ("gateway", "code"), [("nobody", "PLUGIN_NOT_FOUND"), ("", "PLUGIN_NOT_FOUND")]
)
async def test_an_unknown_gateway_gets_no_address(world: World, gateway: str, code: str) -> None:
    made = await _create(world, gateway=gateway)
    assert (made["path"], [each["code"] for each in made["errors"]]) == (None, [code])


async def test_what_came_in_is_shown_with_what_became_of_it(world: World, engine: Engine) -> None:
    bell = await Doorbell.of(engine, world.context)
    waiting = await world.pay(paymentMethod={"token": "tok_challenge"})
    await bell.tell(_told(waiting), event_id="evt_1")
    (node,) = await _settled(world, 1)
    assert (node["eventId"], node["kind"], node["told"]) == ("evt_1", "AUTHORIZE", "succeeded")
    assert (node["plugin"], node["gateway"], node["state"]) == ("sandbox", "sandbox", "APPLIED")
    assert node["payment"] == {"id": waiting["payment"]["id"], "status": "CAPTURED"}
    assert node["operation"] == {"id": waiting["operation"]["id"], "status": "SUCCEEDED"}
    assert (node["problem"], node["nextTryAt"], node["needsReview"]) == (None, None, False)
    assert node["settledAt"]


async def test_lists_are_filtered_and_paged(world: World, engine: Engine) -> None:
    bell = await Doorbell.of(engine, world.context)
    paid = await world.pay()
    for number in range(3):
        await bell.tell(_told(paid), event_id=f"evt_{number}")
    await bell.tell(_told(paid, key="nobody", reference="sbx_nobody"), event_id="evt_lost")
    await _settled(world, 4)

    async def ids(**variables: Any) -> list[str]:
        found = (await world.run(_LIST, **variables))["receivedWebhooks"]
        return [node["eventId"] for node in found["nodes"]]

    assert await ids() == ["evt_lost", "evt_2", "evt_1", "evt_0"]
    assert await ids(filter={"states": ["UNMATCHED"]}) == ["evt_lost"]
    assert await ids(filter={"states": ["STALE", "UNMATCHED"], "gateway": "sandbox"}) == [
        "evt_lost",
        "evt_2",
        "evt_1",
        "evt_0",
    ]
    assert await ids(filter={"gateway": "other"}) == []
    assert await ids(filter={"needsReview": True}) == []
    assert await ids(filter={"paymentId": paid["payment"]["id"]}) == ["evt_2", "evt_1", "evt_0"]
    first = (await world.run(_LIST, first=3))["receivedWebhooks"]
    assert first["pageInfo"]["hasNextPage"]
    assert await ids(first=3, after=first["pageInfo"]["endCursor"]) == ["evt_0"]
    wrong = await world.ask(_LIST, after="pay_1")
    assert codes(wrong) == ["CURSOR_INVALID"]


async def test_a_replay_applies_it_again(world: World, engine: Engine) -> None:
    bell = await Doorbell.of(engine, world.context)
    paid = await world.pay()
    (stored,) = (await bell.tell(_told(paid))).stored
    await _settled(world, 1)
    given = {"idempotencyKey": new_key(), "receivedWebhookId": stored}
    replayed = (await world.run(_REPLAY, input=given))["replayWebhook"]
    assert replayed["errors"] == []
    assert replayed["receivedWebhook"]["state"] in ("PENDING", "STALE")
    (node,) = await _settled(world, 1)
    assert (node["state"], node["tries"]) == ("STALE", 1)
    again = (await world.run(_REPLAY, input=given))["replayWebhook"]
    assert again["receivedWebhook"] == {"id": stored, "state": "STALE", "tries": 1}
    unknown = {"idempotencyKey": new_key(), "receivedWebhookId": new_id("rwh")}
    refused = (await world.run(_REPLAY, input=unknown))["replayWebhook"]
    assert [each["code"] for each in refused["errors"]] == ["NOT_FOUND"]


async def test_the_call_itself_can_be_read(world: World, engine: Engine) -> None:
    bell = await Doorbell.of(engine, world.context)
    paid = await world.pay()
    (stored,) = (await bell.tell(_told(paid) | {"note": "Grüße"}, event_id="evt_1")).stored
    query = """
    query($id: ID!) {
      webhookRequest(id: $id) { id receivedAt headers { name value } body bodyBase64 redacted }
    }
    """
    kept = (await world.run(query, id=stored))["webhookRequest"]
    assert "Grüße" in kept["body"]
    assert base64.b64decode(kept["bodyBase64"]).decode() == kept["body"]
    assert {"name": "webhook-id", "value": "evt_1"} in kept["headers"]
    assert not kept["redacted"]


async def test_both_are_nodes(world: World, engine: Engine) -> None:
    bell = await Doorbell.of(engine, world.context)
    paid = await world.pay()
    (stored,) = (await bell.tell(_told(paid))).stored
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }"
    found = (await world.run(query, ids=[stored, bell.endpoint.id, new_id("rwh")]))["nodes"]
    assert found == [
        {"id": stored, "__typename": "ReceivedWebhook"},
        {"id": bell.endpoint.id, "__typename": "GatewayEndpoint"},
        None,
    ]
    one = "query($id: ID!) { receivedWebhook(id: $id) { id } }"
    assert (await world.run(one, id=stored))["receivedWebhook"] == {"id": stored}


_READS: Sequence[tuple[str, str]] = (
    ("{ gatewayEndpoints { nodes { id } } }", "plugins:read"),
    ("{ receivedWebhooks { nodes { id } } }", "webhooks:read"),
    ("query($id: ID!) { receivedWebhook(id: $id) { id } }", "webhooks:read"),
    ("query($id: ID!) { node(id: $id) { id } }", "webhooks:read"),
    ("query($id: ID!) { webhookRequest(id: $id) { id } }", "webhooks:write"),
)


@pytest.mark.parametrize(("query", "scope"), _READS)
async def test_each_read_needs_its_scope(
    engine: Engine, client: httpx.AsyncClient, query: str, scope: str
) -> None:
    world = await make_world(engine, client, scopes=[each for each in SCOPES if each != scope])
    variables = {"id": new_id("rwh")} if "$id" in query else {}
    assert codes(await world.ask(query, **variables)) == ["PERMISSION_DENIED"]


async def test_each_mutation_needs_its_scope(engine: Engine, client: httpx.AsyncClient) -> None:
    poor = [each for each in SCOPES if each not in ("plugins:write", "webhooks:write")]
    world = await make_world(engine, client, scopes=poor)
    for document, given in (
        (_CREATE, {"gateway": "sandbox"}),
        (_REVOKE, {"gatewayEndpointId": new_id("gwe")}),
        (_REPLAY, {"receivedWebhookId": new_id("rwh")}),
    ):
        answer = await world.ask(document, input={"idempotencyKey": new_key()} | given)
        assert codes(answer) == ["PERMISSION_DENIED"]
