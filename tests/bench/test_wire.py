from __future__ import annotations

import json

from tests.bench.wire import body_of, request, split_answer, until

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nserver: x\r\n\r\nhello"


def test_request_has_the_length_of_its_body() -> None:
    body = body_of("{ a }", {"é": 1})
    head, _, sent = request("/graphql", body, key="secret").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /graphql HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in head
    assert f"Content-Length: {len(sent)}".encode() in head
    assert json.loads(sent) == {"query": "{ a }", "variables": {"é": 1}}


def test_answer_is_whole_when_its_last_byte_is_there() -> None:
    for end in range(len(_ANSWER)):
        assert split_answer(_ANSWER[:end]) is None
    found = split_answer(_ANSWER + b"HTTP")
    assert found is not None
    assert found[1:] == (b"hello", b"HTTP")


def test_answer_without_a_length_has_no_body() -> None:
    assert split_answer(b"HTTP/1.1 204 No Content\r\n\r\n") == (
        b"HTTP/1.1 204 No Content",
        b"",
        b"",
    )


async def test_until_tells_whether_it_came_true() -> None:
    assert await until(lambda: True, seconds=1)
    assert not await until(lambda: False, seconds=0.1)
