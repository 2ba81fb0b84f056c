"""How is the sandbox served over HTTP?

The other side of `docs/reference/sandbox-http.md`: a Starlette application over one provider.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payengine_sandbox.challenge import challenge_routes
from payengine_sandbox.dispute_routes import dispute_control, dispute_steps
from payengine_sandbox.disputes import DisputeBook
from payengine_sandbox.provider import Provider
from payengine_sandbox.records import Command, Garbled, Kind, Operation, ProviderError
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.webhooks import Courier
from payengine_sandbox.wire import Problem, Refusal, show, us_of

__all__ = ["sandbox_app"]

_HANG_S = 60.0
_SETTLE_EVERY_S = 0.05
_LARGEST_BODY = 64 * 1024
_PAGE = 1000
_KINDS: tuple[Kind, ...] = ("authorize", "capture", "void", "refund", "increment")


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """Every field that a request may have; the provider checks which it needs."""

    amount_minor: int
    currency: str
    capture: bool = False
    token: str = ""
    off_session: bool = False
    return_url: str | None = None
    payment_id: str = ""
    reference: str = ""
    final: bool = True


_body = msgspec.json.Decoder(_Body)


def sandbox_app(
    path: Path, *, base_url: str, defaults: dict[str, Any] | None = None, hang_s: float = _HANG_S
) -> Starlette:
    """The application over the store at `path`.

    `base_url` is its own address, for challenge pages; `defaults` are settings of
    `SandboxSettings` that hold where a request brings none of its own.
    """
    return _Server(path, base_url=base_url, defaults=defaults or {}, hang_s=hang_s).app()


class _Server:
    def __init__(
        self, path: Path, *, base_url: str, defaults: dict[str, Any], hang_s: float
    ) -> None:
        self._provider = Provider(path)
        self._courier = Courier(self._provider.engine.store, base_url=base_url)
        self._provider.engine.hear = self._courier.send
        self._disputes = DisputeBook(self._provider, hear=self._courier.tell_dispute)
        self._base_url = base_url
        self._defaults = defaults
        self._hang_s = hang_s
        self._settings = lru_cache(maxsize=256)(self._read_settings)
        self._settings("")

    def app(self) -> Starlette:
        routes = [
            *(Route(f"/v1/{kind}", self._step(kind), methods=["POST"]) for kind in _KINDS),
            Route("/v1/operations", _guarded(self._lookup), methods=["GET"]),
            Route("/v1/movements", _guarded(self._movements), methods=["GET"]),
            Route("/healthz", self._healthz, methods=["GET"]),
            *challenge_routes(lambda: self._provider, base_path=""),
            *dispute_control(lambda: self._disputes),
            *dispute_steps(lambda: self._disputes, self._asked, hang_s=self._hang_s),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    def _step(self, kind: Kind) -> Callable[[Request], Awaitable[Response]]:
        async def step(request: Request) -> Response:
            return await self._perform(request, kind)

        return _guarded(step)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        settling = asyncio.create_task(self._settle())
        try:
            yield
        finally:
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)
            await self._courier.aclose()
            self._provider.close()

    async def _settle(self) -> None:
        """Delayed results come true by themselves, so that their webhooks go out."""
        while True:
            with contextlib.suppress(ProviderError):
                await self._provider.settle()
            await asyncio.sleep(_SETTLE_EVERY_S)

    async def _perform(self, request: Request, kind: Kind) -> Response:
        account, settings = self._asked(request)
        try:
            body = _body.decode(await _read(request))
        except msgspec.DecodeError as unread:
            raise ProviderError("invalid_request", str(unread), status=400) from None
        command = Command(
            kind=kind,
            key=request.headers.get("idempotency-key", ""),
            amount_minor=body.amount_minor,
            currency=body.currency,
            capture=body.capture,
            token=body.token,
            off_session=body.off_session,
            return_url=body.return_url,
            payment_id=body.payment_id,
            parent=body.reference,
            final=body.final,
        )
        done = await self._provider.perform(account, command, settings, hang_s=self._hang_s)
        if settings.webhook_url and done.status != "requires_action":
            self._courier.send(done)
        return self._answer(done)

    async def _lookup(self, request: Request) -> Response:
        account, settings = self._asked(request)
        key = request.query_params.get("key", "")
        found = await self._provider.lookup(account, key, settings, hang_s=self._hang_s)
        if found is None:
            raise ProviderError("not_found", "No operation was sent with this key.", status=404)
        return self._answer(found)

    async def _movements(self, request: Request) -> Response:
        account, _ = self._asked(request)
        query = request.query_params
        try:
            since = us_of(datetime.fromisoformat(query["from"]))
            until = us_of(datetime.fromisoformat(query["to"]))
            limit = min(max(int(query.get("limit", _PAGE)), 1), _PAGE)
            moved, _, reference = query.get("after", f"{since}.").partition(".")
            after = (max(int(moved), since), reference)
        except (KeyError, ValueError, TypeError, OverflowError):
            message = "from and to must be instants with an offset, limit an integer."
            raise ProviderError("invalid_request", message, status=400) from None
        found = await self._provider.movements(
            account, after=after, until_us=until, limit=limit + 1
        )
        page = found[:limit]
        last = f"{page[-1].moved_us}.{page[-1].reference}" if len(found) > limit else None
        shown = [show(one, base_url=self._base_url) for one in page]
        return _json({"movements": shown, "next": last})

    async def _healthz(self, request: Request) -> Response:
        return _json({"status": "ok"})

    def _answer(self, operation: Operation) -> Response:
        return _json(show(operation, base_url=self._base_url))

    def _asked(self, request: Request) -> tuple[str, SandboxSettings]:
        account = request.headers.get("sandbox-account", "")
        if not account:
            message = "The header Sandbox-Account is missing."
            raise ProviderError("invalid_request", message, status=400)
        return account, self._settings(request.headers.get("sandbox-options", ""))

    def _read_settings(self, options: str) -> SandboxSettings:
        try:
            own = msgspec.json.decode(options, type=dict[str, Any]) if options else {}
            return msgspec.convert({**self._defaults, **own}, SandboxSettings)
        except msgspec.DecodeError as unread:
            raise ProviderError("invalid_request", str(unread), status=400) from None


def _guarded(
    serve: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            return await serve(request)
        except ProviderError as error:
            refusal = Refusal(Problem(error.code, error.message))
            return _json(refusal, status=error.status)
        except Garbled as answer:
            return Response(str(answer.nonsense), media_type="application/json")

    return guarded


async def _read(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_BODY:
            message = "A body has at most 64 KiB."
            raise ProviderError("invalid_request", message, status=413)
    return body


def _json(body: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
