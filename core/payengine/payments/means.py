"""What is needed to move a payment?

One record of the rooms around this one, made by `payengine.engine` and handed to everything here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from payengine.clock import Clock
from payengine.fraud.screening import Screening
from payengine.payments.batch import PaymentBatches
from payengine.registry import Registry
from payengine.routing import Router
from payengine.storage import Database
from payengine.vault import Vault

__all__ = ["Means", "goes_to_its_end"]

T = TypeVar("T")


#: Set in a task that nobody cancels.
_GOES_ON: ContextVar[bool] = ContextVar("goes_on", default=False)


async def goes_to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a task that the caller made for it and never cancels."""
    _GOES_ON.set(True)
    return await work


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """`deadline_ms` bounds each gateway call; `nudge` tells the relay that there are events.

    `fraud` has a say in payments, where there is one. `running` holds what is under way and must
    not be stopped.
    """

    database: Database
    batches: PaymentBatches
    registry: Registry
    router: Router
    vault: Vault
    clock: Clock
    deadline_ms: int
    nudge: Callable[[], None]
    fraud: Screening | None = None
    running: set[asyncio.Future[Any]] = field(default_factory=set)

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end even where the caller is cancelled: its money is on the way.

        A caller that `goes_to_its_end` itself is not given another task.
        """
        if _GOES_ON.get():
            return await work
        task = asyncio.ensure_future(work)
        # The event loop itself keeps no more than a weak reference to a task.
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return await asyncio.shield(task)
