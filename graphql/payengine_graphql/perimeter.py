"""What goes with every request?

A reference, security headers, a measurement, and an answer even where a handler fails.
"""

from __future__ import annotations

import re
import secrets
import time

import structlog
from payengine import timings
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payengine_graphql.answers import encode
from payengine_graphql.guarded import internal_message, trace_of
from payengine_graphql.metrics import Metrics
from payengine_graphql.page import PAGE_POLICY

__all__ = ["ROUTES", "Perimeter"]

#: The routes that measurements tell apart; anything else is "other".
ROUTES = frozenset({"/graphql", "/healthz", "/readyz", "/metrics"})

_REFERENCE = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": PAGE_POLICY,
}

_log = structlog.get_logger(__name__)


class Perimeter:
    """ASGI middleware around the whole application."""

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
        reference = _reference(Headers(scope=scope).get("x-request-id"))
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
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = reference
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if record is not None:
                    headers["server-timing"] = _shown(record, time.perf_counter() - began)
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


def _shown(record: timings.Timings, total_s: float) -> str:
    counts = f"{record.statements} statements, {record.commits} commits"
    return (
        f"total;dur={total_s * 1e3:.3f}, gateway;dur={record.gateway_s * 1e3:.3f}, "
        f'commit;dur={record.commit_s * 1e3:.3f}, sql;desc="{counts}"'
    )


def _reference(given: str | None) -> str:
    if given is not None and _REFERENCE.fullmatch(given):
        return given
    return secrets.token_hex(8)


async def _answer_failure(send: Send, reference: str) -> None:
    entry = {"message": internal_message(reference), "extensions": {"code": "INTERNAL"}}
    body = encode({"errors": [entry]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
