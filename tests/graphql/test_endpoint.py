"""GraphQL over HTTP: what is read, what is refused, and that refusals change nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from payengine.engine import Engine
from payengine_graphql.endpoint import MAX_BODY_BYTES

from tests.graphql.hostile import HOSTILE
from tests.graphql.worlds import CREATE, World, codes, make_world, new_key, row_counts

_VIEWER = "{ viewer { actor tenant { name mode } scopes } }"


async def test_the_viewer_is_the_keys_tenant(world: World) -> None:
    data = await world.run(_VIEWER)
    assert data["viewer"]["tenant"] == {"name": "a test", "mode": "test"}
    assert data["viewer"]["actor"].startswith("key_")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic dTpw"},
        {"Authorization": "Bearer " + "x" * 5_000},
    ],
)
async def test_without_a_key_nothing_is_told(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.post("/graphql", json={"query": "{ nonsense }"}, headers=headers)
    assert response.status_code == 401
    assert codes(response.json()) == ["UNAUTHENTICATED"]
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_only_post_is_taken(production_url: str, method: str) -> None:
    async with httpx.AsyncClient() as client:
        response = await client.request(method, f"{production_url}/graphql")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    if method != "HEAD":
        assert codes(response.json()) == ["METHOD_NOT_ALLOWED"]


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""],
)
async def test_only_json_is_taken(world: World, media_type: str) -> None:
    response = await world.client.post(
        "/graphql",
        content=json.dumps({"query": _VIEWER}),
        headers={"Authorization": f"Bearer {world.secret}", "Content-Type": media_type},
    )
    assert response.status_code == 415
    assert codes(response.json()) == ["UNSUPPORTED_MEDIA_TYPE"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"query": 1}',
        b'{"query": null}',
        b'{"query": "{ viewer { actor } }", "variables": []}',
        b'{"query": "{ viewer { actor } }", "operationName": 1}',
        b'[{"query": "{ viewer { actor } }"}]',
        b'{"query": "{ viewer { actor } }", "variables": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"query": "\xff"}',
        b'{"query": "{ viewer { actor } }", "variables": {"a": NaN}}',
    ],
)
async def test_a_body_that_is_no_request_is_refused(world: World, body: bytes) -> None:
    response = await world.client.post(
        "/graphql",
        content=body,
        headers={"Authorization": f"Bearer {world.secret}", "Content-Type": "application/json"},
    )
    assert response.status_code == 400
    assert codes(response.json()) == ["REQUEST_MALFORMED"]


async def test_an_oversized_body_is_refused_by_its_announcement(world: World) -> None:
    response = await world.post({"query": _VIEWER, "extensions": {"pad": "x" * MAX_BODY_BYTES}})
    assert response.status_code == 413
    assert codes(response.json()) == ["BODY_TOO_LARGE"]


async def test_an_oversized_body_is_refused_while_it_comes(world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1_024 + 2):
            yield b" " * 1_024

    response = await world.client.post(
        "/graphql",
        content=chunks(),
        headers={"Authorization": f"Bearer {world.secret}", "Content-Type": "application/json"},
    )
    assert response.status_code == 413
    assert codes(response.json()) == ["BODY_TOO_LARGE"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_document_is_refused_and_changes_nothing(
    world: World, engine: Engine, name: str
) -> None:
    document, code = HOSTILE[name]
    before = await row_counts(engine, world.context)
    response = await world.post({"query": document})
    assert response.status_code == 200
    assert codes(response.json())[0] == code
    assert response.json().get("data") is None
    assert await row_counts(engine, world.context) == before


async def test_a_client_of_the_newer_media_type_gets_the_documents_status(world: World) -> None:
    newer = {"Accept": "application/graphql-response+json"}
    assert (await world.post({"query": "{ nothing }"}, **newer)).status_code == 400
    answer = await world.post({"query": _VIEWER}, **newer)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/graphql-response+json"


async def test_each_answer_carries_its_reference_and_the_security_headers(world: World) -> None:
    answer = await world.post({"query": _VIEWER}, **{"X-Request-Id": "reference-1"})
    assert answer.headers["x-request-id"] == "reference-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    other = await world.post({"query": _VIEWER}, **{"X-Request-Id": "bad value!"})
    assert other.headers["x-request-id"] != "bad value!"


async def test_an_unknown_address_is_a_typed_answer(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing")
    assert response.status_code == 404
    assert codes(response.json()) == ["NOT_FOUND"]


async def test_the_page_is_shown_in_development_and_loads_nothing(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/graphql")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "src=" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_introspection_is_off_in_production(world: World, production_url: str) -> None:
    async with httpx.AsyncClient(base_url=production_url) as client:
        there = World(world.context, world.secret, client, production_url)
        for query in ("{ __schema { types { name } } }", '{ __type(name: "Payment") { name } }'):
            assert set(codes(await there.ask(query))) == {"QUERY_INVALID"}
        answer = await there.ask("{ payment(id: 1) { statu } }")
        assert "Did you mean" not in answer["errors"][0]["message"]
    assert "__schema" in await world.run("{ __schema { queryType { name } } }")


async def test_a_key_without_the_scope_is_refused_field_by_field(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    world = await make_world(engine, client, scopes=["customers:read"])
    reads = {
        "{ payments { nodes { id } } }",
        "{ events { nodes { id } } }",
        "{ ledgerBalances { account } }",
        "{ plugins { name } }",
        "{ apiKeys { nodes { id } } }",
    }
    for query in reads:
        assert codes(await world.ask(query)) == ["PERMISSION_DENIED"], query
    assert (await world.run("{ customers { nodes { id } } }"))["customers"]["nodes"] == []
    payload = await world.pay()
    assert [error["code"] for error in payload["errors"]] == ["PERMISSION_DENIED"]


async def test_a_mutation_goes_on_when_its_client_has_gone(world: World) -> None:
    key = new_key()
    given: dict[str, Any] = {
        "idempotencyKey": key,
        "amount": {"amountMinor": 3_016, "currency": "EUR"},
        "paymentMethod": {"token": "tok_magic"},  # a slow gateway
    }
    body = json.dumps({"query": CREATE, "variables": {"input": given}}).encode()
    host = world.client.base_url
    _, writer = await asyncio.open_connection(host.host, host.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (world.secret.encode(), len(body), body)
    )
    await writer.drain()
    await _until_payments_are(world, ["PROCESSING"])
    writer.transport.abort()
    await _until_payments_are(world, ["CAPTURED"])


async def _until_payments_are(world: World, statuses: list[str]) -> None:
    found: list[str] = []
    for _ in range(1_200):
        data = await world.run("{ payments { nodes { status } } }")
        found = [node["status"] for node in data["payments"]["nodes"]]
        if found == statuses:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the payments are {found}")
