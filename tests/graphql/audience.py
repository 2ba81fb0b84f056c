"""Who listens in these tests: readers of live queries, with and without a connection."""

from __future__ import annotations

import asyncio
import gc
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from payengine.context import TenantContext
from payengine.engine import Engine
from payengine.errors import PayengineError
from payengine_graphql.context import RequestContext, Services
from payengine_graphql.execution import Ask, Executor, LiveSource
from payengine_graphql.live import LiveQueries, Payload, Reader, Wrapping
from payengine_graphql.once import Once
from payengine_graphql.outbox import Outbox
from payengine_graphql.schema import core_schema
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

from tests.core.events.writing import publish_all

__all__ = ["EVENTS", "Hall", "Listener", "listening", "made_hall"]

EVENTS = """
subscription Events($filter: PaymentEventFilter, $after: String) {
  paymentEvents(filter: $filter, after: $after) { type cursor resync position }
}
"""


def _readers(every: list[LiveQueries], tenant_id: uuid.UUID) -> int:
    """How many readers of the tenant have their place, and hear of what is new."""
    return sum(
        len(query.readers)
        for queries in every
        for query in queries._queries.values()
        if query._tenant.tenant_id == tenant_id
    )


async def listening(tenant: TenantContext, count: int = 1) -> None:
    """Return when so many readers of the tenant hear what happens, at any server of this process.

    Who subscribes without a cursor misses what happens before that.
    """
    every = [each for each in gc.get_objects() if type(each) is LiveQueries]
    async with asyncio.timeout(60):
        while _readers(every, tenant.tenant_id) != count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)


@dataclass
class Listener:
    """One reader and what it heard, in its order."""

    messages: list[bytes] = field(default_factory=list)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    last: Payload | None = None
    refused: PayengineError | None = None

    async def take(self, message: bytes) -> None:
        """What a connection does with a message; waits while the reader is behind."""
        await self.takes.wait()
        self.messages.append(message)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events as a client reads them."""
        return [json.loads(each)["data"]["paymentEvents"] for each in self.messages]

    @property
    def positions(self) -> list[int]:
        """Where they lie."""
        return [event["position"] for event in self.events]

    async def heard(self, count: int, *, within_s: float = 120) -> None:
        """Wait for so many messages."""
        async with asyncio.timeout(within_s):
            while len(self.messages) < count:  # noqa: ASYNC110 - nothing tells of a message
                await asyncio.sleep(0.002)


@dataclass
class Hall:
    """The live queries of one process, and who listens to them."""

    engine: Engine
    executor: Executor
    queries: LiveQueries
    shown: int = 0
    _doing: set[asyncio.Task[None]] = field(default_factory=set)

    async def source(
        self, tenant: TenantContext, query: str = EVENTS, **variables: Any
    ) -> LiveSource:
        """A subscription whose executions are counted in `shown`."""
        services = Services(
            engine=self.engine,
            keys=ApiKeys(self.engine.database),
            tenants=Tenants(self.engine.database),
            once=Once(self.engine.database),
        )
        context = RequestContext(services, tenant, "a-reference")
        found = await self.executor.watch(Ask(query, variables), context)
        assert isinstance(found, LiveSource), found
        return replace(found, watch=replace(found.watch, show=self._counted(found.watch.show)))

    def _counted(self, show: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counted(item: Any) -> Any:
            self.shown += 1
            return show(item)

        return counted

    def listen(self, source: LiveSource, *, after: str | None = None) -> Listener:
        """A reader that follows until the test ends."""
        listener = Listener()
        listener.takes.set()
        self.follow(listener, source, after=after)
        return listener

    def follow(
        self, listener: Listener, source: LiveSource, *, after: str | None = None
    ) -> asyncio.Task[None]:
        """The same for a reader that exists; cancelling the task cuts it off."""
        task = asyncio.create_task(self._follow(listener, source, after))
        self._doing.add(task)
        return task

    async def _follow(self, listener: Listener, source: LiveSource, after: str | None) -> None:
        outbox = Outbox(listener.take)
        reader = Reader(outbox, Wrapping("plain", lambda payload: payload.data))
        sending = asyncio.create_task(outbox.run(idle=b"", every_s=60))
        try:
            listener.last = await self.queries.follow(source, reader, after=after)
            await outbox.empty()
        except PayengineError as refused:
            listener.refused = refused
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def settled(self) -> None:
        """Return when every reader hears what happens, or was sent away."""
        async with asyncio.timeout(60):
            while self._waiting():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.002)

    def _waiting(self) -> bool:
        following = sum(not task.done() for task in self._doing)
        level = sum(len(query.readers) for query in self.queries._queries.values())
        return level != following or self.engine.feed.subscribers < len(self.queries)

    async def publish(self, tenant: TenantContext) -> None:
        """Place what is written, and wake who waits for it."""
        await publish_all(self.engine.database)
        self.engine.feed.wake(tenant.tenant_id)

    async def close(self) -> None:
        """Cut everybody off."""
        for task in self._doing:
            task.cancel()
        await asyncio.gather(*self._doing, return_exceptions=True)
        assert len(self.queries) == 0


@asynccontextmanager
async def made_hall(engine: Engine) -> AsyncIterator[Hall]:
    """A hall that is empty again afterwards."""
    executor = Executor(core_schema(), is_development=True, mutation_deadline_s=5)
    made = Hall(engine, executor, LiveQueries(engine.feed, engine.events))
    try:
        yield made
    finally:
        await made.close()
