"""How do the providers' webhooks come in over HTTP?

`POST /api/webhooks/{plugin}/{endpoint}`. A call is acknowledged when it is verified and stored; it
is applied later. Whatever is malformed, forged or unknown gets a status below 500 and changes
nothing; only a database that is away makes the provider try again because of us.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from payengine.engine import Engine
from payengine.errors import (
    DatabaseUnavailable,
    PayengineError,
    RateLimited,
    VaultSealed,
    WebhookEndpointUnknown,
    WebhookRejected,
)
from payengine.payments.inbound import kept_headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from payengine_graphql.answers import encode, error_answer
from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.refusals import BodyTooLarge, MethodNotAllowed, status_of

__all__ = ["MAX_BODY_BYTES", "WebhookRoutes"]

MAX_BODY_BYTES = 256 * 1024
_MAX_HEADER_BYTES = 32 * 1024
_BODY_DEADLINE_S = 10.0

_IN_FLIGHT = 256
_IN_FLIGHT_OF_TENANT = 128
#: Calls of one endpoint in a second, and how many may come at once after a quiet time.
_RATE = 500.0
_BURST = 15_000.0
_REMEMBERED = 10_000

_JSON = "application/json"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


class _Rates:
    """How often each endpoint was called: a bucket that fills by `_RATE` a second."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, *, at_s: float) -> None:
        """Count one call; raises `RateLimited`."""
        left, since = self._buckets.get(name, (_BURST, at_s))
        left = min(left + (at_s - since) * _RATE, _BURST)
        if left < 1:
            raise RateLimited("Too many webhooks come to this endpoint; send it again later.")
        self._buckets[name] = (left - 1, at_s)
        self._buckets.move_to_end(name)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)


class WebhookRoutes:
    """The handlers below `/api/webhooks`."""

    def __init__(self, engine: Engine, *, count: Callable[[str, str], None]) -> None:
        """`count(plugin, result)` hears of each call to a known plugin."""
        self._engine = engine
        self._count = count
        self._bulkhead = Bulkhead(in_all=_IN_FLIGHT, per_tenant=_IN_FLIGHT_OF_TENANT)
        self._rates = _Rates()

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/api/webhooks/{plugin}", self.handle, methods=_METHODS),
            Route("/api/webhooks/{plugin}/{endpoint}", self.handle, methods=_METHODS),
        ]

    async def handle(self, request: Request) -> Response:
        """The answer to one call: 200 where it is stored or was stored before."""
        plugin = request.path_params["plugin"]
        try:
            with self._bulkhead.enter():
                response, result = await self._receive(request, plugin), "stored"
        except PayengineError as error:
            status = _status(error)
            headers = {405: {"Allow": "POST"}, 429: {"Retry-After": "1"}}.get(status)
            response = Response(error_answer(error), status, headers, media_type=_JSON)
            result = error.code
        if plugin in self._engine.registry.installed.ready:
            self._count(plugin, result)
        return response

    async def _receive(self, request: Request, plugin: str) -> Response:
        if request.method != "POST":
            raise MethodNotAllowed("Webhooks are sent by POST.")
        secret = request.path_params.get("endpoint")
        if secret is None:
            # No plugin that is known to this version is verified before its tenant is known.
            raise WebhookEndpointUnknown(
                "No plugin of this name has settings of the platform's own; send its webhooks to a "
                "gateway endpoint of the tenant."
            )
        inbound = self._engine.inbound
        endpoint = await inbound.endpoints.resolve(plugin, secret)
        self._rates.take(endpoint.id, at_s=time.monotonic())
        if sum(len(name) + len(value) for name, value in request.headers.raw) > _MAX_HEADER_BYTES:
            raise WebhookRejected("The headers are too large.")
        with self._bulkhead.enter_tenant(endpoint.context.tenant_id):
            receipt = await inbound.receiver.receive(
                endpoint,
                headers=kept_headers(request.headers.raw),
                body=await _body(request),
                received_at=datetime.now(UTC),
            )
        answer = {"received": receipt.events, "new": len(receipt.stored)}
        return Response(encode(answer), media_type=_JSON)


def _status(error: PayengineError) -> int:
    """What a provider makes of it: below 500, sending the same again helps nobody."""
    if isinstance(error, DatabaseUnavailable | VaultSealed):
        return 503
    return 429 if isinstance(error, RateLimited) else status_of(error)


async def _body(request: Request) -> bytes:
    """The body, read no further than its cap; raises `BodyTooLarge`, `WebhookRejected`."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 9 or int(announced) > MAX_BODY_BYTES):
        raise BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_DEADLINE_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
                chunks.append(chunk)
    except (TimeoutError, ClientDisconnect):
        raise WebhookRejected("The body did not arrive whole and in time.") from None
    return b"".join(chunks)
