"""Who is watching, and what have they seen?

One reader per tenant reads new events once and hands them to every subscriber of that tenant in
this process. A subscriber has a bounded queue; one that does not keep up gets a `Resync` and its
feed ends. Wake-ups carry a pointer and no payload; losing one delays a reader until its next look.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog

from payengine.context import TenantContext
from payengine.errors import CursorInvalid, RateLimited
from payengine.events.log import EventLog
from payengine.events.models import Cursor, Event, EventFilter, Resync

__all__ = ["QUEUE_LENGTH", "Feed"]

#: How many events may wait for one subscriber.
QUEUE_LENGTH = 1_000
_SUBSCRIBERS_PER_TENANT = 2_000
_PAGE = 500
_LOOK_EVERY_S = 1.0

_log = structlog.get_logger(__name__)


class _Subscriber:
    """One reader's bounded queue; `None` in it ends the feed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE_LENGTH)
        self.overflowed = False

    def put(self, event: Event) -> None:
        if self.overflowed:
            return
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.overflowed = True


class _Stream:
    """What one tenant's subscribers in this process share."""

    def __init__(self, context: TenantContext, position: int) -> None:
        self.context = context
        self.position = position
        self.woken = asyncio.Event()
        self.subscribers: set[_Subscriber] = set()
        self.task: asyncio.Task[None] | None = None


class Feed:
    """Live events of all tenants, for the subscribers of this process."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._streams: dict[uuid.UUID, _Stream] = {}
        self._opening: defaultdict[uuid.UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def subscribers(self) -> int:
        """How many feeds are open in this process."""
        return sum(len(stream.subscribers) for stream in self._streams.values())

    def wake(self, tenant_id: uuid.UUID) -> None:
        """There may be new events of this tenant."""
        stream = self._streams.get(tenant_id)
        if stream is not None:
            stream.woken.set()

    async def close(self) -> None:
        """End every feed."""
        tasks = [stream.task for stream in self._streams.values() if stream.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in list(self._streams.values()):
            for subscriber in stream.subscribers:
                subscriber.overflowed = True
                with suppress(asyncio.QueueFull):
                    subscriber.queue.put_nowait(None)

    async def subscribe(
        self, context: TenantContext, wanted: EventFilter, *, after: str | None = None
    ) -> AsyncIterator[Event | Resync]:
        """Every wanted event after the cursor (None: from now on), without gap or duplicate.

        Raises `CursorInvalid`, `PermissionDenied`, and `RateLimited` where too many watch.
        """
        context.require("events:read")
        subscriber = _Subscriber()
        stream = await self._join(context, subscriber)
        try:
            # The stream reads on from `joined`; what lies before it is read here, page by page.
            joined = stream.position
            seen = joined if after is None else self._log.position_after(after)
            if seen > joined and seen > await self._log.head(context):
                raise CursorInvalid
            while seen < joined:
                for event in await self._log.read(context, position=seen, limit=_PAGE):
                    seen = event.position
                    if wanted.wants(event):
                        yield event
            while True:
                new = await self._next(subscriber)
                if new is None:
                    yield Resync(str(Cursor(self._log.epoch, seen)))
                    return
                if new.position > seen:
                    seen = new.position
                    if wanted.wants(new):
                        yield new
        finally:
            self._leave(context.tenant_id, stream, subscriber)

    async def _next(self, subscriber: _Subscriber) -> Event | None:
        if subscriber.overflowed and subscriber.queue.empty():
            return None
        return await subscriber.queue.get()

    async def _join(self, context: TenantContext, subscriber: _Subscriber) -> _Stream:
        async with self._opening[context.tenant_id]:
            stream = self._streams.get(context.tenant_id)
            if stream is None:
                stream = _Stream(context, await self._log.head(context))
                stream.task = asyncio.create_task(self._run(stream))
                self._streams[context.tenant_id] = stream
            if len(stream.subscribers) >= _SUBSCRIBERS_PER_TENANT:
                raise RateLimited("Too many live feeds are open for this tenant.")
            stream.subscribers.add(subscriber)
            return stream

    def _leave(self, tenant_id: uuid.UUID, stream: _Stream, subscriber: _Subscriber) -> None:
        stream.subscribers.discard(subscriber)
        if not stream.subscribers and self._streams.get(tenant_id) is stream:
            del self._streams[tenant_id]
            self._opening.pop(tenant_id, None)
            if stream.task:
                stream.task.cancel()

    async def _run(self, stream: _Stream) -> None:
        while True:
            stream.woken.clear()
            try:
                await self._drain(stream)
            except Exception as failure:  # the database may be away: the feed waits for it
                _log.warning("feed_read_failed", error=type(failure).__name__)
                await asyncio.sleep(_LOOK_EVERY_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(stream.woken.wait(), _LOOK_EVERY_S)

    async def _drain(self, stream: _Stream) -> None:
        while True:
            events = await self._log.read(stream.context, position=stream.position, limit=_PAGE)
            for event in events:
                stream.position = event.position
                for subscriber in stream.subscribers:
                    subscriber.put(event)
            if len(events) < _PAGE:
                return
