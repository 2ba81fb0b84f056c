"""How do other processes hear that there is something new?

A message on a Redis channel names the tenants that got events, and nothing else. Redis is never a
source of truth: where it is away, readers look by themselves once a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence

import redis.asyncio
import structlog

from payengine.events.feed import Feed

__all__ = ["WakeUps"]

_CHANNEL = "payengine:events"
_RETRY_S = 1.0
_TIMEOUT_S = 0.5

_log = structlog.get_logger(__name__)


class WakeUps:
    """Sends and receives wake-ups; without a Redis it does nothing."""

    def __init__(self, url: str | None, feed: Feed) -> None:
        self._url = url
        self._feed = feed
        self._client: redis.asyncio.Redis | None = None
        self._task: asyncio.Task[None] | None = None
        self._silent_until = 0.0

    def start(self) -> None:
        """Listen in the background."""
        if self._url is not None:
            self._client = redis.asyncio.Redis.from_url(
                self._url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
            )
            self._task = asyncio.create_task(self._listen(self._url))

    async def stop(self) -> None:
        """Stop listening and disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def send(self, tenant_ids: Sequence[uuid.UUID]) -> None:
        """Tell the other processes; a Redis that is away is left alone for a second."""
        now = asyncio.get_running_loop().time()
        if self._client is None or not tenant_ids or now < self._silent_until:
            return
        message = b"".join(tenant_id.bytes for tenant_id in tenant_ids)
        try:
            await self._client.publish(_CHANNEL, message)
        except (redis.exceptions.RedisError, OSError) as failure:
            self._silent_until = now + _RETRY_S
            _log.info("wake_up_not_sent", error=type(failure).__name__)

    async def _listen(self, url: str) -> None:
        while True:
            client = redis.asyncio.Redis.from_url(url, socket_connect_timeout=_TIMEOUT_S)
            try:
                async with client.pubsub() as channel:
                    await channel.subscribe(_CHANNEL)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self._wake(message["data"])
            except (redis.exceptions.RedisError, OSError):
                await asyncio.sleep(_RETRY_S)
            finally:
                with contextlib.suppress(Exception):
                    await client.aclose()

    def _wake(self, message: bytes) -> None:
        for start in range(0, len(message) - 15, 16):
            self._feed.wake(uuid.UUID(bytes=message[start : start + 16]))
