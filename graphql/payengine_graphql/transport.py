"""What does a connection hold that nobody reads, and how is it cut off?

ASGI can neither ask how much waits in a connection nor cut it off. These two protocols of uvicorn's
offer both to the application, as the extension `payengine.line` of the scope. For sockets the line
also takes a whole WebSocket frame, so that a frame is made once for all who get it; under a server
that does not offer the extension, messages go out by ASGI, one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

__all__ = ["EXTENSION", "HttpLine", "HttpProtocol", "SocketLine", "SocketProtocol", "line_of"]

EXTENSION = "payengine.line"
#: Bytes that may wait in the process for the kernel to take them; one message may go beyond.
_MOST_BUFFERED = 64 * 1024


class Line(Protocol):
    """A connection below ASGI."""

    def abort(self) -> None:
        """Drop what waits and end the connection at once."""
        ...


class HttpLine:
    """A connection that carries HTTP."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        #: Set when the server goes down: an answer without end has to end.
        self.closing = asyncio.Event()

    def abort(self) -> None:
        """Drop what waits and end the connection at once."""
        self._transport.abort()


class SocketLine:
    """A connection that carries WebSocket frames, without compression."""

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol

    def write(self, frames: bytes) -> bool:
        """Send whole frames; False, and nothing sent, where the reader is behind or gone."""
        protocol = self._protocol
        if protocol.close_sent or protocol.disconnected or not protocol.writable.is_set():
            return False
        protocol.transport.write(frames)
        return True

    async def drain(self) -> None:
        """Wait until `write` may be tried again; raises `OSError` where it never will."""
        await self._protocol.writable.wait()
        if self._protocol.close_sent or self._protocol.disconnected:
            raise OSError("the connection is closed")

    def abort(self) -> None:
        """Drop what waits and end the connection at once."""
        self._protocol.transport.abort()


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with the line in the scope."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._line = HttpLine(self.transport)
        _extend(self.scope, self._line)

    def shutdown(self) -> None:
        super().shutdown()
        if hasattr(self, "_line"):
            self._line.closing.set()


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with the line in the scope."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_MOST_BUFFERED)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        # A handshake that was refused has no scope; compressed frames are not the same for all.
        if not self.handshake_complete and not self.config.ws_per_message_deflate:
            _extend(self.scope, SocketLine(self))


def line_of(scope: Mapping[str, Any]) -> Any:
    """The line of a scope; None where the server offers none."""
    return scope.get("extensions", {}).get(EXTENSION)


def _extend(scope: Any, line: Line) -> None:
    scope.setdefault("extensions", {})[EXTENSION] = line
