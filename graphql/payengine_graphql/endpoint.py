"""How does GraphQL come in over HTTP?

POST with a JSON body only. What can be refused before the body is read is refused there, and each
refusal has the shape of a GraphQL answer.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec
from payengine.context import TenantContext
from payengine.errors import PayengineError, Unauthenticated
from payengine_tenants.keys import ApiKeys
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from payengine_graphql.answers import encode, error_answer
from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.context import RequestContext, Services
from payengine_graphql.execution import Ask, Executor
from payengine_graphql.page import PAGE
from payengine_graphql.perimeter import WHOLE
from payengine_graphql.refusals import (
    BodyTooLarge,
    DeadlineExceeded,
    MediaTypeUnsupported,
    MethodNotAllowed,
    RequestMalformed,
    status_of,
)
from payengine_graphql.sse import MEDIA_TYPE as EVENT_STREAM
from payengine_graphql.sse import EventStreams
from payengine_graphql.transport import line_of

__all__ = ["MAX_BODY_BYTES", "HttpEndpoint", "authenticated", "bearer_of"]

MAX_BODY_BYTES = 256 * 1024
_BODY_DEADLINE_S = 10.0
_JSON = "application/json"
_GRAPHQL_JSON = "application/graphql-response+json"
_decoder = msgspec.json.Decoder(Ask)


class HttpEndpoint:
    """What answers at `/graphql`."""

    def __init__(
        self,
        services: Services,
        executor: Executor,
        bulkhead: Bulkhead,
        streams: EventStreams,
        *,
        has_page: bool,
    ) -> None:
        self._services = services
        self._executor = executor
        self._bulkhead = bulkhead
        self._streams = streams
        self._has_page = has_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; an ASGI application inside a `Perimeter`."""
        if scope["method"] == "GET" and self._has_page:
            await Response(PAGE, media_type="text/html")(scope, receive, send)
            return
        try:
            with self._bulkhead.enter():
                answer = await self._post(scope, receive)
        except PayengineError as error:
            status = status_of(error)
            headers = {405: {"Allow": "POST"}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
            answer = Response(error_answer(error), status, headers, media_type=_JSON)
        if isinstance(answer, Response):
            await answer(scope, receive, send)
        else:
            await send(
                {
                    "type": WHOLE,
                    "status": answer.status,
                    "media_type": answer.media_type,
                    "body": answer.body,
                }
            )

    async def _post(self, scope: Scope, receive: Receive) -> _Answer | Response:
        if scope["method"] != "POST":
            raise MethodNotAllowed
        asked = _headers(scope)
        if asked.get(b"content-type", b"").partition(b";")[0].strip().lower() != _JSON.encode():
            raise MediaTypeUnsupported
        secret = bearer_of(asked.get(b"authorization", b"").decode("latin-1"))
        tenant = await authenticated(self._services.keys, secret)
        accepted = asked.get(b"accept", b"").decode("latin-1")
        with self._bulkhead.enter_tenant(tenant.tenant_id):
            announced = asked.get(b"content-length", b"")
            ask = _read(await _body(scope, receive, announced=announced))
            context = RequestContext(self._services, tenant, scope["state"]["request_id"])
            if EVENT_STREAM in accepted and self._executor.is_subscription(ask):
                request = Request(scope, receive)
                return self._streams.open(request, ask, context, secret)
            answer, was_executed = await self._executor.answer(ask, context)
        # Only clients that accept the newer media type expect a status that tells of the document.
        if _GRAPHQL_JSON in accepted:
            return _Answer(200 if was_executed else 400, encode(answer), _GRAPHQL_JSON)
        return _Answer(200, encode(answer), _JSON)


class _Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    media_type: str


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers; of several with one name the first counts."""
    return dict(reversed(scope["headers"]))


def bearer_of(header: str | None) -> str | None:
    """The key in an Authorization header; None where there is none."""
    kind, _, secret = (header or "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" and secret.strip() else None


async def authenticated(keys: ApiKeys, secret: str | None) -> TenantContext:
    """The context of the key's tenant; raises `Unauthenticated`."""
    if secret is None:
        raise Unauthenticated
    return await keys.authenticate(secret)


async def _body(scope: Scope, receive: Receive, *, announced: bytes) -> bytes:
    """The body, read no further than its cap; raises `BodyTooLarge`."""
    if announced.isdigit() and (len(announced) > 9 or int(announced) > MAX_BODY_BYTES):
        raise BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    line = line_of(scope)
    whole = line.whole_body() if line is not None else None
    if whole is not None and len(whole) <= MAX_BODY_BYTES:
        return bytes(whole)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_DEADLINE_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestMalformed("The body ended early.")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise BodyTooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
                chunks.append(chunk)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise DeadlineExceeded("The body did not arrive in time; nothing was done.") from None
    return b"".join(chunks)


def _read(body: bytes) -> Ask:
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RequestMalformed(
            "The body is not one JSON object with a text `query`, and, where given, objects "
            "`variables` and `extensions` and a text `operationName`."
        ) from None
