"""What is needed to move a payment?

One record of the rooms around this one, made by `payengine.engine` and handed to everything here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from payengine.clock import Clock
from payengine.registry import Registry
from payengine.storage import Database
from payengine.vault import Vault

__all__ = ["Means"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """`deadline_ms` bounds each gateway call; `nudge` tells the relay that there are events.

    `running` holds what is under way and must not be stopped.
    """

    database: Database
    registry: Registry
    vault: Vault
    clock: Clock
    deadline_ms: int
    nudge: Callable[[], None]
    running: set[asyncio.Future[Any]] = field(default_factory=set)

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end even where the caller is cancelled: its money is on the way."""
        task = asyncio.ensure_future(work)
        # The event loop itself keeps no more than a weak reference to a task.
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return await asyncio.shield(task)
