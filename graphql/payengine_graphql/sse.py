"""How does the live feed come to a client that speaks plain HTTP?

GraphQL over server-sent events, in its mode of distinct connections: a POST of a subscription that
accepts text/event-stream is answered with a stream of `next` events and one `complete`. An event's
id is its cursor, so that a client that comes back with Last-Event-ID goes on behind it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import structlog
from payengine.context import TenantContext
from payengine.errors import PayengineError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from payengine_graphql.answers import encode, plain_error
from payengine_graphql.connections import Connections
from payengine_graphql.context import RequestContext
from payengine_graphql.execution import Ask, Executor
from payengine_graphql.guarded import internal_message, trace_of
from payengine_graphql.live import LiveQueries, Payload, Reader, Wrapping
from payengine_graphql.metrics import Metrics
from payengine_graphql.outbox import Outbox
from payengine_graphql.transport import HttpLine, line_of

__all__ = ["MEDIA_TYPE", "EventStreams"]

MEDIA_TYPE = "text/event-stream"
_KEEP_ALIVE_S = 15.0
_KEEP_ALIVE = b":\n\n"
_COMPLETE = b"event: complete\ndata: \n\n"
_CLOSE_S = 1.0

_log = structlog.get_logger(__name__)


class EventStreams:
    """The event streams of one process."""

    def __init__(
        self,
        executor: Executor,
        metrics: Metrics,
        connections: Connections,
        queries: LiveQueries,
    ) -> None:
        self._executor = executor
        self._metrics = metrics
        self._connections = connections
        self._queries = queries

    def open(
        self, request: Request, ask: Ask, context: RequestContext, secret: str | None
    ) -> Response:
        """The answer without end; raises `Overloaded` and `RateLimited`."""
        cursor = request.headers.get("last-event-id")
        stream = _EventStream(
            ask, context, secret, cursor, self._executor, self._metrics, self._queries
        )
        self._connections.enter(stream)
        try:
            self._connections.admit(stream, context.tenant)
        except BaseException:
            self._connections.leave(stream)
            raise
        stream.leave = self._connections.leave
        return stream


class _EventStream(Response):
    """One connection with its one subscription."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        ask: Ask,
        context: RequestContext,
        secret: str | None,
        cursor: str | None,
        executor: Executor,
        metrics: Metrics,
        queries: LiveQueries,
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self.headers["x-accel-buffering"] = "no"  # a proxy that gathers would hold events back
        self._ask = ask
        self._context = context
        self._cursor = cursor
        self._executor = executor
        self._metrics = metrics
        self._queries = queries
        self._over = asyncio.Event()
        self._is_cut = False
        self._to_client: Send | None = None
        self.leave: Any = None
        self.outbox = Outbox(self._send_chunk)
        self.tenant: TenantContext | None = None
        self.secret: str | None = secret

    def key_ended(self) -> None:
        """Close soon."""
        self._over.set()

    def too_slow(self) -> None:
        """Cut off: nothing that is written now would be taken."""
        self._is_cut = True
        self._over.set()

    def going_away(self) -> None:
        """Close soon."""
        self._over.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream until either side ends it."""
        line: HttpLine | None = line_of(scope)
        scope.get("state", {})["is_live"] = True
        if line is not None:
            line.bound()
        self._to_client = send
        self._metrics.subscriptions.inc()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if await self._serve(receive, line) and not self._is_cut:
                async with asyncio.timeout(_CLOSE_S):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            self._is_cut = True
        finally:
            self._metrics.subscriptions.dec()
            self.leave(self)
            if self._is_cut and line is not None:
                line.abort()
                with suppress(TimeoutError):  # uvicorn complains of an answer that just ends
                    await asyncio.wait_for(_gone(receive), _CLOSE_S)

    async def _serve(self, receive: Receive, line: HttpLine | None) -> bool:
        """Whether there is still somebody to say goodbye to."""
        leaving = asyncio.create_task(_gone(receive))
        feeding = asyncio.create_task(self._feed())
        doing = [
            leaving,
            feeding,
            asyncio.create_task(self.outbox.run(idle=_KEEP_ALIVE, every_s=_KEEP_ALIVE_S)),
            asyncio.create_task(self._over.wait()),
        ]
        if line is not None:
            doing.append(asyncio.create_task(line.closing.wait()))
        try:
            done, _ = await asyncio.wait(doing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in doing:
                task.cancel()
            await asyncio.gather(*doing, return_exceptions=True)
        return leaving not in done

    async def _feed(self) -> None:
        """From the subscription to `complete`."""
        try:
            source = await self._executor.watch(self._ask, self._context)
            if isinstance(source, list):
                await self._put_errors(source)
            else:
                reader = Reader(self.outbox, _WRAPPING)
                # What the client has seen by now goes before what it once asked for.
                last = await self._queries.follow(source, reader, after=self._cursor)
                await self.outbox.put(_wrap(last))
        except PayengineError as error:
            await self._put_errors([plain_error(error)])
        except Exception as failure:
            reference = self._context.request_id
            _log.error(
                "event_stream_failed",
                reference=reference,
                failure=type(failure).__name__,
                trace=trace_of(failure),
            )
            message = {
                "message": internal_message(reference),
                "extensions": {"code": "INTERNAL"},
            }
            await self._put_errors([message])
        await self.outbox.put(_COMPLETE)
        await self.outbox.empty()

    async def _put_errors(self, errors: list[dict[str, Any]]) -> None:
        await self.outbox.put(b"event: next\ndata: %b\n\n" % encode({"errors": errors}))

    async def _send_chunk(self, message: bytes) -> None:
        assert self._to_client is not None
        await self._to_client({"type": "http.response.body", "body": message, "more_body": True})


def _wrap(payload: Payload) -> bytes:
    return b"event: next\nid: %b\ndata: %b\n\n" % (payload.cursor.encode(), payload.data)


_WRAPPING = Wrapping("event-stream", _wrap)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
