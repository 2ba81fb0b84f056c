"""What goes with every request?

A reference, security headers, a measurement, and an answer even where a handler fails.
"""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from http import HTTPStatus

import structlog
from payengine import timings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payengine_graphql.answers import encode
from payengine_graphql.guarded import internal_message, trace_of
from payengine_graphql.metrics import Metrics
from payengine_graphql.page import PAGE_POLICY
from payengine_graphql.transport import line_of

__all__ = ["ROUTES", "WHOLE", "Perimeter"]

#: A message beside ASGI's own: a whole answer with `status`, `media_type` and `body`.
WHOLE = "payengine.answer"

#: The routes that measurements tell apart; anything else is "other".
ROUTES = frozenset({"/graphql", "/healthz", "/readyz", "/metrics"})

_REFERENCE = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", PAGE_POLICY.encode()),
)

_log = structlog.get_logger(__name__)


class Perimeter:
    """ASGI middleware around what answers."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, shows_timings: bool = False) -> None:
        """`shows_timings` adds a Server-Timing header (W3C Server Timing) to each answer."""
        self._app = app
        self._metrics = metrics
        self._shows_timings = shows_timings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reference = _reference(scope)
        scope.setdefault("state", {})["request_id"] = reference
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._serve(scope, receive, send, reference)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, reference: str) -> None:
        began = time.perf_counter()
        status = 0
        record, token = timings.begin() if self._shows_timings else (None, None)

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == WHOLE:
                status = message["status"]
                took = _shown(record, time.perf_counter() - began) if record is not None else ""
                if _sent_whole(message, scope, reference, timings=took):
                    return
                for part in _parts(message):
                    await send_on(part)
                return
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                given = {name for name, _ in headers}
                headers += [header for header in _HEADERS if header[0] not in given]
                headers.append((b"x-request-id", reference.encode()))
                if record is not None:
                    shown = _shown(record, time.perf_counter() - began)
                    headers.append((b"server-timing", shown.encode()))
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception as failure:
            _log.error(
                "request_failed",
                reference=reference,
                failure=type(failure).__name__,
                trace=trace_of(failure),
            )
            if status:
                raise  # the answer has begun: only closing the connection tells the client
            await _answer_failure(send_on, reference)
        finally:
            if token is not None:
                timings.end(token)
            if "is_live" not in scope["state"]:  # how long somebody watched is no latency
                route = scope["path"] if scope["path"] in ROUTES else "other"
                self._metrics.observe_request(route, status, time.perf_counter() - began)


def _sent_whole(message: Message, scope: Scope, reference: str, *, timings: str) -> bool:
    """Send the answer by one write, where the server has a line for it."""
    line = line_of(scope)
    if line is None or scope["method"] == "HEAD":
        return False
    head = b"%bx-request-id: %b\r\ncontent-length: %d\r\n" % (
        _head_of(message["status"], message["media_type"]),
        reference.encode(),
        len(message["body"]),
    )
    if timings:
        head += b"server-timing: %b\r\n" % timings.encode()
    sent: bool = line.answer(head, message["body"])
    return sent


@lru_cache(maxsize=64)
def _head_of(status: int, media_type: str) -> bytes:
    """The status line and the headers that all answers of this kind have."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [b"%b: %b" % header for header in _HEADERS]
    lines += [b"content-type: " + media_type.encode(), b""]
    return b"\r\n".join(lines)


def _parts(message: Message) -> tuple[Message, Message]:
    """A whole answer as ASGI's two messages."""
    body = message["body"]
    headers = [
        (b"content-length", b"%d" % len(body)),
        (b"content-type", message["media_type"].encode()),
    ]
    start = {"type": "http.response.start", "status": message["status"], "headers": headers}
    return start, {"type": "http.response.body", "body": body}


def _shown(record: timings.Timings, total_s: float) -> str:
    counts = f"{record.statements} statements, {record.commits} commits"
    return (
        f"total;dur={total_s * 1e3:.3f}, gateway;dur={record.gateway_s * 1e3:.3f}, "
        f'commit;dur={record.commit_s * 1e3:.3f}, sql;desc="{counts}"'
    )


def _reference(scope: Scope) -> str:
    """The client's own, where it gave one that may stand in a log; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            return given if _REFERENCE.fullmatch(given) else os.urandom(8).hex()
    return os.urandom(8).hex()


async def _answer_failure(send: Send, reference: str) -> None:
    entry = {"message": internal_message(reference), "extensions": {"code": "INTERNAL"}}
    body = encode({"errors": [entry]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
