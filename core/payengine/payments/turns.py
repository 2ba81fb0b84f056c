"""Which batch may read a buyer's past first?

The database's locks say so between processes, and are waited for a fifth of a second. Batches of
one process that know the same buyer need not wait there: they take turns here, where a large batch
on a slow day makes nobody give up.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager

__all__ = ["Name", "Turns"]

#: Tenant, kind and name of one entity.
Name = tuple[uuid.UUID, str, str]


class Turns:
    """Lets those through at once that have no name in common."""

    def __init__(self) -> None:
        self._held: list[tuple[Set[Name], asyncio.Event]] = []

    @asynccontextmanager
    async def of(self, names: Set[Name]) -> AsyncIterator[None]:
        """Hold these names; waits for whoever holds one of them."""
        while (others := self._holder_of(names)) is not None:
            await others.wait()
        mine = (names, asyncio.Event())
        self._held.append(mine)
        try:
            yield
        finally:
            self._held.remove(mine)
            mine[1].set()

    def _holder_of(self, names: Set[Name]) -> asyncio.Event | None:
        for held, done in self._held:
            if not names.isdisjoint(held):
                return done
        return None
