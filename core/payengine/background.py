"""What goes on while nobody asks?

A few loops, each bounded and each harmless where another process runs it too: the relay places
events, folding keeps balances quick, each poller takes what is due in its room. Losing a loop
delays, and loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog

from payengine.events import Feed, publish_batch
from payengine.events.relay import BATCH
from payengine.events.wakeups import WakeUps
from payengine.ledger import fold_all
from payengine.storage import Database

__all__ = ["Background", "Poller"]

_RELAY_LOOKS_EVERY_S = 1.0
_RELAY_GATHERS_S = 0.02
_RELAY_YIELDS_S = 0.1
_FOLD_EVERY_S = 2.0
_AFTER_FAILURE_S = 1.0
_STOP_S = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Poller:
    """A room's work, asked every `every_s` seconds to take what is due at the instant given."""

    name: str
    run_once: Callable[[datetime], Awaitable[object]]
    every_s: float


class Background:
    """The loops of one process; `unpublished` is set where there are new events."""

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        wake_ups: WakeUps,
        pollers: Sequence[Poller],
        unpublished: asyncio.Event,
    ) -> None:
        self._database = database
        self._feed = feed
        self._wake_ups = wake_ups
        self._pollers = pollers
        self._unpublished = unpublished
        self._tasks: list[asyncio.Task[None]] = []
        self.relay_seen_at: datetime | None = None

    def start(self) -> None:
        """Start the loops on the running event loop."""
        works = {"relay": self._relay, "fold": self._fold}
        works |= {poller.name: partial(_poll, poller) for poller in self._pollers}
        for name, work in works.items():
            self._tasks.append(asyncio.create_task(_for_ever(name, work)))

    async def stop(self) -> None:
        """Publish what is left, then end the loops."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_S)
        self._tasks.clear()
        with contextlib.suppress(Exception):  # the next relay publishes what this one does not
            await asyncio.wait_for(self._publish(), _STOP_S)

    async def _relay(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unpublished.wait(), _RELAY_LOOKS_EVERY_S)
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


async def _for_ever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            _log.warning("background_failed", work=name, error=repr(failure))
            await asyncio.sleep(_AFTER_FAILURE_S)
