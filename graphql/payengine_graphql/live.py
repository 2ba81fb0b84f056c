"""How do a thousand readers watch for the price of one?

Subscriptions that are the same share one live query: it reads the tenant's feed, executes the
document once for each event, encodes the answer once and hands it to all of them. Who comes with a
cursor catches up by itself and then joins, without gap or repetition: a reader has a place, and
takes nothing that lies at or before it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter as Multiset
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import aclosing
from typing import NamedTuple

import structlog
from payengine.context import TenantContext
from payengine.errors import CursorInvalid, RateLimited
from payengine.events import Cursor, Event, EventLog, Feed, Resync

from payengine_graphql.answers import error_answer
from payengine_graphql.execution import LiveSource
from payengine_graphql.guarded import trace_of
from payengine_graphql.outbox import Outbox, Parcel
from payengine_graphql.refusals import DeadlineExceeded

__all__ = ["LiveQueries", "Payload", "Reader", "Wrapping"]

_QUERIES_OF_TENANT = 200
_READERS_OF_TENANT = 4_000
_AT_ONCE = 32  # events that are executed together
_PARCEL_BYTES = 32 * 1024
_SLICE = 250  # readers that are served before others get their turn
_PAGE = 20  # events that one who catches up gets at a time
_CATCHING_UP = 4  # readers of a process that read at once
_KEPT = 256
_KEPT_BYTES = 256 * 1024
_KEPT_S = 30.0
_DEADLINE_S = 10.0
_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


class Payload(NamedTuple):
    """An event's answer, encoded."""

    position: int
    cursor: str
    data: bytes


class Wrapping(NamedTuple):
    """How a payload becomes a message; readers with equal names get the same bytes."""

    name: Hashable
    wrap: Callable[[Payload], bytes]


class Reader:
    """One subscription of one connection, and how far it has come."""

    def __init__(self, outbox: Outbox, wrapping: Wrapping) -> None:
        self.outbox = outbox
        self.wrapping = wrapping
        self.seen = 0
        #: Set when the feed ends for this reader: it was too slow, or the query ended.
        self.ended = asyncio.Event()


class _LiveQuery:
    """One document for one tenant's readers."""

    def __init__(
        self, source: LiveSource, feed: Feed, log: EventLog, turns: asyncio.Semaphore
    ) -> None:
        self._source = source
        self._feed = feed
        self._log = log
        self._turns = turns
        self._kept: deque[tuple[float, Payload]] = deque()
        self._kept_bytes = 0
        #: What was handed out behind this position is kept.
        self._kept_from = 0
        #: Everything up to here was handed out.
        self.position = 0
        self.readers: dict[Reader, None] = {}
        self.guests = 0
        self._is_over = False
        self._began = asyncio.create_task(self._begin())
        self._task: asyncio.Task[None] | None = None

    @property
    def _tenant(self) -> TenantContext:
        return self._source.tenant

    async def began(self) -> None:
        """Wait until the query has its place in the feed; raises what kept it from it."""
        await asyncio.shield(self._began)

    async def _begin(self) -> None:
        self.position = self._kept_from = await self._log.head(self._tenant)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop."""
        doing = [task for task in (self._began, self._task) if task is not None]
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)

    async def follow(self, reader: Reader, after: str | None) -> Payload:
        """Hand everything behind the cursor to the reader until its feed ends; how it ends.

        Raises `CursorInvalid`.
        """
        reader.seen = self.position if after is None else await self._place(after)
        try:
            while reader.seen < self.position:
                await reader.outbox.room()
                await self._catch_up(reader)
            self.readers[reader] = None  # nothing was awaited since it was seen to be level
            if not self._is_over:
                await reader.ended.wait()
        finally:
            self.readers.pop(reader, None)
        last = Resync(str(Cursor(self._log.epoch, reader.seen)))
        return Payload(
            reader.seen, last.cursor, await self._source.answer(last, self._source.fresh_context())
        )

    async def _place(self, after: str) -> int:
        asked = self._log.position_after(after)
        if asked > self.position and asked > await self._log.head(self._tenant):
            raise CursorInvalid
        return asked

    async def _catch_up(self, reader: Reader) -> None:
        """One page, or as much of it as the reader has room for."""
        self._forget_old()
        if reader.seen >= self._kept_from:
            payloads, until = [each for _, each in self._kept], self.position
        else:
            async with self._turns:
                payloads, until = await self._read(reader.seen)
        for payload in payloads:
            if payload.position > reader.seen:
                if reader.outbox.is_full:
                    return
                reader.outbox.offer(Parcel([reader.wrapping.wrap(payload)]))
                reader.seen = payload.position
        reader.seen = max(reader.seen, until)

    async def _read(self, position: int) -> tuple[list[Payload], int]:
        level = self.position  # before reading: what comes meanwhile is not skipped
        page = await self._log.read(self._tenant, position=position, limit=_PAGE)
        if not page:
            return [], level
        wanted = [event for event in page if self._source.watch.wanted.wants(event)]
        return await self._execute(wanted), page[-1].position

    async def _run(self) -> None:
        try:
            await self._serve_for_ever()
        finally:  # whatever ended it: nobody waits for what will not come
            self._is_over = True
            for reader in self.readers:
                reader.ended.set()

    async def _serve_for_ever(self) -> None:
        while True:
            before = self.position
            try:
                await self._serve()
            except Exception as failure:  # the database may be away: the readers wait for it
                _log.warning(
                    "live_query_failed", failure=type(failure).__name__, trace=trace_of(failure)
                )
            if self.position == before:
                await asyncio.sleep(_PAUSE_S)

    async def _serve(self) -> None:
        """Until this query itself is too slow for the feed; it goes on behind its own place."""
        after = str(Cursor(self._log.epoch, self.position))
        wanted = self._source.watch.wanted
        feed = self._feed.batches(self._tenant, wanted, after=after, most=_AT_ONCE)
        async with aclosing(feed) as batches:
            async for batch in batches:
                if isinstance(batch, Resync):
                    return
                payloads = await self._execute(batch)
                self.position = batch[-1].position
                self._keep(payloads)
                for parcel in _parcels(payloads):
                    await self._hand_out(parcel)
                    await asyncio.sleep(0)  # the loop hands to the kernel what was written

    async def _execute(self, events: list[Event]) -> list[Payload]:
        """Together, so that what they load is loaded in one statement."""
        context = self._source.fresh_context()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                answers = await asyncio.gather(
                    *(self._source.answer(each, context) for each in events)
                )
        except TimeoutError:
            answers = [error_answer(DeadlineExceeded())] * len(events)
        return [
            Payload(event.position, event.cursor, answer)
            for event, answer in zip(events, answers, strict=True)
        ]

    def _keep(self, payloads: Iterable[Payload]) -> None:
        """For those that come back within seconds: many at once, where a line broke."""
        now = time.monotonic()
        for payload in payloads:
            self._kept.append((now, payload))
            self._kept_bytes += len(payload.data)
        self._forget_old()

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _KEPT_S
        while self._kept and (
            len(self._kept) > _KEPT or self._kept_bytes > _KEPT_BYTES or self._kept[0][0] < oldest
        ):
            _, dropped = self._kept.popleft()
            self._kept_bytes -= len(dropped.data)
            self._kept_from = dropped.position

    async def _hand_out(self, payloads: list[Payload]) -> None:
        """To every reader that has not seen it; one without room is left behind."""
        made: dict[Hashable, Parcel] = {}
        first, last = payloads[0].position, payloads[-1].position
        for number, reader in enumerate(list(self.readers), 1):
            if reader.seen < last and reader in self.readers:
                wrapping = reader.wrapping
                if reader.seen >= first:
                    parcel = Parcel(
                        [wrapping.wrap(each) for each in payloads if each.position > reader.seen]
                    )
                elif (found := made.get(wrapping.name)) is None:
                    parcel = made[wrapping.name] = Parcel(list(map(wrapping.wrap, payloads)))
                else:
                    parcel = found
                if reader.outbox.offer(parcel):
                    reader.seen = last
                else:
                    del self.readers[reader]
                    reader.ended.set()
            if number % _SLICE == 0:
                await asyncio.sleep(0)


def _parcels(payloads: list[Payload]) -> list[list[Payload]]:
    """In pieces that a reader's outbox may hold."""
    parcels: list[list[Payload]] = []
    size = 0
    for payload in payloads:
        if not parcels or size + len(payload.data) > _PARCEL_BYTES:
            parcels.append([])
            size = 0
        parcels[-1].append(payload)
        size += len(payload.data)
    return parcels


class LiveQueries:
    """The live queries of one process; each lives as long as it has readers."""

    def __init__(self, feed: Feed, log: EventLog) -> None:
        self._feed = feed
        self._log = log
        self._queries: dict[bytes, _LiveQuery] = {}
        self._queries_of: Multiset[uuid.UUID] = Multiset()
        self._readers_of: Multiset[uuid.UUID] = Multiset()
        self._turns = asyncio.Semaphore(_CATCHING_UP)

    def __len__(self) -> int:
        return len(self._queries)

    async def follow(
        self, source: LiveSource, reader: Reader, *, after: str | None = None
    ) -> Payload:
        """Serve the reader until its feed ends; the last item, with `resync`.

        `after` goes before the cursor that the subscription itself names.

        Raises `RateLimited` where the tenant has too many readers or different queries, and
        `CursorInvalid`.
        """
        tenant_id = source.tenant.tenant_id
        if self._readers_of[tenant_id] >= _READERS_OF_TENANT:
            raise RateLimited("Too many live feeds are open for this tenant.")
        query = self._enter(source)
        self._readers_of[tenant_id] += 1
        try:
            await query.began()
            return await query.follow(reader, after or source.watch.after)
        finally:
            _count_down(self._readers_of, tenant_id)
            query.guests -= 1
            if not query.guests:
                await self._drop(source, query)

    def _enter(self, source: LiveSource) -> _LiveQuery:
        query = self._queries.get(source.name)
        if query is None:
            tenant_id = source.tenant.tenant_id
            if self._queries_of[tenant_id] >= _QUERIES_OF_TENANT:
                raise RateLimited("Too many different live queries are open for this tenant.")
            self._queries_of[tenant_id] += 1
            query = _LiveQuery(source, self._feed, self._log, self._turns)
            self._queries[source.name] = query
        query.guests += 1
        return query

    async def _drop(self, source: LiveSource, query: _LiveQuery) -> None:
        if self._queries.get(source.name) is query:
            del self._queries[source.name]
            _count_down(self._queries_of, source.tenant.tenant_id)
        await query.close()


def _count_down(counts: Multiset[uuid.UUID], tenant_id: uuid.UUID) -> None:
    counts[tenant_id] -= 1
    if not counts[tenant_id]:
        del counts[tenant_id]
