"""How is a sandbox reached that runs as a server of its own?

The client of the contract in `docs/reference/sandbox-http.md`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from payengine.plugin import Call, NotSent

from payengine_sandbox.dispute_records import DisputeStep, ShownDispute
from payengine_sandbox.disputes import OpenDispute
from payengine_sandbox.local import settings_of
from payengine_sandbox.records import Command, ProviderError
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.wire import Refusal, Shown, instant_of

__all__ = ["RemoteTransport", "body_of"]

_CONNECTIONS = 256
#: The server's chaos may hang: wait a little longer than the caller does.
_BEYOND_DEADLINE_S = 1.0
_PAGE = 1000

_shown = msgspec.json.Decoder(Shown)
_dispute = msgspec.json.Decoder(ShownDispute)
_refusal = msgspec.json.Decoder(Refusal)


class _Page(msgspec.Struct):
    movements: list[Shown]
    next: str | None = None


_page = msgspec.json.Decoder(_Page)


def body_of(command: Command) -> dict[str, Any]:
    """The JSON body of a request."""
    body: dict[str, Any] = {"amount_minor": command.amount_minor, "currency": command.currency}
    if command.kind == "authorize":
        body |= {
            "capture": command.capture,
            "token": command.token,
            "off_session": command.off_session,
            "return_url": command.return_url,
            "payment_id": command.payment_id,
        }
    else:
        body["reference"] = command.parent
    if command.kind == "capture":
        body["final"] = command.final
    return body


class RemoteTransport:
    """A pool of connections to one sandbox server, made when it is first needed."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def perform(self, call: Call, command: Command) -> Shown:
        """Send one request; raises `NotSent` where no connection was made."""
        headers = _headers(call) | {
            "idempotency-key": command.key,
            "content-type": "application/json",
        }
        content = msgspec.json.encode(body_of(command))
        answer = await self._send(
            call, "POST", f"/v1/{command.kind}", headers=headers, content=content
        )
        return _shown.decode(answer)

    async def lookup(self, call: Call, key: str) -> Shown | None:
        """The record of the operation sent with `key`."""
        try:
            answer = await self._send(
                call, "GET", "/v1/operations", headers=_headers(call), params={"key": key}
            )
        except ProviderError as error:
            if error.code == "not_found" and error.status == 404:
                return None
            raise
        return _shown.decode(answer)

    async def dispute(self, call: Call, told: OpenDispute) -> ShownDispute:
        """The buyer disputes."""
        headers = _headers(call) | {"content-type": "application/json"}
        content = msgspec.json.encode(told)
        answer = await self._send(call, "POST", "/v1/disputes", headers=headers, content=content)
        return _dispute.decode(answer)

    async def dispute_step(self, call: Call, step: DisputeStep) -> ShownDispute:
        """What the merchant asks about a dispute; raises `NotSent` as `perform` does."""
        name = "evidence" if step.kind == "submit_evidence" else "acceptance"
        headers = _headers(call) | {
            "idempotency-key": step.key,
            "content-type": "application/json",
        }
        answer = await self._send(
            call,
            "POST",
            f"/v1/disputes/{step.reference}/{name}",
            headers=headers,
            content=msgspec.json.encode({"pieces": step.pieces, "digest": step.digest}),
        )
        return _dispute.decode(answer)

    async def movements(self, call: Call, *, since_us: int, until_us: int) -> Sequence[Shown]:
        """The records that moved money in the span, read page by page."""
        span = {"from": instant_of(since_us).isoformat(), "to": instant_of(until_us).isoformat()}
        found: list[Shown] = []
        after: str | None = ""
        while after is not None:
            page = _page.decode(
                await self._send(
                    call,
                    "GET",
                    "/v1/movements",
                    headers=_headers(call),
                    params={**span, "limit": str(_PAGE), **({"after": after} if after else {})},
                )
            )
            found += page.movements
            after = page.next
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    async def _send(self, call: Call, method: str, path: str, **rest: Any) -> bytes:
        import httpx

        timeout_s = call.deadline_ms / 1000 + _BEYOND_DEADLINE_S
        try:
            answer = await self._open().request(method, self._url + path, timeout=timeout_s, **rest)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as refused:
            raise NotSent(f"The sandbox at {self._url} cannot be reached: {refused}") from refused
        if answer.status_code == 200:
            return bytes(answer.content)
        try:
            problem = _refusal.decode(answer.content).error
        except msgspec.DecodeError:
            raise ProviderError(
                "unreadable", "The answer cannot be read.", status=answer.status_code
            ) from None
        raise ProviderError(problem.code, problem.message, status=answer.status_code)

    def _open(self) -> Any:
        """The process's client; another event loop gets another one."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            import httpx

            limits = httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            )
            self._client = httpx.AsyncClient(limits=limits, trust_env=False)
            self._loop = loop
        return self._client


def _headers(call: Call) -> dict[str, str]:
    settings = settings_of(call)
    headers = {"sandbox-account": call.account}
    if settings != _DEFAULTS:
        plain: dict[str, Any] = msgspec.to_builtins(settings)
        changed = {name: value for name, value in plain.items() if value != _PLAIN_DEFAULTS[name]}
        headers["sandbox-options"] = msgspec.json.encode(changed).decode()
    return headers


_DEFAULTS = SandboxSettings()
_PLAIN_DEFAULTS: dict[str, Any] = msgspec.to_builtins(_DEFAULTS)
