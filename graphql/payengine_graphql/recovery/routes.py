"""How is the recovery page served?

`GET` and `POST /recover/{token}`. The token in the address is all that tells who comes: there is no
cookie and nothing to forge a request with. A link that does not work has one page and one status,
whatever is wrong with it. After a form the browser is sent back to the page, so that loading it
again pays nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from urllib.parse import parse_qs

from payengine.billing.collection.recovery import RecoveryView
from payengine.engine import Engine
from payengine.errors import (
    Conflict,
    DatabaseUnavailable,
    PayengineError,
    RateLimited,
    RecoveryLinkInvalid,
    VaultSealed,
)
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.recovery.page import POLICY, STYLE, gone_page, recovery_page

__all__ = ["LARGEST_FORM", "RecoveryPages"]

LARGEST_FORM = 4_096
_BODY_DEADLINE_S = 10.0
_IN_FLIGHT = 64

_HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}


class RecoveryPages:
    """The handlers below `/recover`."""

    def __init__(self, engine: Engine) -> None:
        self._recovery = engine.collection.recovery
        self._bulkhead = Bulkhead(in_all=_IN_FLIGHT, per_tenant=_IN_FLIGHT)

    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route("/recover/style.css", self.style, methods=["GET"]),
            Route("/recover/{token}", self.show, methods=["GET"]),
            Route("/recover/{token}", self.pay, methods=["POST"]),
        ]

    async def style(self, request: Request) -> Response:
        """The page's styles."""
        return Response(STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})

    async def show(self, request: Request) -> Response:
        """The page as it now stands."""
        token = request.path_params["token"]
        try:
            with self._bulkhead.enter():
                view = await self._recovery.look(token)
                if view.next_action_url is not None:
                    view = await self._recovery.refresh(token)
        except PayengineError as error:
            return _refused(error)
        failed = request.query_params.get("failed") == "1"
        return _page(recovery_page(view, nonce=secrets.token_urlsafe(24), failed=failed))

    async def pay(self, request: Request) -> Response:
        """Pay by the way that the form names, then back to the page."""
        token = request.path_params["token"]
        form = await _form(request)
        if form is None:
            return Response("The form cannot be read.", 413, headers=_HEADERS)
        method = form.get("method", "")
        here = str(request.url.replace(query="", fragment=""))
        public = os.environ.get("PAYENGINE_PUBLIC_URL", "").rstrip("/")
        try:
            with self._bulkhead.enter():
                view = await self._recovery.pay(
                    token,
                    nonce=form.get("nonce", ""),
                    return_url=f"{public}/recover/{token}" if public else here,
                    method_id=None if method == "new" else method,
                    method_token=form.get("token", "").strip() if method == "new" else None,
                )
        except (RecoveryLinkInvalid, RateLimited, DatabaseUnavailable, VaultSealed) as error:
            return _refused(error)
        except Conflict:
            return _back(token, failed=False)
        except PayengineError:
            return _back(token, failed=True)
        return _back(token, failed=_did_not_work(view))


def _did_not_work(view: RecoveryView) -> bool:
    return view.is_open and view.next_action_url is None


def _back(token: str, *, failed: bool) -> Response:
    where = f"/recover/{token}{'?failed=1' if failed else ''}"
    return RedirectResponse(where, status_code=303, headers=_HEADERS)


def _page(text: str, *, status: int = 200) -> Response:
    return Response(text, status, media_type="text/html", headers=_HEADERS)


def _refused(error: PayengineError) -> Response:
    if isinstance(error, RecoveryLinkInvalid):
        return _page(gone_page(), status=404)
    if isinstance(error, RateLimited):
        headers = {**_HEADERS, "retry-after": "60"}
        return Response(error.message, 429, headers=headers, media_type="text/plain")
    if isinstance(error, DatabaseUnavailable | VaultSealed):
        return Response("Please try again in a minute.", 503, headers=_HEADERS)
    return _page(gone_page(), status=404)


async def _form(request: Request) -> dict[str, str] | None:
    """The form's last value of each field; None where it is too large, late or no text."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_DEADLINE_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_FORM:
                    return None
        fields = parse_qs(body.decode("ascii"), max_num_fields=10, errors="strict")
    except (TimeoutError, ClientDisconnect, ValueError):
        return None
    return {name: values[-1] for name, values in fields.items()}
