"""What does a connection hold that nobody reads, and how is it cut off?

ASGI can neither ask how much waits in a connection nor cut it off. These two protocols of uvicorn's
offer both to the application, as the extension `payengine.line` of the scope. For sockets the line
also takes a whole WebSocket frame, so that a frame is made once for all who get it; under a server
that does not offer the extension, messages go out by ASGI, one by one.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

__all__ = ["EXTENSION", "HttpLine", "HttpProtocol", "SocketLine", "SocketProtocol", "line_of"]

EXTENSION = "payengine.line"
#: Bytes that may wait in the process for the kernel to take them; one message may go beyond.
_MOST_BUFFERED = 32 * 1024
#: Bytes that may wait in the kernel (Linux doubles it); by itself it would take megabytes.
_MOST_IN_KERNEL = 64 * 1024


class _Line(Protocol):
    """A connection below ASGI."""

    def abort(self) -> None:
        """Drop what waits and end the connection at once."""
        ...


class HttpLine:
    """A connection that carries HTTP, for one request."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        #: uvicorn's record of the request, once its head was read.
        self.cycle: RequestResponseCycle | None = None
        #: Set when the server goes down: an answer without end has to end.
        self.closing = asyncio.Event()

    def whole_body(self) -> bytes | None:
        """The request's body where all of it is there; None where it must be received."""
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.waiting_for_100_continue:
            return None
        return bytes(cycle.body)

    def answer(self, head: bytes, body: bytes) -> bool:
        """Send a whole answer; False, and nothing sent, where it must go the long way.

        `head` is the status line and the headers, `content-length` among them, each with its line
        end. The long way looks through every header again and makes two messages of it.
        """
        cycle = self.cycle
        if (
            cycle is None
            or cycle.response_started
            or cycle.disconnected
            or cycle.flow.write_paused
            or self._transport.is_closing()
        ):
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        usual = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
        close = b"" if cycle.keep_alive else b"connection: close\r\n"
        self._transport.write(b"".join([head, usual, close, b"\r\n", body]))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()
        return True

    def bound(self) -> None:
        """Hold little for a reader that is behind: the answer has no end."""
        _bound(self._transport)

    def abort(self) -> None:
        """Drop what waits and end the connection at once."""
        _abort(self._transport)


class SocketLine:
    """A connection that carries WebSocket frames, without compression."""

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol

    def write(self, frames: bytes) -> bool:
        """Send whole frames; False, and nothing sent, where the reader is behind or gone."""
        protocol = self._protocol
        if self._is_over() or not protocol.writable.is_set():
            return False
        protocol.transport.write(frames)
        return True

    def _is_over(self) -> bool:
        protocol = self._protocol
        return protocol.close_sent or protocol.disconnected or protocol.transport.is_closing()

    async def drain(self) -> None:
        """Wait until `write` may be tried again; raises `OSError` where it never will."""
        await self._protocol.writable.wait()
        if self._is_over():
            raise OSError("the connection is closed")

    def abort(self) -> None:
        """Drop what waits and end the connection at once."""
        _abort(self._protocol.transport)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with the line in the scope."""

    def on_message_begin(self) -> None:
        """A request begins: its scope is new."""
        super().on_message_begin()
        self._line = HttpLine(self)
        _extend(self.scope, self._line)

    def on_headers_complete(self) -> None:
        """The head of the request was read; it may be an upgrade, which has no cycle."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self._line.cycle = self.cycle

    def shutdown(self) -> None:
        """The server goes down."""
        super().shutdown()
        if hasattr(self, "_line"):
            self._line.closing.set()


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with the line in the scope."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection changes from HTTP to frames: hold little for a reader that is behind."""
        super().connection_made(transport)
        _bound(self.transport)

    def handle_connect(self, event: Request) -> None:
        """The handshake: its scope is new."""
        super().handle_connect(event)
        # A handshake that was refused has no scope; compressed frames are not the same for all.
        if not self.handshake_complete and not self.config.ws_per_message_deflate:
            _extend(self.scope, SocketLine(self))


def _bound(transport: asyncio.Transport) -> None:
    transport.set_write_buffer_limits(high=_MOST_BUFFERED)
    _set(transport, socket.SO_SNDBUF, _MOST_IN_KERNEL)


def _set(transport: asyncio.Transport, option: int, value: int | bytes) -> None:
    if not transport.is_closing():
        connected = transport.get_extra_info("socket")
        with suppress(OSError, ValueError):  # the client may have gone just now
            connected.setsockopt(socket.SOL_SOCKET, option, value)


def _abort(transport: asyncio.Transport) -> None:
    # The kernel forgets what waits, too, instead of offering it to somebody who takes nothing.
    _set(transport, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def line_of(scope: Mapping[str, Any]) -> Any:
    """The line of a scope; None where the server offers none."""
    return scope.get("extensions", {}).get(EXTENSION)


def _extend(scope: Any, line: _Line) -> None:
    scope.setdefault("extensions", {})[EXTENSION] = line
