"""How does GraphQL come in over HTTP?

POST with a JSON body only. What can be refused before the body is read is refused there, and each
refusal has the shape of a GraphQL answer.
"""

from __future__ import annotations

import asyncio

import msgspec
from payengine.context import TenantContext
from payengine.errors import PayengineError, Unauthenticated
from payengine_tenants.keys import ApiKeys
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from payengine_graphql.answers import encode, error_answer
from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.context import RequestContext, Services
from payengine_graphql.execution import Ask, Executor
from payengine_graphql.page import PAGE
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

__all__ = ["MAX_BODY_BYTES", "HttpEndpoint", "authenticated", "bearer_of"]

MAX_BODY_BYTES = 256 * 1024
_BODY_DEADLINE_S = 10.0
_JSON = "application/json"
_GRAPHQL_JSON = "application/graphql-response+json"
_decoder = msgspec.json.Decoder(Ask)


class HttpEndpoint:
    """The handler of `/graphql`."""

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

    async def handle(self, request: Request) -> Response:
        """The answer to one HTTP request."""
        if request.method == "GET" and self._has_page:
            return Response(PAGE, media_type="text/html")
        try:
            with self._bulkhead.enter():
                return await self._post(request)
        except PayengineError as error:
            status = status_of(error)
            headers = {405: {"Allow": "POST"}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
            return Response(error_answer(error), status, headers, media_type=_JSON)

    async def _post(self, request: Request) -> Response:
        if request.method != "POST":
            raise MethodNotAllowed
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            raise MediaTypeUnsupported
        secret = bearer_of(request.headers.get("authorization"))
        tenant = await authenticated(self._services.keys, secret)
        accepted = request.headers.get("accept", "")
        with self._bulkhead.enter_tenant(tenant.tenant_id):
            ask = _read(await _body(request))
            context = RequestContext(self._services, tenant, request.state.request_id)
            if EVENT_STREAM in accepted and self._executor.is_subscription(ask):
                return self._streams.open(request, ask, context, secret)
            answer, was_executed = await self._executor.answer(ask, context)
        # Only clients that accept the newer media type expect a status that tells of the document.
        if _GRAPHQL_JSON in accepted:
            status = 200 if was_executed else 400
            return Response(encode(answer), status, media_type=_GRAPHQL_JSON)
        return Response(encode(answer), media_type=_JSON)


def bearer_of(header: str | None) -> str | None:
    """The key in an Authorization header; None where there is none."""
    kind, _, secret = (header or "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" and secret.strip() else None


async def authenticated(keys: ApiKeys, secret: str | None) -> TenantContext:
    """The context of the key's tenant; raises `Unauthenticated`."""
    if secret is None:
        raise Unauthenticated
    return await keys.authenticate(secret)


async def _body(request: Request) -> bytes:
    """The body, read no further than its cap; raises `BodyTooLarge`."""
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
    except TimeoutError:
        raise DeadlineExceeded("The body did not arrive in time; nothing was done.") from None
    except ClientDisconnect:
        raise RequestMalformed("The body ended early.") from None
    return b"".join(chunks)


def _read(body: bytes) -> Ask:
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RequestMalformed(
            "The body is not one JSON object with a text `query`, and, where given, objects "
            "`variables` and `extensions` and a text `operationName`."
        ) from None
