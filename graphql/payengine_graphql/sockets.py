"""How does the live feed come to a client?

The protocol graphql-transport-ws, subscriptions only, in text frames. Everything has a bound: the
sockets of a process and of a tenant, the subscriptions of a socket, the messages that wait for a
slow reader and the time that one of them may wait. A key that ends ends its sockets.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter as Multiset
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from payengine.context import TenantContext
from payengine.errors import PayengineError, Unauthenticated
from payengine_tenants.keys import ApiKeys
from starlette.websockets import WebSocket, WebSocketDisconnect

from graphql import ExecutionResult, GraphQLError
from payengine_graphql.answers import plain_error, plain_result, shown_errors
from payengine_graphql.context import RequestContext, Services
from payengine_graphql.endpoint import authenticated, bearer_of
from payengine_graphql.execution import Ask, Executor
from payengine_graphql.guarded import trace_of
from payengine_graphql.metrics import Metrics

__all__ = ["SUBPROTOCOL", "Sockets"]

SUBPROTOCOL = "graphql-transport-ws"
INIT_DEADLINE_S = 5.0
_SOCKETS = 1_000
_SOCKETS_OF_TENANT = 200
_SUBSCRIPTIONS_OF_SOCKET = 20
_WAITING_MESSAGES = 64
_SEND_DEADLINE_S = 10.0
_PING_EVERY_S = 25.0
_CHECK_KEYS_EVERY_S = 2.0
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

    def __init__(self, services: Services, executor: Executor, metrics: Metrics) -> None:
        self._services = services
        self._executor = executor
        self._metrics = metrics
        self._open: set[_Socket] = set()
        self._tenants: Multiset[uuid.UUID] = Multiset()
        self._watch: asyncio.Task[None] | None = None

    async def handle(self, socket: WebSocket) -> None:
        """Serve one socket until either side ends it."""
        if SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
            await _refuse(socket, None, SUBPROTOCOL_REFUSED, "Subprotocol not acceptable")
            return
        if len(self._open) >= _SOCKETS:
            await _refuse(socket, SUBPROTOCOL, TOO_MANY, "Too many sockets")
            return
        served = _Socket(socket, self._services, self._executor, self._metrics)
        self._open.add(served)
        self._metrics.sockets.set(len(self._open))
        try:
            await served.run(self._admit)
        finally:
            self._open.discard(served)
            self._metrics.sockets.set(len(self._open))
            if served.tenant is not None:
                self._tenants[served.tenant.tenant_id] -= 1
                if not self._tenants[served.tenant.tenant_id]:
                    del self._tenants[served.tenant.tenant_id]

    def _admit(self, tenant: TenantContext) -> None:
        if self._tenants[tenant.tenant_id] >= _SOCKETS_OF_TENANT:
            raise _Closing(TOO_MANY, "Too many sockets of this tenant")
        self._tenants[tenant.tenant_id] += 1
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watch_keys())

    async def _watch_keys(self) -> None:
        """Close the sockets of keys that ended: each key is read anew every two seconds."""
        while self._open:
            await asyncio.sleep(_CHECK_KEYS_EVERY_S)
            for secret in {served.secret for served in self._open if served.secret}:
                if await self._is_over(secret):
                    for served in [each for each in self._open if each.secret == secret]:
                        served.stop(UNAUTHORIZED, "Unauthorized")

    async def _is_over(self, secret: str) -> bool:
        try:
            # A reader of its own: the shared one may remember a key for five seconds.
            await ApiKeys(self._services.engine.database).authenticate(secret)
        except Unauthenticated:
            return True
        except Exception as failure:  # an unreachable database ends no session
            _log.warning("key_check_failed", failure=type(failure).__name__)
        return False

    async def close(self) -> None:
        """Close every socket: the process ends."""
        for served in list(self._open):
            served.stop(GOING_AWAY, "Going away")
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch


class _Socket:
    """One socket, and what it has subscribed to."""

    def __init__(
        self, socket: WebSocket, services: Services, executor: Executor, metrics: Metrics
    ) -> None:
        self._socket = socket
        self._services = services
        self._executor = executor
        self._metrics = metrics
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_WAITING_MESSAGES)
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._ended: asyncio.Future[_Closing] = asyncio.get_running_loop().create_future()
        self._reference: str = socket.state.request_id
        self.tenant: TenantContext | None = None
        self.secret: str | None = None

    def stop(self, code: int, reason: str) -> None:
        """Close the socket soon."""
        if not self._ended.done():
            self._ended.set_result(_Closing(code, reason))

    async def run(self, admit: Any) -> None:
        """From the handshake to the close."""
        await self._socket.accept(SUBPROTOCOL)
        tasks = [
            asyncio.create_task(self._guard(self._read(admit))),
            asyncio.create_task(self._guard(self._write())),
        ]
        try:
            closing = await self._ended
        finally:
            doing = [*tasks, *self._subscriptions.values()]
            for task in doing:
                task.cancel()
            await asyncio.gather(*doing, return_exceptions=True)
        with suppress(Exception):  # the client may be gone already
            await asyncio.wait_for(self._socket.close(closing.code, closing.reason), 1.0)

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except _Closing as closing:
            self.stop(closing.code, closing.reason)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self.stop(GOING_AWAY, "The client has gone")
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            _log.error(
                "socket_failed",
                reference=self._reference,
                failure=type(failure).__name__,
                trace=trace_of(failure),
            )
            self.stop(1011, "Internal error")

    async def _read(self, admit: Any) -> None:
        try:
            async with asyncio.timeout(INIT_DEADLINE_S):
                await self._initialise(admit)
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

    async def _initialise(self, admit: Any) -> None:
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
        admit(tenant)
        self.tenant = tenant
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
            stream = await self._executor.stream(ask, context)
            if isinstance(stream, list):
                await self._send({"id": name, "type": "error", "payload": stream})
                return
            try:
                async for result in stream:
                    await self._send(self._next(name, result))
            finally:
                with suppress(Exception):
                    await stream.aclose()  # type: ignore[attr-defined]
            await self._send({"id": name, "type": "complete"})
        except (PayengineError, GraphQLError) as error:
            await self._send({"id": name, "type": "error", "payload": self._errors(error)})
        finally:
            self._metrics.subscriptions.dec()
            if self._subscriptions.get(name) is asyncio.current_task():
                del self._subscriptions[name]

    def _next(self, name: str, result: ExecutionResult) -> dict[str, Any]:
        answer = plain_result(result, reference=self._reference)
        return {"id": name, "type": "next", "payload": answer}

    def _errors(self, error: PayengineError | GraphQLError) -> list[dict[str, Any]]:
        if isinstance(error, PayengineError):
            return [plain_error(error)]
        return shown_errors([error], reference=self._reference)

    async def _send(self, message: dict[str, Any]) -> None:
        """Wait for a place in the queue: a slow reader makes its own feed wait, nobody else's."""
        await self._waiting.put(msgspec.json.encode(message).decode())

    async def _write(self) -> None:
        last = time.monotonic()
        while True:
            try:
                text = await asyncio.wait_for(
                    self._waiting.get(), max(_PING_EVERY_S - (time.monotonic() - last), 0.01)
                )
            except TimeoutError:
                last = time.monotonic()
                text = '{"type":"ping"}'
            try:
                await asyncio.wait_for(self._socket.send_text(text), _SEND_DEADLINE_S)
            except TimeoutError:
                raise _Closing(TOO_SLOW, "The reader is too slow") from None


async def _refuse(socket: WebSocket, subprotocol: str | None, code: int, reason: str) -> None:
    with suppress(Exception):
        await socket.accept(subprotocol)
        await socket.close(code, reason)
