"""How does a client talk to a server that dies all the time?

It sends the same request with the same key until somebody answers. While the gate is shut it only
reads: the server is left alone with what it has to mend.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from tests.acceptance.crash.memory import Memory

__all__ = ["Client", "Refused"]

_TIMEOUT_S = 20.0
_AGAIN_S = 0.05
_PATIENCE_S = 0.3
_CONNECTIONS = 200
#: What is shown of what mutations make, where it is not the id alone.
_SHOWN = {"collections": "__typename", "payout": "id status", "testClock": "__typename"}


class Refused(Exception):
    """The server said no, for a reason that asking again does not change."""


class Client:
    """Clients of one server at a fixed address."""

    def __init__(self, url: str, memory: Memory) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            trust_env=False,
            timeout=_TIMEOUT_S,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            ),
        )
        self._memory = memory
        #: Set while the server is there.
        self.up = asyncio.Event()
        #: Set while mutations may be sent.
        self.gate = asyncio.Event()

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def once(self, key: str, document: str, **variables: Any) -> dict[str, Any]:
        """The data of one answer; raises `httpx.HTTPError` where none comes, and `Refused`."""
        answer = await self._http.post(
            "/graphql",
            json={"query": document, "variables": variables},
            headers={"authorization": f"Bearer {key}"},
        )
        said = answer.json()
        if said.get("errors"):
            error = said["errors"][0]
            if error.get("extensions", {}).get("retryable"):
                raise httpx.RemoteProtocolError(str(error))
            raise Refused(str(error))
        data: dict[str, Any] = said["data"]
        return data

    async def ask(self, key: str, document: str, **variables: Any) -> tuple[float, dict[str, Any]]:
        """As `once`, again and again until there is an answer; and when it was asked for."""
        return await self._until_answered(self.up, key, document, variables)

    async def _until_answered(
        self, gate: asyncio.Event, key: str, document: str, variables: dict[str, Any]
    ) -> tuple[float, dict[str, Any]]:
        while True:
            await gate.wait()
            asked_at = time.monotonic()
            try:
                return asked_at, await self.once(key, document, **variables)
            except (httpx.HTTPError, ValueError):
                self._memory.severed += 1
                await asyncio.sleep(_AGAIN_S)

    async def mutate(
        self,
        key: str,
        document: str,
        field: str,
        given: dict[str, Any],
        *,
        made: str = "payment",
    ) -> tuple[float, dict[str, Any]]:
        """The payload of a mutation; asked again with the same key while it may be tried again.

        `made` is what the payload shows where anything was done. Raises `Refused` with the error's
        code.
        """
        while True:
            asked_at, data = await self._until_answered(self.gate, key, document, {"input": given})
            payload: dict[str, Any] = data[field]
            error = next(iter(payload["errors"]), None)
            if error is None or payload[made]:
                return asked_at, payload
            if not error["retryable"]:
                raise Refused(error["code"])
            await asyncio.sleep(_PATIENCE_S)

    async def make(
        self, key: str, mutation: str, made: str, idempotency_key: str, **given: Any
    ) -> Any:
        """What a mutation made, as `_SHOWN` says, or by its id."""
        title = mutation[0].upper() + mutation[1:]
        document = (
            f"mutation ($input: {title}Input!) {{ {mutation}(input: $input) {{"
            f" {made} {{ {_SHOWN.get(made, 'id')} }}"
            " errors { code message retryable } } }"
        )
        asked = {"idempotencyKey": idempotency_key, **given}
        _, payload = await self.mutate(key, document, mutation, asked, made=made)
        return payload[made]
