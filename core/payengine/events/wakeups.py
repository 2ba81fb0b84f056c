"""How do other processes hear that there is something new?

A message on a Redis channel names the tenants that got events, and nothing else. Redis is never a
source of truth: where it is away, nobody waits for it, and readers look by themselves once a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterable

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from payengine.events.feed import Feed

__all__ = ["WakeUps"]

_CHANNEL = "payengine:events"
_RETRY_S = 1.0
_TIMEOUT_S = 0.5
_STOP_S = 0.25
_STOP_TRIES = 20

_log = structlog.get_logger(__name__)


class WakeUps:
    """Sends and receives wake-ups; without a Redis it does nothing."""

    def __init__(self, url: str | None, feed: Feed) -> None:
        self._url = url
        self._feed = feed
        self._news: set[uuid.UUID] = set()
        self._has_news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Listen and send in the background."""
        if self._url is not None:
            self._tasks = [
                asyncio.create_task(self._for_ever(work, self._url))
                for work in (self._listen, self._tell)
            ]

    async def stop(self) -> None:
        """Stop listening and disconnect."""
        left = set(self._tasks)
        for _ in range(_STOP_TRIES):
            # The client may swallow a cancellation that meets it in the middle of connecting.
            for task in left:
                task.cancel()
            if left:
                _, left = await asyncio.wait(left, timeout=_STOP_S)

    def send(self, tenant_ids: Iterable[uuid.UUID]) -> None:
        """Tell the other processes soon; one message may name what several calls named."""
        if self._tasks:
            self._news.update(tenant_ids)
            self._has_news.set()

    async def _for_ever(
        self, work: Callable[[redis.asyncio.Redis], Awaitable[None]], url: str
    ) -> None:
        """Begin anew, a second later, where Redis is away."""
        while True:
            # No retries inside the client: they would hold back what is new.
            client = redis.asyncio.Redis.from_url(
                url,
                socket_timeout=None,
                socket_connect_timeout=_TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
            try:
                await work(client)
            except (redis.exceptions.RedisError, OSError, TimeoutError) as failure:
                _log.info("wake_ups_interrupted", error=type(failure).__name__)
                await asyncio.sleep(_RETRY_S)
            finally:
                with contextlib.suppress(Exception):
                    await client.aclose()

    async def _listen(self, client: redis.asyncio.Redis) -> None:
        async with client.pubsub() as channel:
            await channel.subscribe(_CHANNEL)
            async for message in channel.listen():
                if message["type"] == "message":
                    self._wake(message["data"])

    async def _tell(self, client: redis.asyncio.Redis) -> None:
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            message = b"".join(tenant_id.bytes for tenant_id in self._news)
            self._news.clear()
            if message:
                await asyncio.wait_for(client.publish(_CHANNEL, message), _TIMEOUT_S)

    def _wake(self, message: bytes) -> None:
        for start in range(0, len(message) - 15, 16):
            self._feed.wake(uuid.UUID(bytes=message[start : start + 16]))
