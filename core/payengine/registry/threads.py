"""How long may a plugin's plain function take?

A coroutine that hangs on I/O can be abandoned; a plain function that hangs would stop the event
loop. So it runs in a thread of its own: past its time the caller goes on, and the thread keeps its
place among its plugin's few until it ends. Against burning CPU nothing holds in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Threads"]

#: Threads of one plugin at a time, those that were given up included.
_MOST = 4

T = TypeVar("T")


class Threads:
    """Runs plugins' plain functions beside the event loop."""

    def __init__(self) -> None:
        self._lanes: dict[str, asyncio.Semaphore] = {}

    async def run(self, name: str, work: Callable[[], T], *, timeout_s: float) -> T:
        """What `work` returns; it must not raise. `name` is the plugin's.

        Raises `TimeoutError` where it took longer than `timeout_s`, the wait for a place included.
        """
        lane = self._lanes.setdefault(name, asyncio.Semaphore(_MOST))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            await lane.acquire()
            answer: asyncio.Future[T] = loop.create_future()

            def tell(value: T) -> None:
                lane.release()
                if not answer.done():
                    answer.set_result(value)

            def body() -> None:
                value = work()
                with contextlib.suppress(RuntimeError):  # the loop may be gone meanwhile
                    loop.call_soon_threadsafe(tell, value)

            try:
                # A daemon: one that never ends does not keep the process from ending.
                threading.Thread(target=body, name=f"plugin {name}", daemon=True).start()
            except RuntimeError:
                lane.release()
                raise TimeoutError("No thread can be started.") from None
            return await answer
