"""Does the providers' door let in what is proved, answer everybody else, and never break?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from payengine.engine import Engine
from payengine_graphql.webhooks_in import MAX_BODY_BYTES, WebhookRoutes

from tests.graphql.worlds import World, new_key, row_counts
from tests.notices import Notice, drain, notice

_CREATE = """
mutation($input: CreateGatewayEndpointInput!) {
  createGatewayEndpoint(input: $input) { path errors { code } gatewayEndpoint { id } }
}
"""
_REVOKE = """
mutation($input: RevokeGatewayEndpointInput!) {
  revokeGatewayEndpoint(input: $input) { errors { code } }
}
"""


async def _endpoint(world: World) -> tuple[str, str]:
    """A new endpoint's id and path."""
    data = await world.run(_CREATE, input={"idempotencyKey": new_key(), "gateway": "sandbox"})
    made = data["createGatewayEndpoint"]
    assert made["errors"] == []
    return made["gatewayEndpoint"]["id"], made["path"]


async def _told(world: World) -> dict[str, Any]:
    """A payment's operation as the provider shows it."""
    paid = await world.pay()
    return {
        "reference": "sbx_1",
        "key": paid["operation"]["id"],
        "kind": "authorize",
        "status": "succeeded",
        "amount_minor": 1_234,
        "currency": "EUR",
        "captured": True,
    }


async def _send(client: httpx.AsyncClient, path: str, call: Notice) -> httpx.Response:
    return await client.post(path, content=call.body, headers=call.headers)


def _code(response: httpx.Response) -> str:
    code: str = response.json()["errors"][0]["extensions"]["code"]
    return code


async def test_a_genuine_call_is_acknowledged_and_needs_no_key(
    world: World, client: httpx.AsyncClient
) -> None:
    _, path = await _endpoint(world)
    call = notice(world.context, await _told(world))
    first = await _send(client, path, call)
    assert (first.status_code, first.json()) == (200, {"received": 1, "new": 1})
    again = await _send(client, path, call)
    assert (again.status_code, again.json()) == (200, {"received": 1, "new": 0})
    assert first.headers["x-request-id"]
    assert first.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused(
    world: World, client: httpx.AsyncClient, method: str
) -> None:
    _, path = await _endpoint(world)
    for each in (path, "/api/webhooks/sandbox", "/api/webhooks/sandbox/nobody"):
        refused = await client.request(method, each)
        assert refused.status_code == 405
        assert refused.headers["allow"] == "POST"
        if method != "HEAD":
            assert _code(refused) == "METHOD_NOT_ALLOWED"


async def test_the_bare_path_says_that_an_endpoint_is_needed(client: httpx.AsyncClient) -> None:
    for plugin in ("sandbox", "nobody"):
        refused = await client.post(f"/api/webhooks/{plugin}", content=b"{}")
        assert refused.status_code == 404
        assert _code(refused) == "WEBHOOK_ENDPOINT_UNKNOWN"
        assert "gateway endpoint" in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/webhooks/sandbox/nobody",
        "/api/webhooks/sandbox/" + "x" * 43,
        "/api/webhooks/nobody/" + "x" * 43,
        "/api/webhooks/sandbox/" + "x" * 2_000,
        "/api/webhooks/sandbox/%00%ff",
        "/api/webhooks/%F0%9F%92%B3/x",
        "/api/webhooks/sandbox/a/b",
        "/api/webhooks/",
        "/api/webhooks",
        "/api",
    ],
)
async def test_addresses_that_nobody_has_are_not_found(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.post(path, content=b"{}")).status_code == 404


async def test_an_address_works_for_its_own_plugin_only(
    world: World, client: httpx.AsyncClient
) -> None:
    _, path = await _endpoint(world)
    call = notice(world.context, await _told(world))
    elsewhere = await _send(client, path.replace("/sandbox/", "/other/"), call)
    unknown = await _send(client, "/api/webhooks/other/" + "x" * 43, call)
    assert elsewhere.status_code == unknown.status_code == 404
    assert elsewhere.json() == unknown.json()


async def test_a_revoked_address_takes_nothing_more(
    world: World, client: httpx.AsyncClient
) -> None:
    endpoint_id, path = await _endpoint(world)
    call = notice(world.context, await _told(world))
    assert (await _send(client, path, call)).status_code == 200
    await world.run(_REVOKE, input={"idempotencyKey": new_key(), "gatewayEndpointId": endpoint_id})
    refused = await _send(client, path, call)
    assert (refused.status_code, _code(refused)) == (404, "WEBHOOK_ENDPOINT_UNKNOWN")


async def test_what_is_not_proved_is_a_400_and_changes_nothing(
    world: World, foreign: World, client: httpx.AsyncClient, engine: Engine
) -> None:
    _, path = await _endpoint(world)
    told = await _told(world)
    good = notice(world.context, told)
    before = await row_counts(engine, world.context)
    for call in (
        Notice({}, b""),
        Notice({}, good.body),
        Notice(good.headers, good.body + b" "),
        Notice(good.headers | {"webhook-signature": "v1,AAAA"}, good.body),
        notice(foreign.context, told),
        notice(world.context, told | {"status": "perhaps"}),
    ):
        refused = await _send(client, path, call)
        assert (refused.status_code, _code(refused)) == (400, "WEBHOOK_REJECTED")
        assert "sandbox" not in refused.text.lower()
    assert await row_counts(engine, world.context) == before


async def test_a_body_beyond_the_cap_is_refused(world: World, client: httpx.AsyncClient) -> None:
    _, path = await _endpoint(world)

    async def chunks() -> Any:
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            yield b"x" * 65_536

    for content in (b"x" * (MAX_BODY_BYTES + 1), chunks()):
        refused = await client.post(path, content=content)
        assert (refused.status_code, _code(refused)) == (413, "BODY_TOO_LARGE")
    fits = await client.post(path, content=b"x" * MAX_BODY_BYTES)
    assert (fits.status_code, _code(fits)) == (400, "WEBHOOK_REJECTED")


async def test_headers_beyond_reason_are_refused(world: World, client: httpx.AsyncClient) -> None:
    _, path = await _endpoint(world)
    headers = {f"x-{number}": "v" * 1_000 for number in range(40)}
    refused = await client.post(path, content=b"{}", headers=headers)
    assert 400 <= refused.status_code < 500


async def test_a_client_that_leaves_in_the_middle_breaks_nothing(
    world: World, client: httpx.AsyncClient, url: str
) -> None:
    _, path = await _endpoint(world)
    host, _, port = url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{"
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    call = notice(world.context, await _told(world))
    assert (await _send(client, path, call)).status_code == 200


async def test_an_endpoint_that_is_called_too_often_waits(
    engine: Engine, world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payengine_graphql import webhooks_in

    monkeypatch.setattr(webhooks_in, "_BURST", 3.0)
    monkeypatch.setattr(webhooks_in, "_RATE", 0.0)
    _, path = await _endpoint(world)
    answers = [await client.post(path, content=b"{}") for _ in range(5)]
    assert [each.status_code for each in answers] == [400, 400, 400, 429, 429]
    assert _code(answers[-1]) == "RATE_LIMITED"
    assert answers[-1].headers["retry-after"] == "1"


async def test_calls_are_counted_by_plugin_and_by_no_name_of_a_stranger(
    engine: Engine, world: World, client: httpx.AsyncClient
) -> None:
    counted: list[tuple[str, str]] = []
    routes = WebhookRoutes(engine, count=lambda plugin, result: counted.append((plugin, result)))
    from starlette.applications import Starlette

    transport = httpx.ASGITransport(app=Starlette(routes=routes.routes()))
    _, path = await _endpoint(world)
    call = notice(world.context, await _told(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as direct:
        await _send(direct, path, call)
        await direct.post(path, content=b"{}")
        await direct.post("/api/webhooks/evil%0Aname/x", content=b"{}")
    assert counted == [("sandbox", "stored"), ("sandbox", "WEBHOOK_REJECTED")]
    shown = (await client.get("/metrics")).text
    assert 'payengine_webhooks_in_total{plugin="sandbox",result=' in shown


async def test_what_came_in_moves_the_payment(
    world: World, client: httpx.AsyncClient, engine: Engine
) -> None:
    _, path = await _endpoint(world)
    waiting = await world.pay(paymentMethod={"token": "tok_challenge"})
    assert waiting["payment"]["status"] == "REQUIRES_ACTION"
    told = {
        "reference": "sbx_1",
        "key": waiting["operation"]["id"],
        "kind": "authorize",
        "status": "succeeded",
        "amount_minor": 1_234,
        "currency": "EUR",
        "captured": True,
    }
    assert (await _send(client, path, notice(world.context, told))).status_code == 200
    await drain(engine, after=timedelta())
    query = """
    query($id: ID!) { payment(id: $id) { status attempts { operations { status
      evidence { source } } } } }
    """
    async with asyncio.timeout(60):
        while True:
            data = await world.run(query, id=waiting["payment"]["id"])
            if data["payment"]["status"] == "CAPTURED":
                break
            await asyncio.sleep(0.05)
    (attempt,) = data["payment"]["attempts"]
    (operation,) = attempt["operations"]
    assert [each["source"] for each in operation["evidence"]] == ["WEBHOOK"]
