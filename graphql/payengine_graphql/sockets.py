"""How does the live feed come to a client?

The protocol graphql-transport-ws, subscriptions only, in text frames. Everything has a bound: the
sockets of a process and of a tenant, the subscriptions of a socket, the messages that wait for a
slow reader and the time that one of them may wait.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from payengine.context import TenantContext
from payengine.errors import PayengineError, RateLimited, Unauthenticated
from starlette.websockets import WebSocket, WebSocketDisconnect

from payengine_graphql.answers import plain_error
from payengine_graphql.connections import Connections
from payengine_graphql.context import RequestContext, Services
from payengine_graphql.endpoint import authenticated, bearer_of
from payengine_graphql.execution import Ask, Executor
from payengine_graphql.guarded import trace_of
from payengine_graphql.live import LiveQueries, Reader, Wrapping
from payengine_graphql.metrics import Metrics
from payengine_graphql.outbox import Outbox
from payengine_graphql.transport import SocketLine, line_of

__all__ = ["SUBPROTOCOL", "Sockets"]

SUBPROTOCOL = "graphql-transport-ws"
INIT_DEADLINE_S = 5.0
_SUBSCRIPTIONS_OF_SOCKET = 20
_PING_EVERY_S = 25.0
_PING = b'{"type":"ping"}'
_CLOSE_S = 1.0
_MAX_FRAME = 64 * 1024

BAD_REQUEST = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
SUBPROTOCOL_REFUSED = 4406
INIT_TIMEOUT = 4408
DUPLICATE_ID = 4409
TOO_MANY = 4429
TOO_SLOW = 4504
GOING_AWAY = 1001

_log = structlog.get_logger(__name__)


class _Frame(msgspec.Struct, frozen=True):
    """A message of the client."""

    type: str
    id: str | None = None
    payload: dict[str, Any] | None = None


_frames = msgspec.json.Decoder(_Frame)


class _Closing(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Sockets:
    """The sockets of one process."""

    def __init__(
        self,
        services: Services,
        executor: Executor,
        metrics: Metrics,
        connections: Connections,
        queries: LiveQueries,
    ) -> None:
        self._services = services
        self._executor = executor
        self._metrics = metrics
        self._connections = connections
        self._queries = queries

    async def handle(self, socket: WebSocket) -> None:
        """Serve one socket until either side ends it."""
        if SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
            await _refuse(socket, None, SUBPROTOCOL_REFUSED, "Subprotocol not acceptable")
            return
        served = _Socket(socket, self._services, self._executor, self._metrics, self._queries)
        try:
            self._connections.enter(served)
        except PayengineError:
            await _refuse(socket, SUBPROTOCOL, TOO_MANY, "Too many sockets")
            return
        try:
            await served.run(self._connections)
        finally:
            self._connections.leave(served)


class _Socket:
    """One socket, and what it has subscribed to."""

    def __init__(
        self,
        socket: WebSocket,
        services: Services,
        executor: Executor,
        metrics: Metrics,
        queries: LiveQueries,
    ) -> None:
        self._socket = socket
        self._services = services
        self._executor = executor
        self._metrics = metrics
        self._queries = queries
        self._line: SocketLine | None = line_of(socket.scope)
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._ended: asyncio.Future[_Closing] = asyncio.get_running_loop().create_future()
        self._reference: str = socket.state.request_id
        self.outbox = Outbox(self._send_text, line=self._line)
        self.tenant: TenantContext | None = None
        self.secret: str | None = None

    def key_ended(self) -> None:
        """Close soon."""
        self._stop(UNAUTHORIZED, "Unauthorized")

    def too_slow(self) -> None:
        """Close soon."""
        self._stop(TOO_SLOW, "The reader is too slow")

    def going_away(self) -> None:
        """Close soon."""
        self._stop(GOING_AWAY, "Going away")

    def _stop(self, code: int, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(_Closing(code, reason))

    async def run(self, connections: Connections) -> None:
        """From the handshake to the close."""
        await self._socket.accept(SUBPROTOCOL)
        tasks = [
            asyncio.create_task(self._guard(self._read(connections))),
            asyncio.create_task(self._guard(self.outbox.run(idle=_PING, every_s=_PING_EVERY_S))),
        ]
        try:
            closing = await self._ended
        finally:
            doing = [*tasks, *self._subscriptions.values()]
            for task in doing:
                task.cancel()
            await asyncio.gather(*doing, return_exceptions=True)
        try:
            await asyncio.wait_for(self._socket.close(closing.code, closing.reason), _CLOSE_S)
        except Exception:  # the client takes nothing, or may be gone already
            if self._line is not None:
                self._line.abort()

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except _Closing as closing:
            self._stop(closing.code, closing.reason)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self._stop(GOING_AWAY, "The client has gone")
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            _log.error(
                "socket_failed",
                reference=self._reference,
                failure=type(failure).__name__,
                trace=trace_of(failure),
            )
            self._stop(1011, "Internal error")

    async def _read(self, connections: Connections) -> None:
        try:
            async with asyncio.timeout(INIT_DEADLINE_S):
                await self._initialise(connections)
        except TimeoutError:
            raise _Closing(INIT_TIMEOUT, "Connection initialisation timeout") from None
        while True:
            frame = await self._receive()
            if frame.type == "subscribe":
                self._subscribe(frame)
            elif frame.type == "complete":
                task = self._subscriptions.pop(frame.id or "", None)
                if task is not None:
                    task.cancel()
            elif frame.type == "ping":
                await self._send({"type": "pong"})
            elif frame.type == "connection_init":
                raise _Closing(TOO_MANY, "Too many initialisation requests")
            elif frame.type != "pong":
                raise _Closing(BAD_REQUEST, "Unknown message type")

    async def _initialise(self, connections: Connections) -> None:
        frame = await self._receive()
        while frame.type == "ping":
            await self._send({"type": "pong"})
            frame = await self._receive()
        if frame.type != "connection_init":
            raise _Closing(UNAUTHORIZED, "Unauthorized")
        given = (frame.payload or {}).get("authorization") or (frame.payload or {}).get(
            "Authorization"
        )
        header = given if isinstance(given, str) else self._socket.headers.get("authorization")
        self.secret = bearer_of(header)
        try:
            tenant = await authenticated(self._services.keys, self.secret)
        except Unauthenticated:
            raise _Closing(FORBIDDEN, "Forbidden") from None
        try:
            connections.admit(self, tenant)
        except RateLimited:
            raise _Closing(TOO_MANY, "Too many sockets of this tenant") from None
        await self._send({"type": "connection_ack"})

    async def _receive(self) -> _Frame:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise _Closing(BAD_REQUEST, "Text frames only")
        if len(text) > _MAX_FRAME:
            raise _Closing(1009, "Frame too large")
        try:
            return _frames.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise _Closing(BAD_REQUEST, "Invalid message") from None

    def _subscribe(self, frame: _Frame) -> None:
        name = frame.id
        if not name or len(name) > 128 or frame.payload is None:
            raise _Closing(BAD_REQUEST, "Invalid subscribe message")
        if name in self._subscriptions:
            raise _Closing(DUPLICATE_ID, f"Subscriber for {name[:64]} already exists")
        if len(self._subscriptions) >= _SUBSCRIPTIONS_OF_SOCKET:
            raise _Closing(TOO_MANY, "Too many subscriptions")
        try:
            ask = msgspec.convert(frame.payload, Ask)
        except msgspec.ValidationError:
            raise _Closing(BAD_REQUEST, "Invalid subscribe message") from None
        task = asyncio.create_task(self._guard(self._stream(name, ask)))
        self._subscriptions[name] = task

    async def _stream(self, name: str, ask: Ask) -> None:
        assert self.tenant is not None
        context = RequestContext(self._services, self.tenant, self._reference)
        self._metrics.subscriptions.inc()
        try:
            source = await self._executor.watch(ask, context)
            if isinstance(source, list):
                await self._send({"id": name, "type": "error", "payload": source})
                return
            wrapping = _wrapping(name)
            last = await self._queries.follow(source, Reader(self.outbox, wrapping))
            await self.outbox.put(wrapping.wrap(last))
            await self._send({"id": name, "type": "complete"})
        except PayengineError as error:
            await self._send({"id": name, "type": "error", "payload": [plain_error(error)]})
        finally:
            self._metrics.subscriptions.dec()
            if self._subscriptions.get(name) is asyncio.current_task():
                del self._subscriptions[name]

    async def _send(self, message: dict[str, Any]) -> None:
        """Wait for room: who does not read what was asked for is not read from either."""
        await self.outbox.put(msgspec.json.encode(message))

    async def _send_text(self, message: bytes) -> None:
        await self._socket.send_text(message.decode())


def _wrapping(name: str) -> Wrapping:
    """The message of graphql-transport-ws for a subscription of this name."""
    head = b'{"id":%b,"type":"next","payload":' % msgspec.json.encode(name)
    return Wrapping(("next", name), lambda payload: b"%b%b}" % (head, payload.data))


async def _refuse(socket: WebSocket, subprotocol: str | None, code: int, reason: str) -> None:
    with suppress(Exception):
        await socket.accept(subprotocol)
        await socket.close(code, reason)
