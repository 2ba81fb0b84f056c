"""How many calls may one gateway hold at once?

A bulkhead per gateway, and within it a share per tenant, so that neither a slow provider nor one
tenant's slow account takes every place. A call keeps its place until its task has really ended:
a plugin that swallows cancellation fills its own bulkhead and nothing else.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

__all__ = ["Bulkhead"]


class Bulkhead:
    """The calls in flight of one gateway."""

    __slots__ = ("_by_tenant", "_limit", "_share", "_tasks")

    def __init__(self, limit: int) -> None:
        """`limit` places in all; a tenant gets half of them, rounded up."""
        self._limit = limit
        self._share = (limit + 1) // 2
        #: The event loop keeps weak references only: this keeps abandoned tasks until they end.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._by_tenant: dict[uuid.UUID, int] = {}

    @property
    def in_flight(self) -> int:
        """The calls that hold a place, abandoned ones included."""
        return len(self._tasks)

    def has_room(self, tenant_id: uuid.UUID) -> bool:
        """Whether the tenant may start one more call."""
        return len(self._tasks) < self._limit and self._by_tenant.get(tenant_id, 0) < self._share

    def hold(self, task: asyncio.Task[Any], tenant_id: uuid.UUID) -> None:
        """Give the task a place until it has ended."""
        self._tasks.add(task)
        self._by_tenant[tenant_id] = self._by_tenant.get(tenant_id, 0) + 1
        task.add_done_callback(self._leaver(tenant_id))

    def _leaver(self, tenant_id: uuid.UUID) -> Callable[[asyncio.Task[Any]], None]:
        def leave(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            left = self._by_tenant[tenant_id] - 1
            if left:
                self._by_tenant[tenant_id] = left
            else:
                del self._by_tenant[tenant_id]

        return leave
