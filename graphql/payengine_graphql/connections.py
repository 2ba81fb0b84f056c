"""Who is connected live, how many may be, and who has to go?

One list of the process's live connections, WebSockets and event streams alike. A key that ends
ends its connections within five seconds; a reader that has not taken a message for ten seconds is
cut off.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter as Multiset
from contextlib import suppress
from typing import Protocol

import structlog
from payengine.context import TenantContext
from payengine.errors import RateLimited, Unauthenticated
from payengine_tenants.keys import ApiKeys

from payengine_graphql.context import Services
from payengine_graphql.metrics import Metrics
from payengine_graphql.outbox import Outbox
from payengine_graphql.refusals import Overloaded

__all__ = ["Connection", "Connections"]

_CONNECTIONS = 4_000
_CONNECTIONS_OF_TENANT = 2_000
_LOOK_EVERY_S = 0.5
_CHECK_KEYS_EVERY_S = 2.0
_STALLED_S = 10.0

_log = structlog.get_logger(__name__)


class Connection(Protocol):
    """What the list has to know of one connection."""

    tenant: TenantContext | None
    secret: str | None
    outbox: Outbox

    def key_ended(self) -> None:
        """Close: the key was revoked or has expired."""
        ...

    def too_slow(self) -> None:
        """Close: the reader takes nothing."""
        ...

    def going_away(self) -> None:
        """Close: the process ends."""
        ...


class Connections:
    """The live connections of one process."""

    def __init__(self, services: Services, metrics: Metrics) -> None:
        self._services = services
        self._metrics = metrics
        self._open: set[Connection] = set()
        self._tenants: Multiset[uuid.UUID] = Multiset()
        self._watch: asyncio.Task[None] | None = None
        metrics.waiting_bytes.set_function(lambda: self.waiting_bytes)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def waiting_bytes(self) -> int:
        """How much waits for all readers."""
        return sum(each.outbox.waiting_bytes for each in self._open)

    def enter(self, connection: Connection) -> None:
        """Raises `Overloaded` where the process has too many."""
        if len(self._open) >= _CONNECTIONS:
            raise Overloaded
        self._open.add(connection)
        self._metrics.sockets.set(len(self._open))
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())

    def admit(self, connection: Connection, tenant: TenantContext) -> None:
        """Count the connection as the tenant's; raises `RateLimited`."""
        if self._tenants[tenant.tenant_id] >= _CONNECTIONS_OF_TENANT:
            raise RateLimited("Too many live connections are open for this tenant.")
        self._tenants[tenant.tenant_id] += 1
        connection.tenant = tenant

    def leave(self, connection: Connection) -> None:
        """It is closed."""
        self._open.discard(connection)
        self._metrics.sockets.set(len(self._open))
        if connection.tenant is not None:
            tenant_id = connection.tenant.tenant_id
            self._tenants[tenant_id] -= 1
            if not self._tenants[tenant_id]:
                del self._tenants[tenant_id]

    async def close(self) -> None:
        """Close every connection: the process ends."""
        for each in list(self._open):
            each.going_away()
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _look(self) -> None:
        """While anybody is connected: cut off who is stalled or has lost the key."""
        loop = asyncio.get_running_loop()
        checked = loop.time()
        while self._open:
            await asyncio.sleep(_LOOK_EVERY_S)
            for each in list(self._open):
                if each.outbox.stalled_s() > _STALLED_S:
                    each.too_slow()
            if loop.time() - checked >= _CHECK_KEYS_EVERY_S:
                await self._check_keys()
                checked = loop.time()

    async def _check_keys(self) -> None:
        """Each key is read once, however many connections it opened."""
        for secret in {each.secret for each in self._open if each.tenant and each.secret}:
            if await self._is_over(secret):
                for each in [found for found in self._open if found.secret == secret]:
                    each.key_ended()

    async def _is_over(self, secret: str) -> bool:
        try:
            # A reader of its own: the shared one may remember a key for five seconds.
            await ApiKeys(self._services.engine.database).authenticate(secret)
        except Unauthenticated:
            return True
        except Exception as failure:  # an unreachable database ends no session
            _log.warning("key_check_failed", failure=type(failure).__name__)
        return False
