"""A worker like `payengine worker`, with jobs of its own that leave marks in the tenant's rows.

It takes the data folder and the login's URL. `mark.slow` says that it began, waits until the file
`gate` is in the folder above, and marks the row behind the fence. `mark.frozen` stops its own
process, as SIGSTOP would, before it does so. `mark.stubborn` waits for ever.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

from payengine.jobs import Handler, fence
from payengine.settings import Settings
from payengine.storage import Database, Session
from payengine.worker import run

_MARK = """
    INSERT INTO idempotency_key (tenant_id, key, mutation, fingerprint, resource_id, created_at)
    VALUES ($1, $2, 'mark', '', $3, statement_timestamp())
"""


async def _mark(session: Session, tenant_id: uuid.UUID, what: str, row_id: str) -> None:
    await session.execute(_MARK, tenant_id, f"{what}:{row_id}:{uuid.uuid4()}", str(os.getpid()))


class _Marks:
    """The handlers; they open the database when the first job comes."""

    def __init__(self, url: str, gate: Path) -> None:
        self._url = url
        self._gate = gate
        self._database: Database | None = None

    async def _opened(self) -> Database:
        if self._database is None:
            self._database = await Database.open(self._url)
        return self._database

    async def _begin(self, tenant_id: uuid.UUID, row_id: str) -> Database:
        database = await self._opened()
        async with database.tenant(tenant_id) as session:
            await _mark(session, tenant_id, "began", row_id)
        return database

    async def _finish(self, database: Database, tenant_id: uuid.UUID, row_id: str) -> None:
        async with database.tenant(tenant_id) as session:
            await fence(session)
            await _mark(session, tenant_id, "done", row_id)

    async def slow(self, tenant_id: uuid.UUID, row_id: str) -> None:
        database = await self._begin(tenant_id, row_id)
        while not self._gate.exists():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.02)
        await self._finish(database, tenant_id, row_id)

    async def frozen(self, tenant_id: uuid.UUID, row_id: str) -> None:
        database = await self._begin(tenant_id, row_id)
        if not self._gate.exists():
            os.kill(os.getpid(), signal.SIGSTOP)
        await self._finish(database, tenant_id, row_id)

    async def stubborn(self, tenant_id: uuid.UUID, row_id: str) -> None:
        await self._begin(tenant_id, row_id)
        await asyncio.Event().wait()


def main(home: str, url: str) -> int:
    """Work until a signal."""
    marks = _Marks(url, Path(home).parent / "gate")
    return run(
        Settings.from_environment(home=home),
        handlers=[
            Handler("mark.slow", marks.slow),
            Handler("mark.frozen", marks.frozen),
            Handler("mark.stubborn", marks.stubborn),
        ],
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
