"""Who is watching, and what have they seen?

One reader per tenant reads new events once and hands each to the subscribers of that tenant in
this process that want it. A subscriber has a bounded queue; one that does not keep up gets a
`Resync` and its feed ends. Wake-ups carry a pointer and no payload; losing one delays a reader
until its next look.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

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
_CLOSE_S = 5.0

_log = structlog.get_logger(__name__)


class _Subscriber:
    """One reader's bounded queue of what it wants; `None` in it ends the feed."""

    def __init__(self, wanted: EventFilter) -> None:
        self._wanted = wanted
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE_LENGTH)
        self._overflowed = False
        #: The stream hands over every event behind this position, and none before it.
        self.joined: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def start(self, position: int) -> None:
        """What is handed over lies behind `position`; a reader that has given up is let be."""
        if not self.joined.done():
            self.joined.set_result(position)

    def put(self, event: Event | None) -> None:
        """Queue a wanted event; where there is no room, the feed ends behind what is queued."""
        if self._overflowed or (event is not None and not self._wanted.wants(event)):
            return
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._overflowed = True

    def end(self) -> None:
        """End the feed behind what is queued."""
        self.put(None)
        self.start(0)

    async def next(self, most: int) -> list[Event]:
        """The next events, as many as there are; none where there will be no more."""
        if self._overflowed and self._queue.empty():
            return []
        event = await self._queue.get()
        events: list[Event] = []
        while event is not None:
            events.append(event)
            if len(events) == most or self._queue.empty():
                return events
            event = self._queue.get_nowait()
        if events:
            self._overflowed = True  # the end has been read; it is told at the next asking
        return events


class _Stream:
    """What one tenant's subscribers in this process share; no position before it was opened."""

    def __init__(self, context: TenantContext) -> None:
        self.context = context
        self.position: int | None = None
        self.woken = asyncio.Event()
        self.subscribers: set[_Subscriber] = set()
        self.task: asyncio.Task[None] | None = None


class Feed:
    """Live events of all tenants, for the subscribers of this process."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._streams: dict[uuid.UUID, _Stream] = {}
        self._listeners: list[Callable[[uuid.UUID], None]] = []
        self._is_closed = False

    @property
    def subscribers(self) -> int:
        """How many feeds are open in this process."""
        return sum(len(stream.subscribers) for stream in self._streams.values())

    def listen(self, listener: Callable[[uuid.UUID], None]) -> None:
        """From now on tell `listener` too of which tenant there may be new events.

        It must not wait, and must not count on hearing of each.
        """
        self._listeners.append(listener)

    def wake(self, tenant_id: uuid.UUID) -> None:
        """There may be new events of this tenant."""
        for listener in self._listeners:
            listener(tenant_id)
        stream = self._streams.get(tenant_id)
        if stream is not None:
            stream.woken.set()

    async def close(self) -> None:
        """End every feed, also those that are asked for from now on."""
        self._is_closed = True
        streams = list(self._streams.values())
        tasks = [stream.task for stream in streams if stream.task]
        for task in tasks:
            task.cancel()
        for stream in streams:
            for subscriber in stream.subscribers:
                subscriber.end()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)

    async def subscribe(
        self, context: TenantContext, wanted: EventFilter, *, after: str | None = None
    ) -> AsyncGenerator[Event | Resync, None]:
        """Every wanted event after the cursor (None: from now on), without gap or duplicate.

        Raises `CursorInvalid`, `PermissionDenied`, and `RateLimited` where too many watch.
        """
        async with aclosing(self.batches(context, wanted, after=after)) as batches:
            async for batch in batches:
                if isinstance(batch, Resync):
                    yield batch
                else:
                    for event in batch:
                        yield event

    async def batches(
        self,
        context: TenantContext,
        wanted: EventFilter,
        *,
        after: str | None = None,
        most: int = _PAGE,
    ) -> AsyncGenerator[list[Event] | Resync, None]:
        """The same, up to `most` at a time: what has come since the last batch was dealt with."""
        context.require("events:read")
        asked = None if after is None else self._log.position_after(after)
        subscriber = _Subscriber(wanted)
        stream = self._join(context, subscriber)
        try:
            head = await self._log.head(context)
            if asked is not None and asked > head:
                raise CursorInvalid
            seen = head if asked is None else asked
            joined = await subscriber.joined
            while seen < joined:  # what the stream does not hand over is read here, page by page
                page = await self._log.read(context, position=seen, limit=most)
                if not page:
                    break
                seen = page[-1].position
                if batch := [event for event in page if wanted.wants(event)]:
                    yield batch
            while events := await subscriber.next(most):
                if batch := [event for event in events if event.position > seen]:
                    seen = batch[-1].position
                    yield batch
            yield Resync(str(Cursor(self._log.epoch, seen)))
        finally:
            self._leave(stream, subscriber)

    def _join(self, context: TenantContext, subscriber: _Subscriber) -> _Stream:
        """Nothing is awaited here, so that nobody joins a stream that somebody is leaving."""
        stream = self._streams.get(context.tenant_id)
        if stream is None:
            stream = self._streams[context.tenant_id] = _Stream(context)
            stream.task = asyncio.create_task(self._run(stream))
        if len(stream.subscribers) >= _SUBSCRIBERS_PER_TENANT:
            raise RateLimited("Too many live feeds are open for this tenant.")
        stream.subscribers.add(subscriber)
        if stream.position is not None:
            subscriber.start(stream.position)
        if self._is_closed:
            subscriber.end()
        return stream

    def _leave(self, stream: _Stream, subscriber: _Subscriber) -> None:
        stream.subscribers.discard(subscriber)
        if not stream.subscribers and stream.task is not None:
            del self._streams[stream.context.tenant_id]
            stream.task.cancel()
            stream.task = None

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
        if stream.position is None:
            stream.position = await self._log.head(stream.context)
            for subscriber in stream.subscribers:
                subscriber.start(stream.position)
        while True:
            events = await self._log.read(stream.context, position=stream.position, limit=_PAGE)
            for event in events:
                stream.position = event.position
                for subscriber in stream.subscribers:
                    subscriber.put(event)
            if len(events) < _PAGE:
                return
