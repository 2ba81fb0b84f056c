"""How many requests may be in flight?"""

from __future__ import annotations

import uuid
from collections import Counter as Multiset
from collections.abc import Iterator
from contextlib import contextmanager

from payengine.errors import RateLimited

from payengine_graphql.refusals import Overloaded

__all__ = ["Bulkhead"]


class Bulkhead:
    """Counts what is in flight; refuses at once instead of letting a queue grow."""

    def __init__(self, *, in_all: int, per_tenant: int) -> None:
        self._in_all = in_all
        self._per_tenant = per_tenant
        self._tenants: Multiset[uuid.UUID] = Multiset()
        self.count = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """A place in the process; raises `Overloaded`."""
        if self.count >= self._in_all:
            raise Overloaded
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    @contextmanager
    def enter_tenant(self, tenant_id: uuid.UUID) -> Iterator[None]:
        """A place for the tenant; raises `RateLimited`."""
        if self._tenants[tenant_id] >= self._per_tenant:
            raise RateLimited(
                f"This tenant has {self._per_tenant} in flight already; wait and try again."
            )
        self._tenants[tenant_id] += 1
        try:
            yield
        finally:
            self._tenants[tenant_id] -= 1
            if not self._tenants[tenant_id]:
                del self._tenants[tenant_id]
