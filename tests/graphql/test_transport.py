"""Whole answers go out by one write, and HTTP stays HTTP."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.graphql.worlds import World


def _request(world: World, query: str, *, version: str = "1.1", headers: str = "") -> bytes:
    body = json.dumps({"query": query})
    return (
        f"POST /graphql HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {world.secret}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        f"{body}"
    ).encode()


async def _answers(
    world: World, sent: list[bytes], *, until: int, patience_s: float = 0.3
) -> tuple[bytes, bool]:
    """What comes back until `until` answers are there, and whether the server then hangs up."""
    parts = urlsplit(world.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    async with asyncio.timeout(60):
        for each in sent:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0.02)
        heard = b""
        while heard.count(b'"data":') < until:
            chunk = await reader.read(65_536)
            assert chunk, heard
            heard += chunk
    try:
        async with asyncio.timeout(patience_s):
            hung_up = await reader.read(1) == b""
    except TimeoutError:
        hung_up = False
    writer.close()
    return heard, hung_up


async def test_requests_in_one_packet_are_answered_in_their_order(world: World) -> None:
    asked = b"".join(_request(world, f"{{ a{n}: viewer {{ actor }} }}") for n in range(5))
    heard, hung_up = await _answers(world, [asked], until=5)
    places = [heard.index(b'"a%d"' % n) for n in range(5)]
    assert places == sorted(places)
    assert not hung_up


async def test_a_body_that_comes_in_pieces_is_waited_for(world: World) -> None:
    asked = _request(world, "{ viewer { actor } }")
    pieces = [asked[:120], asked[120:-7], asked[-7:]]
    heard, _ = await _answers(world, pieces, until=1)
    assert heard.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("version", "headers"), [("1.0", ""), ("1.1", "Connection: close\r\n")])
async def test_who_wants_the_connection_closed_is_heard(
    world: World, version: str, headers: str
) -> None:
    asked = _request(world, "{ viewer { actor } }", version=version, headers=headers)
    heard, hung_up = await _answers(world, [asked], until=1, patience_s=60)
    assert b"connection: close\r\n" in heard
    assert hung_up


async def test_who_expects_to_be_asked_for_the_body_is_asked(world: World) -> None:
    asked = _request(world, "{ viewer { actor } }", headers="Expect: 100-continue\r\n")
    head, _, body = asked.partition(b"\r\n\r\n")
    heard, _ = await _answers(world, [head + b"\r\n\r\n", body], until=1)
    assert heard.startswith(b"HTTP/1.1 100 Continue\r\n")
    assert b"HTTP/1.1 200 OK\r\n" in heard


async def test_each_answer_has_a_date_its_length_and_the_security_headers(world: World) -> None:
    heard, _ = await _answers(world, [_request(world, "{ viewer { actor } }")], until=1)
    head, _, body = heard.partition(b"\r\n\r\n")
    names = [line.split(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert len(names) == len(set(names))
    assert {b"date", b"x-request-id", b"content-type", b"x-content-type-options"} <= set(names)
    assert b"content-length: %d" % len(body) in head
