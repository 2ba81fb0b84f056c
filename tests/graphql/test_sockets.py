"""The live feed over graphql-transport-ws."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from payengine.engine import Engine
from payengine.ids import new_id
from payengine_graphql import connections, outbox, sockets
from payengine_tenants.keys import ApiKeys
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.graphql.audience import listening
from tests.graphql.stalling import open_sockets, resident_bytes
from tests.graphql.worlds import World, codes, make_world

_EVENTS = """
subscription Events($filter: PaymentEventFilter, $after: String) {
  paymentEvents(filter: $filter, after: $after) {
    type cursor resync position paymentId occurredAt data payment { id status }
  }
}
"""

_PLACE = "type cursor resync position"


@asynccontextmanager
async def _raw(
    world: World, *, protocols: tuple[str, ...] = (sockets.SUBPROTOCOL,)
) -> AsyncIterator[ClientConnection]:
    address = world.url.replace("http", "ws").rstrip("/") + "/graphql"
    offered = [Subprotocol(protocol) for protocol in protocols]
    async with connect(address, subprotocols=offered or None) as socket:
        yield socket


@asynccontextmanager
async def _socket(world: World) -> AsyncIterator[ClientConnection]:
    async with _raw(world) as socket:
        await _say(
            socket, type="connection_init", payload={"authorization": f"Bearer {world.secret}"}
        )
        assert await _hear(socket) == {"type": "connection_ack"}
        yield socket


async def _say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def _hear(socket: ClientConnection) -> dict[str, Any]:
    text = await asyncio.wait_for(socket.recv(), 60)
    assert isinstance(text, str), "browsers hang on binary frames"
    message: dict[str, Any] = json.loads(text)
    return message


async def _watch(
    socket: ClientConnection, name: str = "1", query: str = _EVENTS, **variables: Any
) -> None:
    await _say(socket, id=name, type="subscribe", payload={"query": query, "variables": variables})


async def _event(socket: ClientConnection, name: str = "1") -> dict[str, Any]:
    message = await _hear(socket)
    assert message["type"] == "next", message
    assert message["id"] == name
    assert "errors" not in message["payload"], message
    event: dict[str, Any] = message["payload"]["data"]["paymentEvents"]
    return event


async def _close_code(socket: ClientConnection, *, within_s: float = 60) -> int:
    try:
        async with asyncio.timeout(within_s):
            while True:
                await socket.recv()
    except ConnectionClosed:
        assert socket.close_code is not None
        return socket.close_code


async def test_events_come_live_and_in_order(world: World) -> None:
    async with _socket(world) as socket:
        await _watch(socket)
        await listening(world.context)
        payment = (await world.pay())["payment"]["id"]
        events = [await _event(socket), await _event(socket)]
    assert [event["type"] for event in events] == ["payment.created", "payment.captured"]
    assert [event["position"] for event in events] == [1, 2]
    assert {event["paymentId"] for event in events} == {payment}
    assert events[1]["payment"] == {"id": payment, "status": "CAPTURED"}
    assert events[1]["data"]["status"] == "CAPTURED"


async def test_a_reader_goes_on_behind_its_cursor_without_gap_or_repetition(world: World) -> None:
    async with _socket(world) as socket:
        await _watch(socket)
        await listening(world.context)
        await world.pay()
        seen = [await _event(socket)]
    for _ in range(3):
        await world.pay()
    for _ in range(3):
        async with _socket(world) as socket:
            await _watch(socket, after=seen[-1]["cursor"])
            seen += [await _event(socket), await _event(socket)]
    assert [event["position"] for event in seen] == list(range(1, 8))


async def test_a_filter_narrows_the_feed(world: World) -> None:
    async with _socket(world) as socket:
        await _watch(socket, filter={"types": ["payment.declined"]})
        await listening(world.context)
        await world.pay()
        await world.pay(paymentMethod={"token": "tok_decline_lost_card"})
        assert (await _event(socket))["type"] == "payment.declined"


async def test_a_foreign_tenant_sees_nothing(world: World, foreign: World) -> None:
    payment = await world.pay()
    async with _socket(foreign) as socket:
        await _watch(socket)
        await _watch(socket, "2", filter={"paymentId": payment["payment"]["id"]})
        await _watch(socket, "3", filter={"paymentId": new_id("pay")})
        await _watch(socket, "4", filter={"customerId": new_id("cus")})
        await listening(foreign.context, 4)
        await world.pay()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 1.5)


async def test_a_foreign_cursor_is_a_place_and_shows_nothing(world: World, foreign: World) -> None:
    async with _socket(world) as socket:
        await _watch(socket)
        await listening(world.context)
        await world.pay()
        cursor = (await _event(socket))["cursor"]
    query = "query($after: String) { events(after: $after) { nodes { position paymentId } } }"
    assert set(codes(await foreign.ask(query, after=cursor))) <= {"CURSOR_INVALID"}
    own = (await foreign.pay())["payment"]["id"]
    async with _socket(foreign) as socket:
        await _watch(socket, after=(await _cursor_of_first(foreign)))
        assert (await _event(socket))["position"] == 2
    page = await foreign.run(query, after=cursor)
    assert {node["paymentId"] for node in page["events"]["nodes"]} == {own}


async def _cursor_of_first(world: World) -> str:
    for _ in range(1_200):
        page = await world.run("{ events(first: 1) { nodes { cursor } } }")
        if page["events"]["nodes"]:
            found: str = page["events"]["nodes"][0]["cursor"]
            return found
        await asyncio.sleep(0.05)
    pytest.fail("no event was placed")


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (_EVENTS, {"after": "nonsense"}, "CURSOR_INVALID"),
        (_EVENTS, {"filter": {"paymentId": "1"}}, "INPUT_INVALID"),
        (_EVENTS, {"filter": {"types": ["x"] * 51}}, "INPUT_INVALID"),
        (_EVENTS, {"filter": 1}, "INPUT_INVALID"),
        ("{ viewer { actor } }", {}, "QUERY_REFUSED"),
        ("subscription { nothing }", {}, "QUERY_INVALID"),
        (
            'mutation { voidPayment(input: {idempotencyKey: "k", paymentId: "p"})'
            " { errors { code } } }",
            {},
            "QUERY_REFUSED",
        ),
    ],
)
async def test_what_is_no_good_subscription_is_answered_with_an_error(
    world: World, query: str, variables: dict[str, Any], code: str
) -> None:
    async with _socket(world) as socket:
        await _watch(socket, query=query, **variables)
        message = await _hear(socket)
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == code
        await _watch(socket)  # the name is free again
        await _say(socket, type="ping")
        assert await _hear(socket) == {"type": "pong"}


async def test_a_key_without_the_scope_watches_nothing(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    world = await make_world(engine, client, scopes=["payments:read"])
    async with _socket(world) as socket:
        await _watch(socket)
        message = await _hear(socket)
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "PERMISSION_DENIED"


async def test_a_subscription_ends_when_it_is_completed(world: World, engine: Engine) -> None:
    async with _socket(world) as socket:
        await _watch(socket)
        await listening(world.context)
        await _say(socket, id="1", type="complete")
        await listening(world.context, 0)
        await world.pay()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.5)
        await _watch(socket)
        await listening(world.context)
        await world.pay()
        assert (await _event(socket))["type"].startswith("payment.")


@pytest.mark.parametrize("protocols", [(), ("graphql-ws",), ("nonsense",)])
async def test_other_protocols_are_refused(world: World, protocols: tuple[str, ...]) -> None:
    async with _raw(world, protocols=protocols) as socket:
        assert await _close_code(socket) == sockets.SUBPROTOCOL_REFUSED


async def test_who_does_not_begin_in_time_is_closed(world: World) -> None:
    async with _raw(world) as socket:
        began = asyncio.get_running_loop().time()
        assert await _close_code(socket) == sockets.INIT_TIMEOUT
        assert asyncio.get_running_loop().time() - began < sockets.INIT_DEADLINE_S + 30


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "connection_init"}], sockets.FORBIDDEN),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer x"}}], 4403),
        ([{"type": "connection_init", "payload": {"authorization": 1}}], sockets.FORBIDDEN),
        ([{"type": "subscribe", "id": "1", "payload": {"query": _EVENTS}}], sockets.UNAUTHORIZED),
        ([{"nothing": 1}], sockets.BAD_REQUEST),
        (["text"], sockets.BAD_REQUEST),
        ([[]], sockets.BAD_REQUEST),
    ],
)
async def test_a_bad_beginning_is_closed(world: World, messages: list[Any], code: int) -> None:
    async with _raw(world) as socket:
        for message in messages:
            await socket.send(json.dumps(message))
        assert await _close_code(socket) == code


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "connection_init"}], sockets.TOO_MANY),
        ([{"type": "unheard of"}], sockets.BAD_REQUEST),
        ([{"type": "subscribe", "payload": {"query": _EVENTS}}], sockets.BAD_REQUEST),
        ([{"type": "subscribe", "id": "", "payload": {"query": _EVENTS}}], sockets.BAD_REQUEST),
        ([{"type": "subscribe", "id": "1"}], sockets.BAD_REQUEST),
        ([{"type": "subscribe", "id": "1", "payload": {"query": 1}}], sockets.BAD_REQUEST),
        (
            [{"type": "subscribe", "id": "1", "payload": {"query": _EVENTS}}] * 2,
            sockets.DUPLICATE_ID,
        ),
        (
            [
                {"type": "subscribe", "id": str(name), "payload": {"query": _EVENTS}}
                for name in range(25)
            ],
            sockets.TOO_MANY,
        ),
    ],
)
async def test_a_breach_of_the_protocol_is_closed(
    world: World, messages: list[Any], code: int
) -> None:
    async with _socket(world) as socket:
        for message in messages:
            await _say(socket, **message)
        assert await _close_code(socket) == code


async def test_binary_and_oversized_frames_are_closed(world: World) -> None:
    async with _socket(world) as socket:
        await socket.send(b'{"type": "ping"}')
        assert await _close_code(socket) == sockets.BAD_REQUEST
    async with _socket(world) as socket:
        await socket.send("x" * (64 * 1024 + 1))
        assert await _close_code(socket) == 1009


async def test_a_revoked_key_is_closed_within_five_seconds(world: World, engine: Engine) -> None:
    keys = ApiKeys(engine.database)  # another process, as far as the server can tell
    async with _socket(world) as socket:
        await _watch(socket)
        [key] = await keys.list(world.context)
        await keys.revoke(world.context, key.id)
        began = asyncio.get_running_loop().time()
        assert await _close_code(socket) == sockets.UNAUTHORIZED
        assert asyncio.get_running_loop().time() - began < 30  # a busy machine takes its time
    assert connections._CHECK_KEYS_EVERY_S + 2 * connections._LOOK_EVERY_S < 5


async def test_the_sockets_of_a_tenant_are_bounded(
    world: World, foreign: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CONNECTIONS_OF_TENANT", 1)
    await _left(world, 0)
    async with _socket(world):
        async with _raw(world) as second:
            payload = {"authorization": f"Bearer {world.secret}"}
            await _say(second, type="connection_init", payload=payload)
            assert await _close_code(second) == sockets.TOO_MANY
        async with _socket(foreign):
            pass
    await _left(world, 0)
    async with _socket(world):
        pass


async def test_a_slow_reader_is_told_to_resume_and_misses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payengine.events.feed.QUEUE_LENGTH", 5)
    monkeypatch.setattr(outbox, "_MOST_MESSAGES", 1)
    # Messages so large that the buffers of two sockets hold only some of them.
    many = " ".join(f"a{number}: data" for number in range(450))
    wide = f"subscription($after: String) {{ paymentEvents(after: $after) {{ {many} {_PLACE} }} }}"
    seen: list[int] = []
    resyncs = 0
    cursor = None
    async with _socket(world) as socket:
        await _watch(socket, query=wide)
        await listening(world.context)
        for _ in range(3):
            await asyncio.gather(*(world.pay() for _ in range(20)))
        await listening(world.context, 0)  # it was left behind
        while len(seen) < 120:
            message = await _hear(socket)
            if message["type"] == "complete":
                await _watch(socket, query=wide, after=cursor)
                continue
            event = message["payload"]["data"]["paymentEvents"]
            cursor = event["cursor"]
            if event["resync"]:
                assert event["type"] == "feed.resync"
                resyncs += 1
            else:
                seen.append(event["position"])
    assert seen == list(range(1, 121))
    assert resyncs > 0


async def _number(world: World, name: str) -> float:
    text = (await world.client.get("/metrics")).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


async def _left(world: World, most: int) -> None:
    """Wait until no more sockets than these are open at the server."""
    async with asyncio.timeout(60):
        while await _number(world, "payengine_sockets") > most:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="reads its own memory from /proc")
async def test_a_hundred_stalled_sockets_cost_little_memory_and_are_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_STALLED_S", 8.0)
    many = " ".join(f"a{number}: data" for number in range(30))
    wide = f"subscription {{ paymentEvents {{ {many} {_PLACE} }} }}"
    await _left(world, 0)
    async with _socket(world) as brisk:
        await _watch(brisk)
        await asyncio.gather(*(world.pay() for _ in range(20)))  # memory that payments take
        for _ in range(40):
            await _event(brisk)
        gc.collect()
        before = resident_bytes()
        stalled = await open_sockets(world.url, world.secret, [wide] * 100, receives=4_096)
        await asyncio.sleep(0.2)
        most = waiting = 0.0
        for _ in range(15):  # events of 15 KB: 100 MB for all, were they kept
            await asyncio.gather(*(world.pay() for _ in range(4)))
            most = max(most, resident_bytes() - before)
            waiting = max(waiting, await _number(world, "payengine_live_waiting_bytes"))
        positions = [(await _event(brisk))["position"] for _ in range(120)]
        assert positions == list(range(41, 161)), "others are not held up"
        assert waiting > 1_000_000, "nobody was stalled"
        assert most <= 20 * 1024 * 1024
        assert waiting <= 100 * 64 * 1024
        await _left(world, 1)
        assert await _number(world, "payengine_live_waiting_bytes") == 0
        for raw in stalled:
            async with asyncio.timeout(60):
                while await raw.hear():
                    pass
            raw.connected.close()


async def test_a_thousand_forced_disconnects_leave_no_gap_and_no_repetition(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "INIT_DEADLINE_S", 120.0)
    chance = random.Random(11)
    payments, readers, cuts = 150, 50, 20
    await world.pay()
    start = await _cursor_of_first(world)

    async def read(seen: list[int]) -> None:
        cursor = start
        for number in range(cuts + 1):
            # The last line stays until everything is there; the others are cut, not closed.
            wanted = chance.randint(0, 12) if number < cuts else 2 * payments + 1
            async with _socket(world) as socket:
                await _watch(socket, after=cursor)
                with suppress(TimeoutError):
                    async with asyncio.timeout(chance.random() / 2 if number < cuts else 300):
                        while len(seen) < 2 * payments + 1 and wanted:
                            event = await _event(socket)
                            seen.append(event["position"])
                            cursor = event["cursor"]
                            wanted -= 1
                socket.transport.abort()

    async def pay() -> None:
        for _ in range(payments):
            await world.pay()
            await asyncio.sleep(0.02)

    heard: list[list[int]] = [[] for _ in range(readers)]
    await asyncio.gather(pay(), *(read(seen) for seen in heard))
    for seen in heard:
        assert seen == list(range(2, 2 * payments + 3))
