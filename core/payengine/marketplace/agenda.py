"""What is due of one table, in whose time, and when is that which failed tried again?

A row is due by its tenant's own time. Worlds that live by the wall are asked for together; a world
with a test clock has what is due where its clock stands. What fails is put off by the wall's time,
longer each time, so that it does not keep the others from their turn.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import structlog

from payengine.clock import wall_now
from payengine.storage import Database, Session

__all__ = ["Agenda"]

_LONGEST_WAIT_S = 600
#: How much of one world one look takes up.
_MOST_OF_TENANT = 1_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Agenda:
    """The rows of `table` that wait for the instant in `due`, while `waits` holds.

    The table has the columns `tries` and `retry_at`, and a partial index on `due`.
    """

    table: str
    due: str
    waits: str

    @cached_property
    def _of_all(self) -> str:
        ready = f"{self.waits} AND (retry_at IS NULL OR retry_at <= $1)"
        return f"""
            (SELECT tenant_id, id FROM {self.table}
             WHERE {self.due} <= $1 AND {ready}
               AND NOT EXISTS (SELECT FROM test_clock c WHERE c.tenant_id = {self.table}.tenant_id)
             ORDER BY {self.due} LIMIT $2)
            UNION ALL
            (SELECT tenant_id, id FROM test_clock JOIN {self.table} USING (tenant_id)
             WHERE {self.due} <= now_at AND {ready}
             ORDER BY {self.due} LIMIT $2)
        """

    @cached_property
    def _of_tenant(self) -> str:
        return f"""
            SELECT id FROM {self.table}
            WHERE tenant_id = $1 AND {self.due} <= $2 AND {self.waits}
              AND (retry_at IS NULL OR retry_at <= $3)
            ORDER BY {self.due}, id LIMIT $4
        """

    async def next_due(
        self, session: Session, tenant_id: uuid.UUID, after: datetime
    ) -> datetime | None:
        """The first instant behind `after` at which something of the tenant's is due."""
        found: datetime | None = await session.fetchval(
            f"SELECT min({self.due}) FROM {self.table}"
            f" WHERE tenant_id = $1 AND {self.due} > $2 AND {self.waits}",
            tenant_id,
            after,
        )
        return found

    async def run_all(
        self,
        database: Database,
        work: Callable[[uuid.UUID, str], Awaitable[object]],
        *,
        at: datetime,
        limit: int,
    ) -> int:
        """Do the work for what is due, of all tenants; how many rows were looked at.

        `at` is the wall's instant.
        """
        async with database.worker() as session:
            rows = await session.fetch(self._of_all, at, limit)
        for row in rows:
            await self._try(database, work, row["tenant_id"], row["id"], at=at)
        return len(rows)

    async def run_tenant(
        self,
        database: Database,
        work: Callable[[uuid.UUID, str], Awaitable[object]],
        tenant_id: uuid.UUID,
        *,
        at: datetime,
    ) -> int:
        """Do the work for what of the tenant's is due by its own instant `at`; how many times."""
        wall = wall_now()
        async with database.tenant(tenant_id) as session:
            rows = await session.fetch(self._of_tenant, tenant_id, at, wall, _MOST_OF_TENANT)
        done = 0
        for row in rows:
            done += await self._try(database, work, tenant_id, row["id"], at=wall)
        return done

    async def _try(
        self,
        database: Database,
        work: Callable[[uuid.UUID, str], Awaitable[object]],
        tenant_id: uuid.UUID,
        row_id: str,
        *,
        at: datetime,
    ) -> bool:
        try:
            await work(tenant_id, row_id)
        except Exception as failure:
            _log.warning("due_failed", table=self.table, subject=row_id, error=repr(failure))
            async with database.tenant(tenant_id) as session:
                await self._put_off(session, tenant_id, row_id, at=at)
            return False
        return True

    async def _put_off(
        self, session: Session, tenant_id: uuid.UUID, row_id: str, *, at: datetime
    ) -> None:
        read = f"SELECT tries FROM {self.table} WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
        tries = await session.fetchval(read, tenant_id, row_id)
        if tries is None:
            return
        wait = timedelta(seconds=min(2 ** min(tries, 20), _LONGEST_WAIT_S))
        await session.execute(
            f"UPDATE {self.table} SET tries = tries + 1, retry_at = $3"
            " WHERE tenant_id = $1 AND id = $2",
            tenant_id,
            row_id,
            at + wait,
        )
