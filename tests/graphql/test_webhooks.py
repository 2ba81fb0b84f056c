"""A tenant is told of its payments by webhook, and sees in the API what became of each message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from payengine.engine import Engine, open_engine
from payengine.settings import Settings

from tests.conftest import Servers
from tests.graphql.conftest import serving
from tests.graphql.worlds import World, codes, make_world, new_key
from tests.receivers import Answer, Receiver, receiving
from tests.servers import migrated_home

_ENDPOINT = """
    id url description eventTypes status disabledReason failures nextAttemptAt
    secrets { lastFour expiresAt }
"""
_CREATE = f"""
mutation ($input: CreateWebhookEndpointInput!) {{
  createWebhookEndpoint(input: $input) {{
    webhookEndpoint {{ {_ENDPOINT} }} secret errors {{ code message path }}
  }}
}}
"""
_DELIVERIES = """
query ($id: ID!, $after: String, $filter: WebhookDeliveryFilterInput) {
  webhookDeliveries(webhookEndpointId: $id, first: 3, after: $after, filter: $filter) {
    nodes {
      id eventId eventType status tries nextAttemptAt endpoint { id }
      attempts { number reason statusCode latencyMs error response }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


@pytest.fixture(scope="module")
async def telling(servers: Servers) -> AsyncIterator[Engine]:
    """An engine whose loops run and whose webhooks may reach this machine; `servers` come first,
    as they name the home."""
    async with migrated_home() as home:
        settings = Settings.from_environment({}, home=home.home, webhook_allow_private=True)
        async with open_engine(
            settings, login_url=home.login_url, redis_url=home.redis_url
        ) as engine:
            yield engine


@pytest.fixture
async def shop(telling: Engine) -> AsyncIterator[World]:
    """A fresh tenant of that engine."""
    async with (
        serving(telling, telling.settings) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as client,
    ):
        yield await make_world(telling, client)


async def create(shop: World, url: str, **given: Any) -> tuple[dict[str, Any], str]:
    """A new endpoint and its secret."""
    data = await shop.run(_CREATE, input={"idempotencyKey": new_key(), "url": url} | given)
    payload = data["createWebhookEndpoint"]
    assert payload["errors"] == []
    return payload["webhookEndpoint"], payload["secret"]


async def do(shop: World, mutation: str, selection: str, **given: Any) -> dict[str, Any]:
    """The payload of a mutation about an endpoint."""
    title = mutation[0].upper() + mutation[1:]
    data = await shop.run(
        f"mutation ($input: {title}Input!) {{ {mutation}(input: $input) {{ {selection}"
        " errors { code path } } }",
        input={"idempotencyKey": new_key()} | given,
    )
    payload: dict[str, Any] = data[mutation]
    return payload


async def until(receiver: Receiver, is_so: Callable[[Receiver], bool]) -> None:
    """Wait until the receiver has what is wanted."""
    for _ in range(3_000):
        if is_so(receiver):
            return
        await asyncio.sleep(0.02)
    raise AssertionError([each.message["type"] for each in receiver.got])


async def test_a_payment_is_told_signed_and_in_order(shop: World) -> None:
    with receiving() as receiver:
        endpoint, secret = await create(shop, receiver.url, description="the shop")
        paid = await shop.pay()
        await until(receiver, lambda each: len(each.got) == 2)
    messages = [got.verified(secret) for got in receiver.got]
    assert [each["type"] for each in messages] == ["payment.created", "payment.captured"]
    assert {each["payment_id"] for each in messages} == {paid["payment"]["id"]}
    assert messages[1]["data"]["status"] == "CAPTURED"
    assert endpoint["secrets"] == [{"lastFour": secret[-4:], "expiresAt": None}]


async def test_the_log_shows_every_attempt(shop: World) -> None:
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(503, b"come back")
        endpoint, _ = await create(shop, receiver.url, eventTypes=["payment.captured"])
        await shop.pay()
        await until(receiver, lambda each: len(each.got) == 1)
        for _ in range(3_000):
            data = await shop.run(_DELIVERIES, id=endpoint["id"])
            if data["webhookDeliveries"]["nodes"]:
                break
            await asyncio.sleep(0.02)
        (delivery,) = data["webhookDeliveries"]["nodes"]
        assert delivery["status"] == "RETRYING"
        assert delivery["nextAttemptAt"] is not None
        (attempt,) = delivery["attempts"]
        assert attempt.pop("latencyMs") >= 0
        assert attempt == {
            "number": 1,
            "reason": "EVENT",
            "statusCode": 503,
            "error": "STATUS",
            "response": "come back",
        }
        read = f"query ($id: ID!) {{ webhookEndpoint(id: $id) {{ {_ENDPOINT} }} }}"
        shown = (await shop.run(read, id=endpoint["id"]))["webhookEndpoint"]
        assert (shown["status"], shown["failures"]) == ("ENABLED", 1)
        receiver.answer = lambda got: Answer()
        await until(receiver, lambda each: len(each.got) == 2)
    read = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on WebhookDelivery { status tries } } }"
    for _ in range(3_000):
        (node,) = (await shop.run(read, ids=[delivery["id"]]))["nodes"]
        if node["status"] == "DELIVERED":
            break
        await asyncio.sleep(0.02)
    assert node == {"status": "DELIVERED", "tries": 2}


async def test_a_test_shows_what_the_endpoint_answers(shop: World) -> None:
    selection = "webhookDelivery { status eventType } attempt { statusCode response error }"
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(201, b"made")
        endpoint, secret = await create(shop, receiver.url)
        sent = await do(shop, "sendTestWebhook", selection, webhookEndpointId=endpoint["id"])
    receiver.got[0].verified(secret)
    assert sent["attempt"] == {"statusCode": 201, "response": "made", "error": None}
    assert sent["webhookDelivery"] == {
        "status": "DELIVERED",
        "eventType": "webhook_endpoint.test",
    }


async def test_a_rotation_shows_a_new_secret_once(shop: World) -> None:
    with receiving() as receiver:
        endpoint, old = await create(shop, receiver.url)
        key = new_key()
        selection = "secret webhookEndpoint { secrets { lastFour expiresAt } }"
        given = {
            "idempotencyKey": key,
            "webhookEndpointId": endpoint["id"],
            "overlapSeconds": 60,
        }
        rotated = await do(shop, "rotateWebhookSecret", selection, **given)
        again = await do(shop, "rotateWebhookSecret", selection, **given)
        await do(shop, "sendTestWebhook", "attempt { error }", webhookEndpointId=endpoint["id"])
    assert again["secret"] is None
    newest, oldest = rotated["webhookEndpoint"]["secrets"]
    assert (newest["lastFour"], newest["expiresAt"]) == (rotated["secret"][-4:], None)
    assert oldest["lastFour"] == old[-4:]
    assert oldest["expiresAt"] is not None
    for secret in (old, rotated["secret"]):
        receiver.got[0].verified(secret)


async def test_events_are_sent_once_more(shop: World) -> None:
    with receiving() as receiver:
        endpoint, _ = await create(shop, receiver.url)
        await shop.pay()
        await until(receiver, lambda each: len(each.got) == 2)
        selection = "webhookRedelivery { id status eventId }"
        asked = await do(
            shop,
            "redeliverWebhook",
            selection,
            webhookEndpointId=endpoint["id"],
            eventId=receiver.ids[1],
        )
        assert asked["webhookRedelivery"]["status"] == "OPEN"
        await until(receiver, lambda each: len(each.got) == 3)
        since = datetime.now(UTC) - timedelta(hours=1)
        again = await do(
            shop,
            "redeliverWebhook",
            selection,
            webhookEndpointId=endpoint["id"],
            since=since.isoformat(),
        )
        await until(receiver, lambda each: len(each.got) == 5)
        old = await do(
            shop,
            "redeliverWebhook",
            selection,
            webhookEndpointId=endpoint["id"],
            since="2020-01-01T00:00:00Z",
        )
    assert old["errors"] == [{"code": "INPUT_INVALID", "path": ["since"]}]
    assert receiver.ids[3:] == receiver.ids[:2]
    read = "query ($id: ID!) { node(id: $id) { ... on WebhookRedelivery { status delivered } } }"
    for _ in range(3_000):
        node = (await shop.run(read, id=again["webhookRedelivery"]["id"]))["node"]
        if node["status"] == "DONE":
            break
        await asyncio.sleep(0.02)
    assert node == {"status": "DONE", "delivered": 2}
    assert receiver.ids[2] == receiver.ids[1]


async def test_the_state_of_an_endpoint_is_the_tenants(shop: World) -> None:
    with receiving() as receiver:
        endpoint, _ = await create(shop, receiver.url)
        given = {"webhookEndpointId": endpoint["id"]}
        selection = "webhookEndpoint { status disabledReason eventTypes }"
        off = await do(shop, "disableWebhookEndpoint", selection, **given)
        assert off["webhookEndpoint"]["status"] == "DISABLED"
        assert off["webhookEndpoint"]["disabledReason"] == "TENANT"
        changed = await do(
            shop, "updateWebhookEndpoint", selection, **given, eventTypes=["refund.*"]
        )
        assert changed["webhookEndpoint"]["eventTypes"] == ["refund.*"]
        on = await do(shop, "enableWebhookEndpoint", selection, **given, resume="NOW")
        assert on["webhookEndpoint"]["status"] == "ENABLED"
        gone = await do(shop, "deleteWebhookEndpoint", "deletedId", **given)
        assert gone["deletedId"] == endpoint["id"]
        listed = await shop.run("{ webhookEndpoints { nodes { id } } }")
        assert listed["webhookEndpoints"]["nodes"] == []
        again = await do(shop, "enableWebhookEndpoint", selection, **given)
        assert again["errors"] == [{"code": "NOT_FOUND", "path": ["webhookEndpointId"]}]


async def test_deliveries_are_paged_and_filtered(shop: World) -> None:
    with receiving() as receiver:
        endpoint, _ = await create(shop, receiver.url)
        for _ in range(2):
            await shop.pay()
        await until(receiver, lambda each: len(each.got) == 4)
        for _ in range(3_000):
            data = await shop.run(_DELIVERIES, id=endpoint["id"])
            if data["webhookDeliveries"]["nodes"][0]["eventId"] == receiver.ids[-1]:
                break
            await asyncio.sleep(0.02)
        page = data["webhookDeliveries"]
        assert page["pageInfo"]["hasNextPage"]
        rest = await shop.run(_DELIVERIES, id=endpoint["id"], after=page["pageInfo"]["endCursor"])
        found = [each["eventId"] for each in (*page["nodes"], *rest["webhookDeliveries"]["nodes"])]
        assert found == receiver.ids[::-1]
        one = await shop.run(
            _DELIVERIES,
            id=endpoint["id"],
            filter={"eventId": receiver.ids[0], "status": "DELIVERED"},
        )
        assert len(one["webhookDeliveries"]["nodes"]) == 1
        none = await shop.run(_DELIVERIES, id=endpoint["id"], filter={"status": "RETRYING"})
        assert none["webhookDeliveries"]["nodes"] == []


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"url": "https://169.254.169.254/"}, "WEBHOOK_URL_REFUSED", ["url"]),
        ({"url": "ftp://example.com/"}, "WEBHOOK_URL_REFUSED", ["url"]),
        ({"url": "https://a.example/", "eventTypes": ["no!"]}, "INPUT_INVALID", ["eventTypes"]),
        ({"url": "https://a.example/4242424242424242"}, "SENSITIVE_DATA_REFUSED", ["url"]),
    ],
)
async def test_what_cannot_be_accepted_is_a_typed_error(
    shop: World, given: dict[str, Any], code: str, path: list[str]
) -> None:
    answer = await shop.ask(_CREATE, input={"idempotencyKey": new_key()} | given)
    payload = answer["data"]["createWebhookEndpoint"]
    assert [(each["code"], each["path"]) for each in payload["errors"]] == [(code, path)]
    assert payload["webhookEndpoint"] is payload["secret"] is None


async def test_scopes_are_asked_for(shop: World, telling: Engine) -> None:
    reader = await make_world(telling, shop.client, scopes=["webhooks:read"])
    writer = await make_world(telling, shop.client, scopes=["webhooks:write"])
    denied = await reader.ask(_CREATE, input={"idempotencyKey": "a", "url": "https://a.example/"})
    assert codes(denied) == ["PERMISSION_DENIED"]
    assert codes(await writer.ask("{ webhookEndpoints { nodes { id } } }")) == ["PERMISSION_DENIED"]
