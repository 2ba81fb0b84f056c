"""Is every answer bounded, in time and in size, and every failure told apart?"""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from payengine.plugin import NotSent
from payengine_paypal.client import Client, Refused, derived_id
from payengine_paypal.records import Unclear
from payengine_paypal.wire import LARGEST_BODY

_TOKEN = b'{"access_token":"A21","token_type":"Bearer","expires_in":32400}'


def said(status: str, body: bytes, *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that gives a token first, and to every other request what `answer` makes."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.2)
    ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            head = connection.recv(65_536)
            if b"/v1/oauth2/token" in head:
                connection.sendall(said("200 OK", _TOKEN, "content-type: application/json"))
            else:
                answer(connection)

    def run() -> None:
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        ended.set()
        thread.join()
        listening.close()


def ask(base: str, *, within_s: float = 2.0) -> object:
    """Ask for an order."""
    client = Client(base, "an-app", "a-secret")
    try:
        return client.order(time.monotonic() + within_s, "5O190127TN364715T")
    finally:
        client.close()


@pytest.mark.parametrize(
    "answer",
    [
        said("200 OK", b"<html>busy</html>"),
        said("200 OK", b'{"id": 7}'),
        said("200 OK", b"[" * 100_000),
        said("502 Bad Gateway", b"<html>busy</html>"),
        said("403 Forbidden", b"<html>a wall</html>"),
        said("302 Found", b"", "location: http://127.0.0.1:1/elsewhere"),
        said("200 OK", b"x" * (LARGEST_BODY + 1)),
        said("200 OK", gzip.compress(b" " * 50_000_000), "content-encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{",
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=["html", "another shape", "deep", "502", "a wall", "elsewhere", "huge", "a bomb",
         "cut short", "nonsense", "nothing"],
)  # fmt: skip
def test_answer_that_cannot_be_read_is_unclear(answer: bytes) -> None:
    with serving(lambda connection: connection.sendall(answer)) as base:
        with pytest.raises(Unclear):
            ask(base)


def test_answer_that_drips_ends_by_the_deadline() -> None:
    drips: list[int] = []

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
        with suppress(OSError):
            for number in range(1_000):
                connection.sendall(b" ")
                drips.append(number)
                time.sleep(0.05)

    with serving(drip) as base:
        with pytest.raises(Unclear, match="in time"):
            ask(base, within_s=2)
    assert 0 < len(drips) < 1_000


def test_readable_refusal_is_told() -> None:
    body = b'{"name":"RESOURCE_NOT_FOUND","details":[{"issue":"INVALID_RESOURCE_ID"}]}'
    answer = said("404 Not Found", body, "content-type: application/json")
    with serving(lambda connection: connection.sendall(answer)) as base:
        with pytest.raises(Refused) as refused:
            ask(base)
    assert (refused.value.status, refused.value.problem.code) == (404, "INVALID_RESOURCE_ID")


def test_no_time_left_means_that_nothing_was_sent() -> None:
    with serving(lambda connection: connection.sendall(said("200 OK", b"{}"))) as base:
        with pytest.raises(NotSent):
            ask(base, within_s=0)


def test_name_that_nobody_knows_means_that_nothing_was_sent() -> None:
    with pytest.raises(NotSent):
        ask("http://nobody.invalid")


def test_ids_of_steps_follow_from_the_key() -> None:
    assert derived_id("op_1") == "op_1"
    assert derived_id("op_1", "complete") == "op_1-complete"
    long = derived_id("k" * 200)
    assert long == derived_id("k" * 200) != derived_id("k" * 201)
    assert len(long) <= 108
    assert derived_id("k" * 200, "complete") != long
    assert derived_id("schlüssel").isascii()
