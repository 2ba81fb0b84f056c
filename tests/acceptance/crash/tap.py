"""What goes over the wire between the program and its provider?

A proxy before the provider that notes each request and each lookup. It also makes the provider
worse than it says: it forgets an idempotency key after a second, as providers do after their
window. Whoever looks a key up before sending it again never notices; whoever does not charges
twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tests.acceptance.crash.listening import listening

__all__ = ["LIMITS", "Sent", "Tap", "tapped"]

#: What the provider declines because more was asked than there was.
LIMITS = frozenset({"capture_exceeds_held", "nothing_held", "refund_exceeds_captured"})

_FORGET_S = 1.0
_AGAIN = "~"
#: Longer than the provider's hanging answers last.
_TIMEOUT_S = 90.0
_CONNECTIONS = 512
_PASSED_ON = ("content-type", "sandbox-account", "sandbox-options")


@dataclass
class Sent:
    """What one key was used for; `blind` counts its requests that came without a look."""

    kind: str
    times: int = 0
    blind: int = 0
    exceeded: bool = False
    looked: bool = True
    last_at: float = 0.0
    #: The names under which the provider knows the key, the first one first.
    names: list[str] = field(default_factory=list)


class Tap:
    """The application of the proxy, and its notes by (account, key)."""

    def __init__(self, upstream: str, *, forgets: bool) -> None:
        self._upstream = upstream.rstrip("/")
        self._forgets = forgets
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        self._client = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S, limits=limits)
        self.sent: dict[tuple[str, str], Sent] = {}

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    @property
    def blind(self) -> int:
        """How many requests were sent again without a look at what became of the one before."""
        return sum(sent.blind for sent in self.sent.values())

    @property
    def exceeded(self) -> int:
        """How many steps the provider had to refuse because more was asked than there was."""
        return sum(sent.exceeded for sent in self.sent.values())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._serve(request)
        except httpx.HTTPError as failure:
            response = Response(repr(failure), 502)
        await response(scope, receive, send)

    async def _serve(self, request: Request) -> Response:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        account = headers.get("sandbox-account", "")
        if request.method == "POST":
            return await self._post(request, headers, account)
        if request.url.path == "/v1/operations":
            return await self._look(headers, account, request.query_params.get("key", ""))
        answer = await self._client.get(
            f"{self._upstream}{request.url.path}", params=request.query_params, headers=headers
        )
        return _passed(answer)

    async def _post(self, request: Request, headers: dict[str, str], account: str) -> Response:
        key = request.headers.get("idempotency-key", "")
        body = await request.body()
        sent = self._note(account, key, kind=request.url.path.rpartition("/")[2])
        headers["idempotency-key"] = sent.names[-1]
        try:
            answer = await self._client.post(
                f"{self._upstream}{request.url.path}", content=body, headers=headers
            )
        finally:
            sent.last_at = time.monotonic()
        if answer.status_code == 200:
            said = _operation(answer.content)
            decline = said.get("decline") or {}
            sent.exceeded = sent.exceeded or decline.get("code") in LIMITS
        return _passed(answer)

    def _note(self, account: str, key: str, *, kind: str) -> Sent:
        sent = self.sent.setdefault((account, key), Sent(kind))
        sent.times += 1
        sent.blind += not sent.looked
        sent.looked = False
        is_forgotten = self._forgets and time.monotonic() - sent.last_at > _FORGET_S
        if not sent.names:
            sent.names.append(key)
        elif is_forgotten:
            sent.names.append(f"{key}{_AGAIN}{len(sent.names)}")
        sent.last_at = time.monotonic()
        return sent

    async def _look(self, headers: dict[str, str], account: str, key: str) -> Response:
        """Ask for the newest of the key's names that the provider knows."""
        sent = self.sent.get((account, key))
        names = sent.names if sent is not None else [key]
        for name in reversed(names):
            query = urlencode({"key": name})
            answer = await self._client.get(
                f"{self._upstream}/v1/operations?{query}", headers=headers
            )
            if answer.status_code != 404:
                break
        if sent is not None and answer.status_code in (200, 404):
            sent.looked = True
        return _passed(answer)


def _operation(content: bytes) -> dict[str, Any]:
    with contextlib.suppress(msgspec.DecodeError):
        said = msgspec.json.decode(content)
        if isinstance(said, dict):
            return said
    return {}


def _passed(answer: httpx.Response) -> Response:
    """The provider's answer, with the keys as the program knows them."""
    content = answer.content
    if _AGAIN.encode() in content:
        said = _operation(content)
        for shown in [said, *said.get("movements", ())]:
            if isinstance(shown.get("key"), str):
                shown["key"] = shown["key"].partition(_AGAIN)[0]
        content = msgspec.json.encode(said)
    return Response(content, answer.status_code, media_type=answer.headers.get("content-type"))


@asynccontextmanager
async def tapped(upstream: str, *, forgets: bool) -> AsyncIterator[tuple[Tap, str]]:
    """A running tap and its address."""
    tap = Tap(upstream, forgets=forgets)
    try:
        async with listening(tap) as address:
            yield tap, address
    finally:
        await tap.aclose()
