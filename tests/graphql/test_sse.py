"""The live feed as server-sent events."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from payengine.engine import Engine
from payengine.settings import Settings
from payengine_graphql import connections, sse
from payengine_graphql.app import UVICORN_LIMITS, create_app
from payengine_tenants.keys import ApiKeys

from tests.graphql.audience import listening
from tests.graphql.worlds import World, codes, make_world

_EVENTS = """
subscription Events($filter: PaymentEventFilter, $after: String) {
  paymentEvents(filter: $filter, after: $after) { type cursor resync position paymentId }
}
"""


class _Stream:
    """One answer, read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.comments = 0

    async def next(self, *, within_s: float = 60) -> dict[str, str]:
        """The fields of the next event; empty at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(within_s):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif fields:
                    return fields
        return fields

    async def event(self) -> dict[str, Any]:
        """The next payment event; its id is its cursor."""
        fields = await self.next()
        assert fields["event"] == "next", fields
        answer = json.loads(fields["data"])
        assert "errors" not in answer, answer
        event: dict[str, Any] = answer["data"]["paymentEvents"]
        assert fields["id"] == event["cursor"]
        return event

    async def error_codes(self) -> list[str]:
        """The errors of a stream that ends with them."""
        found = codes(json.loads((await self.next())["data"]))
        assert await self.next() == {"event": "complete", "data": ""}
        assert await self.next() == {}
        return found


@asynccontextmanager
async def _stream(
    world: World, query: str = _EVENTS, *, last: str | None = None, **variables: Any
) -> AsyncIterator[_Stream]:
    headers = {"Authorization": f"Bearer {world.secret}", "Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = last
    body = {"query": query, "variables": variables}
    async with world.client.stream("POST", "/graphql", json=body, headers=headers) as response:
        yield _Stream(response)


async def test_events_come_as_a_stream_that_no_proxy_holds_back(world: World) -> None:
    async with _stream(world) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert "content-length" not in stream.response.headers
        await listening(world.context)
        payment = (await world.pay())["payment"]["id"]
        events = [await stream.event(), await stream.event()]
    assert [event["type"] for event in events] == ["payment.created", "payment.captured"]
    assert {event["paymentId"] for event in events} == {payment}


async def test_a_client_goes_on_behind_the_last_event_that_it_saw(world: World) -> None:
    async with _stream(world) as stream:
        await listening(world.context)
        await world.pay()
        seen = [await stream.event()]
    first = seen[0]["cursor"]
    for _ in range(3):
        await world.pay()
        # The document still names the first cursor: what the client has seen goes before it.
        async with _stream(world, last=seen[-1]["cursor"], after=first) as stream:
            seen += [await stream.event(), await stream.event()]
    assert [event["position"] for event in seen] == list(range(1, 8))


async def test_a_filter_narrows_the_stream_and_a_foreign_tenant_sees_nothing(
    world: World, foreign: World
) -> None:
    async with (
        _stream(world, filter={"types": ["payment.declined"]}) as stream,
        _stream(foreign) as theirs,
    ):
        await listening(world.context)
        await listening(foreign.context)
        await world.pay()
        await world.pay(paymentMethod={"token": "tok_decline_lost_card"})
        assert (await stream.event())["type"] == "payment.declined"
        with pytest.raises(TimeoutError):
            await theirs.next(within_s=0.5)


async def test_a_quiet_stream_is_kept_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_KEEP_ALIVE_S", 0.1)
    async with _stream(world) as stream:
        await listening(world.context)
        async with asyncio.timeout(60):
            while stream.comments < 3:
                await asyncio.sleep(0.3)
                await world.pay()
                for _ in range(2):
                    await stream.event()


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (_EVENTS, {"after": "nonsense"}, "CURSOR_INVALID"),
        (_EVENTS, {"filter": {"paymentId": "1"}}, "INPUT_INVALID"),
        (_EVENTS, {"filter": 1}, "INPUT_INVALID"),
    ],
)
async def test_what_is_no_good_subscription_is_answered_with_an_error(
    world: World, query: str, variables: dict[str, Any], code: str
) -> None:
    async with _stream(world, query, **variables) as stream:
        assert await stream.error_codes() == [code]


async def test_a_cursor_of_the_client_that_is_no_cursor_is_refused(world: World) -> None:
    async with _stream(world, last="nonsense") as stream:
        assert await stream.error_codes() == ["CURSOR_INVALID"]


async def test_a_key_without_the_scope_streams_nothing(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    world = await make_world(engine, client, scopes=["payments:read"])
    async with _stream(world) as stream:
        assert await stream.error_codes() == ["PERMISSION_DENIED"]


async def test_who_has_no_key_gets_no_stream(world: World) -> None:
    world.secret = "pe_test_nobody"
    async with _stream(world) as stream:
        assert stream.response.status_code == 401
        assert stream.response.headers["content-type"] == "application/json"


async def test_a_query_is_answered_as_ever_and_a_subscription_needs_the_media_type(
    world: World,
) -> None:
    body = {"query": "{ viewer { actor } }"}
    answer = await world.post(body, Accept="text/event-stream, application/json")
    assert answer.headers["content-type"] == "application/json"
    assert "errors" not in answer.json()
    assert codes(await world.ask(_EVENTS)) == ["QUERY_REFUSED"]


async def test_who_leaves_is_forgotten(world: World) -> None:
    async def live() -> dict[str, float]:
        text = (await world.client.get("/metrics")).text
        pairs = [line.split() for line in text.splitlines() if line.startswith("payengine_")]
        return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2}

    names = ("payengine_sockets", "payengine_subscriptions", "payengine_live_queries")

    async def become(count: int) -> None:
        async with asyncio.timeout(60):
            while {(await live())[name] for name in names} != {count}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    await become(0)
    async with _stream(world):
        await become(1)
    await become(0)


async def test_a_revoked_key_ends_its_streams_within_five_seconds(
    world: World, engine: Engine
) -> None:
    async with _stream(world) as stream:
        keys = ApiKeys(engine.database)  # another process, as far as the server can tell
        [key] = await keys.list(world.context)
        await keys.revoke(world.context, key.id)
        began = asyncio.get_running_loop().time()
        assert await stream.next() == {}
        assert asyncio.get_running_loop().time() - began < 30  # a busy machine takes its time
    assert connections._CHECK_KEYS_EVERY_S + 2 * connections._LOOK_EVERY_S < 5


async def test_the_streams_of_a_tenant_are_bounded_and_a_place_is_free_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CONNECTIONS_OF_TENANT", 1)
    async with _stream(world), _stream(world) as second:
        assert second.response.status_code == 429
    await _left(world, 0)
    async with _stream(world) as third:
        assert third.response.status_code == 200


async def test_a_server_that_goes_down_ends_its_streams_at_once(
    engine: Engine, settings: Settings
) -> None:
    config = uvicorn.Config(
        create_app(engine, settings),
        host="127.0.0.1",
        port=0,
        log_level="warning",
        **UVICORN_LIMITS,  # type: ignore[arg-type]
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        world = await make_world(engine, client)
        async with _stream(world) as stream:
            server.should_exit = True
            assert await stream.next() == {}
            await asyncio.wait_for(serving, 60)


async def _open(world: World) -> float:
    text = (await world.client.get("/metrics")).text
    line = next(each for each in text.splitlines() if each.startswith("payengine_sockets "))
    return float(line.split()[1])


async def _left(world: World, most: int) -> None:
    """Wait until no more connections than these are open at the server."""
    async with asyncio.timeout(60):
        while await _open(world) > most:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.02)


async def test_a_reader_that_takes_nothing_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_STALLED_S", 3_600.0)
    many = " ".join(f"a{number}: data" for number in range(30))
    body = json.dumps({"query": f"subscription {{ paymentEvents {{ {many} }} }}"})
    loop = asyncio.get_running_loop()
    place = urlsplit(world.url)
    await _left(world, 0)
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stalled.setblocking(False)
        await loop.sock_connect(stalled, (place.hostname, place.port))
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {world.secret}\r\n"
            "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        await loop.sock_sendall(stalled, (head + body).encode())
        assert (await loop.sock_recv(stalled, 4_096)).startswith(b"HTTP/1.1 200")
        for _ in range(10):
            await asyncio.gather(*(world.pay() for _ in range(4)))
        assert await _open(world) == 1
        monkeypatch.setattr(connections, "_STALLED_S", 0.5)
        await _left(world, 0)
        async with asyncio.timeout(60):
            with suppress(ConnectionResetError):
                while await loop.sock_recv(stalled, 65_536):
                    pass
    assert "ASGI callable" not in caplog.text
