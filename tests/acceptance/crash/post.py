"""Who carries the webhooks, of the provider to the program and of the program to the shops?

The provider's are acknowledged here and then brought to the program until it takes them: at once
or late, some of them twice, in no order. The program's are taken in and remembered by their id.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from random import Random
from typing import Any

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["TOLD_TYPES", "Post"]

#: What shops ask to be told of.
TOLD_TYPES = ("payment.captured", "refund.succeeded")

_AGAIN_S = 0.3
_LATEST_S = 2.0
_TIMEOUT_S = 5.0
_AT_ONCE = 16
_PASSED_ON = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature")


class Post:
    """The application (ASGI); `paths` says where each account's webhooks are brought to."""

    def __init__(self, program: str, *, seed: str) -> None:
        self._chance = Random(seed)
        self._http = httpx.AsyncClient(base_url=program, trust_env=False, timeout=_TIMEOUT_S)
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.paths: dict[str, str] = {}
        #: Set while the program is there.
        self.up = asyncio.Event()
        #: What the program refused, in words.
        self.refused: list[str] = []
        #: How often each message arrived, by tenant and id.
        self.arrived: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def aclose(self) -> None:
        """Leave undelivered what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    @property
    def carried(self) -> int:
        """How many webhooks are still on their way to the program."""
        return len(self._tasks)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        kind, _, tenant_id = request.url.path.strip("/").partition("/")
        if kind == "shop":
            self.arrived[tenant_id][request.headers.get("webhook-id", "")] += 1
        else:
            headers = {name: request.headers[name] for name in _PASSED_ON}
            self._carry(headers, body)
        await Response(status_code=204)(scope, receive, send)

    def _carry(self, headers: dict[str, str], body: bytes) -> None:
        path = self.paths.get(msgspec.json.decode(body)["account"])
        if path is None:
            return
        delays = [self._chance.choice((0.0, 0.0, self._chance.uniform(0.0, _LATEST_S)))]
        if self._chance.random() < 0.25:
            delays.append(self._chance.uniform(0.0, _LATEST_S))
        for delay_s in delays:
            task = asyncio.create_task(self._bring(path, headers, body, delay_s))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _bring(self, path: str, headers: dict[str, str], body: bytes, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        while True:
            await self.up.wait()
            with contextlib.suppress(httpx.HTTPError):
                async with self._places:
                    answer = await self._http.post(path, content=body, headers=headers)
                if answer.is_success:
                    return
                if answer.status_code < 500:
                    self.refused.append(f"{headers['webhook-id']}: {answer.status_code}")
                    return
            await asyncio.sleep(_AGAIN_S)
