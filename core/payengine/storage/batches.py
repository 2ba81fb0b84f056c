"""How do many writers share one commit?

Whoever comes while a batch is being written waits for the next one, and nobody waits for company:
one writer alone is written at once, and of many a half goes first. A batch is all or nothing. Where
the database refuses it, each of its members is told so and writes for itself; where the connection
is lost, nobody knows what became of it, and each is told that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from payengine import timings

__all__ = ["BatchRefused", "Batches"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class BatchRefused(Exception):
    """The database refused the batch, for one of its members or for chance; nothing was written."""


class Batches(Generic[ItemT, ResultT]):
    """Gathers items and hands them to `write`, which gives one result for each, in their order."""

    def __init__(
        self,
        write: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]],
        *,
        largest: int,
        at_once: int,
        crowd: int = 32,
        shared: int = 8,
    ) -> None:
        """At most `largest` items in a batch, and `at_once` batches at the same time.

        Another batch begins beside those under way once `crowd` items wait for each of them: a
        batch costs as much as several of its members do, and a few large ones less than many small
        ones. Of more than `shared` that wait, a batch takes one half: whoever is answered together
        asks again together, and then this process and the database would take turns instead of
        working at the same time.
        """
        self._write = write
        self._largest = largest
        self._at_once = at_once
        self._crowd = crowd
        self._shared = shared
        self._waiting: deque[tuple[ItemT, asyncio.Future[tuple[ResultT, timings.Timings]]]]
        self._waiting = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._busy = 0

    async def add(self, item: ItemT) -> ResultT:
        """Have `item` written; raises `BatchRefused`, and what `write` raises beyond that."""
        written: asyncio.Future[tuple[ResultT, timings.Timings]]
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._busy < self._at_once and len(self._waiting) > self._busy * self._crowd:
            # Counted by hand: a task that has ended is still in the set until the loop's next turn.
            self._busy += 1
            writer = asyncio.create_task(self._work())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        result, took = await written
        timings.add(took)
        return result

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._write_some()
        finally:
            self._busy -= 1

    async def _write_some(self) -> None:
        waiting = len(self._waiting)
        size = min(waiting, max(self._shared, -(-waiting // 2)), self._largest)
        taken = [self._waiting.popleft() for _ in range(size)]
        record, token = timings.begin()
        try:
            results = await self._write([item for item, _ in taken])
        except BaseException as failure:
            for _, written in taken:
                if not written.done():
                    written.set_exception(_told(failure))
            if not isinstance(failure, Exception):
                raise
        else:
            for (_, written), result in zip(taken, results, strict=True):
                if not written.done():
                    written.set_result((result, record))
        finally:
            timings.end(token)


def _told(failure: BaseException) -> BaseException:
    """One failure, told to many: each needs a fresh exception for its own traceback."""
    if isinstance(failure, asyncpg.PostgresError):
        return BatchRefused(repr(failure))
    if isinstance(failure, asyncio.CancelledError):
        return asyncio.CancelledError()
    fresh = type(failure)(*failure.args)
    fresh.__cause__ = failure
    return fresh
