"""How does a tester open and decide disputes over HTTP, and how does a merchant answer?

The dispute part of `docs/reference/sandbox-http.md`. Inside the platform only the tester's part is
served: the plugin answers by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payengine_sandbox.dispute_records import DisputeStep, ShownDispute
from payengine_sandbox.disputes import DisputeBook, OpenDispute
from payengine_sandbox.records import ProviderError
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.wire import Problem, Refusal

__all__ = ["dispute_control", "dispute_steps"]

_LARGEST_BODY = 64 * 1024

StructT = TypeVar("StructT", bound=msgspec.Struct)
_Serve = Callable[[Request], Awaitable[ShownDispute]]


class _Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank says."""

    status: Literal["needs_response", "under_review", "won", "lost"]
    fee_returned: bool = False


class _Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """How many pieces are handed in, and what names them all."""

    pieces: int
    digest: str


def dispute_control(book: Callable[[], DisputeBook]) -> list[Route]:
    """Open a dispute, look at it, decide it."""

    async def begin(request: Request) -> ShownDispute:
        return await book().open(_account(request), await _read(request, OpenDispute))

    async def show(request: Request) -> ShownDispute:
        return await book().show(_account(request), request.path_params["reference"])

    async def decide(request: Request) -> ShownDispute:
        said = await _read(request, _Decision)
        return await book().decide(
            _account(request),
            request.path_params["reference"],
            said.status,
            fee_returned=said.fee_returned,
        )

    return [
        Route("/v1/disputes", _guarded(begin), methods=["POST"]),
        Route("/v1/disputes/{reference}", _guarded(show), methods=["GET"]),
        Route("/v1/disputes/{reference}/decision", _guarded(decide), methods=["POST"]),
    ]


def dispute_steps(
    book: Callable[[], DisputeBook],
    asked: Callable[[Request], tuple[str, SandboxSettings]],
    *,
    hang_s: float,
) -> list[Route]:
    """Hand evidence in, or give the dispute up; `asked` reads account and settings."""

    async def take(request: Request, step: DisputeStep) -> ShownDispute:
        account, settings = asked(request)
        if not step.key:
            raise ProviderError("invalid_request", "A key is needed.", status=400)
        return await book().take(account, step, settings, hang_s=hang_s)

    async def submit(request: Request) -> ShownDispute:
        given = await _read(request, _Evidence)
        step = DisputeStep(
            kind="submit_evidence",
            key=request.headers.get("idempotency-key", ""),
            reference=request.path_params["reference"],
            pieces=given.pieces,
            digest=given.digest,
        )
        return await take(request, step)

    async def accept(request: Request) -> ShownDispute:
        step = DisputeStep(
            kind="accept_dispute",
            key=request.headers.get("idempotency-key", ""),
            reference=request.path_params["reference"],
        )
        return await take(request, step)

    return [
        Route("/v1/disputes/{reference}/evidence", _guarded(submit), methods=["POST"]),
        Route("/v1/disputes/{reference}/acceptance", _guarded(accept), methods=["POST"]),
    ]


def _account(request: Request) -> str:
    account = request.headers.get("sandbox-account", "")
    if not account:
        message = "The header Sandbox-Account is missing."
        raise ProviderError("invalid_request", message, status=400)
    return account


async def _read(request: Request, kind: type[StructT]) -> StructT:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_BODY:
            raise ProviderError("invalid_request", "A body has at most 64 KiB.", status=413)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as unread:
        raise ProviderError("invalid_request", str(unread), status=400) from None


def _guarded(serve: _Serve) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            return _json(await serve(request))
        except ProviderError as error:
            return _json(Refusal(Problem(error.code, error.message)), status=error.status)

    return guarded


def _json(body: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
