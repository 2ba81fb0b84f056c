"""How do these tests ask for jobs, and count what became of them?"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import asyncpg
from payengine.jobs import Handler, Job, JobDesk, JobFilter, Runner, enqueue
from payengine.storage import Database

__all__ = ["KIND", "Diary", "ask", "jobs_of", "let_leases_run_out", "make_due", "worker"]

KIND = "test.go"
LONG = timedelta(minutes=5)


class Diary:
    """A handler that writes down what it did, in its order, and then does what it is told."""

    def __init__(self, then: Callable[[str], object] = lambda row_id: None) -> None:
        self.done: list[tuple[uuid.UUID, str]] = []
        self.at_once: Counter[uuid.UUID] = Counter()
        self.most: Counter[uuid.UUID] = Counter()
        self.most_of_all = 0
        self._then = then

    async def handle(self, tenant_id: uuid.UUID, row_id: str) -> None:
        """One job."""
        self.at_once[tenant_id] += 1
        self.most[tenant_id] = max(self.most[tenant_id], self.at_once[tenant_id])
        self.most_of_all = max(self.most_of_all, self.at_once.total())
        try:
            self.done.append((tenant_id, row_id))
            await asyncio.sleep(0.001)
            waited = self._then(row_id)
            if asyncio.iscoroutine(waited):
                await waited
        finally:
            self.at_once[tenant_id] -= 1

    @property
    def rows(self) -> list[str]:
        """The rows in the order in which their jobs were begun."""
        return [row_id for _, row_id in self.done]

    def handler(self, kind: str = KIND, **bounds: float) -> Handler:
        """It, as the handler of a kind."""
        return Handler(kind, self.handle, **bounds)  # type: ignore[arg-type]


async def ask(
    database: Database,
    tenant_id: uuid.UUID,
    rows: Iterable[str],
    *,
    kind: str = KIND,
    due_in: timedelta = timedelta(),
    dedupe: str | None = None,
) -> list[int | None]:
    """Enqueue a job for each row in one transaction; their ids."""
    due_at = datetime.now(UTC) + due_in
    async with database.tenant(tenant_id) as session:
        return [
            await enqueue(
                session, tenant_id, kind=kind, row_id=row_id, due_at=due_at, dedupe=dedupe
            )
            for row_id in rows
        ]


def worker(database: Database, *handlers: Handler, places: int = 8) -> Runner:
    """A runner whose leases do not end by themselves."""
    return Runner(database, handlers, places=places, lease=LONG)


async def jobs_of(database: Database, tenant_id: uuid.UUID) -> list[Job]:
    """What lies in the queue for the tenant."""
    return await JobDesk(database).find(JobFilter(tenant_id), limit=1_000)


async def let_leases_run_out(database: Database, by: timedelta = LONG) -> None:
    """As if so much time had passed since the last heartbeats."""
    async with database.worker() as session:
        await session.execute(
            "UPDATE pgqueuer SET heartbeat = heartbeat - $1::interval WHERE status = 'picked'", by
        )


async def make_due(owner_url: str) -> None:
    """As if every wait after a failure were over."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("GRANT payengine_worker TO current_user")
        await connection.execute("SET ROLE payengine_worker")
        await connection.execute(
            "UPDATE pgqueuer SET execute_after = created WHERE status = 'queued'"
        )
    finally:
        await connection.close()
