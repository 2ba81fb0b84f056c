"""Which addresses does a name have, now?

The system's resolver blocks, so each question has a thread of its own that dies with the process.
A name server that never answers holds threads: how many may wait is bounded, in all and for each
tenant, and a question counts until its thread has ended.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["Resolver"]

_WAITING = 64
_WAITING_OF_TENANT = 4

Ask = Callable[[str], Sequence[str]]


def _ask_system(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Resolver:
    """Asks for addresses; `ask` may block and raises OSError where there is no answer."""

    def __init__(self, ask: Ask = _ask_system) -> None:
        self._ask = ask
        self._waiting: Counter[uuid.UUID] = Counter()

    async def resolve(self, tenant_id: uuid.UUID, host: str) -> Sequence[str]:
        """Every address of `host`; raises OSError where there is none, or too many wait."""
        if self._waiting.total() >= _WAITING or self._waiting[tenant_id] >= _WAITING_OF_TENANT:
            raise OSError("too many questions wait for an answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        self._waiting[tenant_id] += 1

        def done(found: Sequence[str] | None, failure: OSError | None) -> None:
            self._waiting[tenant_id] -= 1
            if not self._waiting[tenant_id]:
                del self._waiting[tenant_id]
            if answer.done():
                return  # nobody waits any more
            if failure is not None:
                answer.set_exception(failure)
            else:
                answer.set_result(found or ())

        def work() -> None:
            found: Sequence[str] | None = None
            failure: OSError | None = None
            try:
                found = self._ask(host)
            except OSError as problem:
                failure = problem
            except Exception as problem:  # a name that the codec refuses, for one
                failure = OSError(type(problem).__name__)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done, found, failure)

        threading.Thread(target=work, name="resolve", daemon=True).start()
        return await answer
