"""What goes on while nobody asks?

A few loops, each bounded and each harmless where another process runs it too:

- the relay places events and wakes their readers;
- folding keeps balances quick;
- each room's poller takes what is due there, as the calendar's does;
- jobs are taken, settled and kept; they only bring forward what a poller would find.

Losing a loop delays, and loses nothing. `payengine worker` runs them in a process of their own, and
`payengine serve` in its own process unless told not to.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog

from payengine.events import Feed, publish_batch
from payengine.events.relay import BATCH
from payengine.events.wakeups import WakeUps
from payengine.jobs import CronTable, Runner
from payengine.ledger import fold_all
from payengine.pollers import Poller
from payengine.storage import Database

__all__ = ["Background"]

_RELAY_LOOKS_EVERY_S = 1.0
#: Where nobody in this process says that there are new events.
_RELAY_LOOKS_ALONE_EVERY_S = 0.1
_RELAY_GATHERS_S = 0.02
_RELAY_YIELDS_S = 0.1
_FOLD_EVERY_S = 2.0
_CALENDAR_EVERY_S = 1.0
_AFTER_FAILURE_S = 1.0
_STOP_S = 5.0
#: How long jobs that are under way may take to end when the process does.
_DRAIN_S = 10.0

_log = structlog.get_logger(__name__)


class Background:
    """The loops of one process; `unpublished` is set where there are new events."""

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        wake_ups: WakeUps,
        pollers: Sequence[Poller],
        jobs: Runner,
        calendar: CronTable,
        unpublished: asyncio.Event,
    ) -> None:
        self._database = database
        self._feed = feed
        self._wake_ups = wake_ups
        self._pollers = pollers
        self._jobs = jobs
        self._calendar = calendar
        self._unpublished = unpublished
        self._looks_every_s = _RELAY_LOOKS_EVERY_S
        self._tasks: list[asyncio.Task[None]] = []
        self.relay_seen_at: datetime | None = None

    def start(self, *, alone: bool = False, jobs_only: bool = False) -> None:
        """Start the loops on the running event loop.

        `alone`: no payments are taken in this process, so the relay looks more often. `jobs_only`:
        everything but the jobs is left to other processes.
        """
        if alone:
            self._looks_every_s = _RELAY_LOOKS_ALONE_EVERY_S
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "jobs.take": self._jobs.take_round,
            "jobs.settle": self._jobs.settle_round,
            "jobs.keep": self._jobs.keep_round,
        }
        if not jobs_only:
            calendar = Poller(
                "calendar", lambda at: self._calendar.run_once(at=at), every_s=_CALENDAR_EVERY_S
            )
            works |= {"relay": self._relay, "fold": self._fold}
            works |= {each.name: partial(_poll, each) for each in (*self._pollers, calendar)}
        for name, work in works.items():
            self._tasks.append(asyncio.create_task(_for_ever(name, work)))

    async def stop(self) -> None:
        """Let jobs end, publish what is left, then end the loops; each within a bound."""
        if self._tasks:
            await self._jobs.drain(within_s=_DRAIN_S, settle_s=_STOP_S)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_S)
        self._tasks.clear()
        with contextlib.suppress(Exception):  # the next relay publishes what this one does not
            await asyncio.wait_for(self._publish(), _STOP_S)

    async def _relay(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._looks_every_s):
                await self._unpublished.wait()
            await asyncio.sleep(_RELAY_GATHERS_S)
        self._unpublished.clear()
        if not await self._publish():
            await asyncio.sleep(_RELAY_YIELDS_S)
            self._unpublished.set()

    async def _publish(self) -> bool:
        """Publish until nothing is left; False where another process is at it."""
        while True:
            placed = await publish_batch(self._database)
            if placed is None:
                return False
            self.relay_seen_at = datetime.now(UTC)
            for tenant_id in placed:
                self._feed.wake(tenant_id)
            self._wake_ups.send(placed)
            if placed.total() < BATCH:
                return True

    async def _fold(self) -> None:
        await asyncio.sleep(_FOLD_EVERY_S)
        await fold_all(self._database)


async def _poll(poller: Poller) -> None:
    await asyncio.sleep(poller.every_s)
    await poller.run_once(datetime.now(UTC))


async def _for_ever(name: str, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            _log.warning("background_failed", work=name, error=repr(failure))
            await asyncio.sleep(_AFTER_FAILURE_S)
