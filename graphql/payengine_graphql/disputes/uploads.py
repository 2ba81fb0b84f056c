"""How does a document come in that is too large for a GraphQL request?

`POST /api/disputes/{id}/evidence` takes the bytes as they are: the category and the name stand in
the query, the media type and the idempotency key in headers.
"""

from __future__ import annotations

import asyncio

from payengine.engine import Engine
from payengine.errors import EvidenceRefused, InputInvalid, PayengineError
from payengine.payments.disputes import AddDisputeEvidence, FileInput
from payengine.payments.disputes.inputs import LARGEST_FILE
from payengine_tenants.keys import ApiKeys
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from payengine_graphql.answers import encode, error_answer
from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.endpoint import authenticated, bearer_of
from payengine_graphql.refusals import (
    BodyTooLarge,
    DeadlineExceeded,
    MethodNotAllowed,
    RequestMalformed,
    status_of,
)

__all__ = ["EvidenceUploads"]

#: Each may hold a few MiB in memory, several times over while it is sealed.
_IN_FLIGHT = 8
_IN_FLIGHT_OF_TENANT = 2
_BODY_DEADLINE_S = 30.0
_JSON = "application/json"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class EvidenceUploads:
    """The handler below `/api/disputes`."""

    def __init__(self, engine: Engine, keys: ApiKeys) -> None:
        self._engine = engine
        self._keys = keys
        self._bulkhead = Bulkhead(in_all=_IN_FLIGHT, per_tenant=_IN_FLIGHT_OF_TENANT)

    def routes(self) -> list[Route]:
        """For the application."""
        return [Route("/api/disputes/{dispute_id}/evidence", self.handle, methods=_METHODS)]

    async def handle(self, request: Request) -> Response:
        """201 with the piece of evidence, or an error as GraphQL spells it."""
        try:
            if request.method != "POST":
                raise MethodNotAllowed("Evidence is sent by POST.")
            secret = bearer_of(request.headers.get("authorization", ""))
            context = await authenticated(self._keys, secret)
            context.require("disputes:write")
            with self._bulkhead.enter(), self._bulkhead.enter_tenant(context.tenant_id):
                asked = await _asked(request)
                piece = await self._engine.disputes.add_evidence(context, asked)
        except PayengineError as error:
            status = status_of(error)
            headers = {"Allow": "POST"} if status == 405 else None
            return Response(error_answer(error), status, headers, media_type=_JSON)
        answer = {
            "id": piece.id,
            "disputeId": piece.dispute_id,
            "category": piece.category,
            "mediaType": piece.media_type,
            "sizeBytes": piece.size_bytes,
        }
        return Response(encode(answer), 201, media_type=_JSON)


async def _asked(request: Request) -> AddDisputeEvidence:
    query = request.query_params
    name = query.get("name", "")
    if not name:
        raise InputInvalid("The query names the file: ?category=receipt&name=receipt.pdf.")
    return AddDisputeEvidence(
        idempotency_key=request.headers.get("idempotency-key", ""),
        dispute_id=request.path_params["dispute_id"],
        category=query.get("category", "other"),
        file=FileInput(
            name=name,
            media_type=request.headers.get("content-type", "").partition(";")[0].strip().lower(),
            content=await _body(request),
        ),
    )


async def _body(request: Request) -> bytes:
    """The body, read no further than a file may be large."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 12 or int(announced) > LARGEST_FILE):
        raise EvidenceRefused(f"A file has at most {LARGEST_FILE} bytes.")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_DEADLINE_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > LARGEST_FILE:
                    raise BodyTooLarge(f"A file has at most {LARGEST_FILE} bytes.")
                chunks.append(chunk)
    except TimeoutError:
        raise DeadlineExceeded("The body did not arrive in time; nothing was done.") from None
    except ClientDisconnect:
        raise RequestMalformed("The body ended early.") from None
    return b"".join(chunks)
