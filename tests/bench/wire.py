"""How does a client ask as cheaply as it can?

It shares two cores with the server that it measures, so it is no library: a protocol on uvloop,
requests made of prepared bytes, answers split by their length.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, cast

import msgspec

__all__ = ["Asking", "body_of", "request", "say", "split_answer", "until"]

_STEP_S = 0.05


def say(line: str) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def until(holds: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until it holds; whether it did before the time was up."""
    for _ in range(round(seconds / _STEP_S)):
        if holds():
            return True
        await asyncio.sleep(_STEP_S)
    return holds()


def body_of(document: str, variables: Any = None) -> bytes:
    """A GraphQL request's body."""
    return msgspec.json.encode({"query": document, "variables": variables})


def request(path: str, body: bytes, *, key: str = "") -> bytes:
    """A POST over HTTP/1.1 that keeps its connection."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"{authorization}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def split_answer(held: bytes) -> tuple[bytes, bytes, bytes] | None:
    """(head, body, rest) of the first whole answer in `held`, or None where more must come."""
    end = held.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = held[:end]
    at = head.lower().find(b"content-length:")
    length = int(head[at + 15 :].partition(b"\r")[0]) if at >= 0 else 0
    ends = end + 4 + length
    if len(held) < ends:
        return None
    return head, held[end + 4 : ends], held[ends:]


class Asking(asyncio.Protocol):
    """One connection that asks again as soon as it is answered.

    `next_request` gives the bytes to send, or None to end; `answered` hears the head and the body;
    `lost` hears that the connection is over, with whether an answer was owed.
    """

    def __init__(
        self,
        next_request: Callable[[], bytes | None],
        answered: Callable[[bytes, bytes], None],
        lost: Callable[[bool], None],
    ) -> None:
        self._next_request = next_request
        self._answered = answered
        self._lost = lost
        self._held = b""
        self._is_owed = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        # uvloop's transports are none of asyncio's by their class.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take an answer and ask again."""
        self._held = self._held + data if self._held else data
        whole = split_answer(self._held)
        if whole is None:
            return
        head, body, self._held = whole
        self._is_owed = False
        self._answered(head, body)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whether the server went away in the middle."""
        self._lost(self._is_owed)

    def _ask(self) -> None:
        made = self._next_request()
        if made is None:
            self._transport.close()
            return
        self._is_owed = True
        self._transport.write(made)
