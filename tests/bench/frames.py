"""How does a subscriber listen as cheaply as it can?

RFC 6455 as far as a client of ours needs it: text, ping and close, never fragmented. Thousands of
these share one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["Listening", "frame", "split_frame"]

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
#: A mask must be there and may be anything; zeroes change nothing and cost nothing.
_MASK = bytes(4)


def frame(payload: bytes, *, opcode: int = _TEXT) -> bytes:
    """A whole frame from a client."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        raise ValueError("no client of the benchmark says so much")
    return head + _MASK + payload


def split_frame(held: bytes, at: int) -> tuple[int, bytes, int] | None:
    """(opcode, payload, where the next one begins) of the server's frame at `at`, or None."""
    if len(held) < at + 2:
        return None
    size, begins = held[at + 1], at + 2
    if size == 126:
        begins = at + 4
        size = int.from_bytes(held[at + 2 : begins], "big")
    elif size == 127:
        begins = at + 10
        size = int.from_bytes(held[at + 2 : begins], "big")
    if len(held) < begins + size:
        return None
    return held[at] & 15, held[begins : begins + size], begins + size


class Listening(asyncio.Protocol):
    """One WebSocket: `opened` when it is there, `heard` for each text, `ended` with why."""

    def __init__(
        self,
        path: str,
        subprotocol: str,
        opened: Callable[[Listening], None],
        heard: Callable[[bytes], None],
        ended: Callable[[str], None],
    ) -> None:
        self._path = path
        self._subprotocol = subprotocol
        self._opened = opened
        self._heard = heard
        self._ended = ended
        self._held = b""
        self._is_open = False
        self._reason = ""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are none of asyncio's by their class.
        self._transport = cast(asyncio.Transport, transport)
        named = f"Sec-WebSocket-Protocol: {self._subprotocol}\r\n" if self._subprotocol else ""
        self._transport.write(
            (
                f"GET {self._path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{named}\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take the handshake's answer, then frames."""
        held = self._held + data if self._held else data
        at = 0
        if not self._is_open:
            end = held.find(b"\r\n\r\n")
            if end < 0:
                self._held = held
                return
            if b" 101 " not in held[:16]:
                self._reason = held[:200].decode(errors="replace")
                self._transport.close()
                return
            self._is_open = True
            at = end + 4
            self._opened(self)
        while (found := split_frame(held, at)) is not None:
            opcode, payload, at = found
            if opcode == _TEXT:
                self._heard(payload)
            elif opcode == _PING:
                self._transport.write(frame(payload, opcode=_PONG))
            elif opcode == _CLOSE:
                self._reason = f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}"
                self._transport.close()
        self._held = held[at:]

    def connection_lost(self, error: Exception | None) -> None:
        """The line is dead, whoever cut it."""
        self._ended(self._reason)

    def say(self, text: bytes) -> None:
        """Send a text frame."""
        self._transport.write(frame(text))

    def cut(self) -> None:
        """Drop the connection without a word; what has not been heard yet is lost."""
        self._heard = _deaf
        self._transport.abort()


def _deaf(payload: bytes) -> None:
    """Nobody listens any more."""
