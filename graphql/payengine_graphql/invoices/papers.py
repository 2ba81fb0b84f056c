"""How does an invoice leave the house as a file?

`GET /api/invoices/{id}/pdf` answers with the PDF itself, to whoever has the tenant's key: a browser
or a mail program has no use for base64 in JSON.
"""

from __future__ import annotations

import re

from payengine.engine import Engine
from payengine.errors import (
    DatabaseUnavailable,
    InvoiceInvalidTransition,
    NotFound,
    PayengineError,
    PermissionDenied,
    VaultSealed,
)
from payengine_tenants.keys import ApiKeys
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payengine_graphql.answers import error_answer
from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.endpoint import authenticated, bearer_of
from payengine_graphql.refusals import MethodNotAllowed, status_of

__all__ = ["InvoicePapers"]

#: Setting a page takes the processor; what waits behind it must not pile up.
_IN_FLIGHT = 16
_IN_FLIGHT_OF_TENANT = 4
_JSON = "application/json"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_STATUS: dict[type[PayengineError], int] = {
    NotFound: 404,
    PermissionDenied: 403,
    InvoiceInvalidTransition: 409,
    DatabaseUnavailable: 503,
    VaultSealed: 503,
}
_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


class InvoicePapers:
    """The handler below `/api/invoices`."""

    def __init__(self, engine: Engine, keys: ApiKeys) -> None:
        self._papers = engine.invoicing.papers
        self._keys = keys
        self._bulkhead = Bulkhead(in_all=_IN_FLIGHT, per_tenant=_IN_FLIGHT_OF_TENANT)

    def routes(self) -> list[Route]:
        """For the application."""
        return [Route("/api/invoices/{invoice_id}/pdf", self.handle, methods=_METHODS)]

    async def handle(self, request: Request) -> Response:
        """200 with the PDF, or an error as GraphQL spells it."""
        try:
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowed("An invoice's paper is read by GET.")
            secret = bearer_of(request.headers.get("authorization", ""))
            context = await authenticated(self._keys, secret)
            with self._bulkhead.enter(), self._bulkhead.enter_tenant(context.tenant_id):
                number, paper = await self._papers.pdf(context, request.path_params["invoice_id"])
        except PayengineError as error:
            status = _status(error)
            headers = {405: {"Allow": "GET, HEAD"}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
            return Response(error_answer(error), status, headers, media_type=_JSON)
        headers = {
            "content-disposition": _disposition(number),
            "cache-control": "private, no-store",
        }
        return Response(paper, headers=headers, media_type="application/pdf")


def _status(error: PayengineError) -> int:
    known = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    return next(known, None) or status_of(error)


def _disposition(number: str) -> str:
    """The file's name, without what a file system or a header reads as something else."""
    return f'inline; filename="{_PLAIN.sub("_", number)}.pdf"'
