"""The queue forgets what is old, in bounded steps, and keeps its counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payengine.context import TenantContext
from payengine.jobs import HOUSE
from payengine.jobs.tidy import NIGHTLY, tidy_handler
from payengine.storage import Database

from tests.core.jobs.asking import KIND, Diary, ask, worker


async def _count(queue: Database, table: str) -> int:
    async with queue.worker() as session:
        found: int = await session.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def test_what_is_older_than_a_week_is_forgotten_and_its_counts_are_kept(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["a", "b", "c"])
    await worker(queue, Diary().handler()).run_until_idle()
    assert await _count(queue, "pgqueuer_log") == 6
    tidy = tidy_handler(queue)
    assert tidy.kind == NIGHTLY.kind
    at = datetime.now(UTC)
    await tidy.handle(HOUSE, at.isoformat())
    assert await _count(queue, "pgqueuer_log") == 6
    await tidy.handle(HOUSE, (at + timedelta(days=7, minutes=1)).isoformat())
    assert await _count(queue, "pgqueuer_log") == 0
    async with queue.worker() as session:
        counted = await session.fetchval(
            "SELECT sum(count)::bigint FROM pgqueuer_statistics"
            " WHERE status = 'successful' AND entrypoint = $1",
            f"{KIND}:{seller.tenant_id}",
        )
    assert counted == 3
    await tidy.handle(HOUSE, (at + timedelta(days=90, minutes=1)).isoformat())
    assert await _count(queue, "pgqueuer_statistics") == 0


async def test_more_than_one_commit_takes_is_forgotten_too(
    queue: Database, seller: TenantContext
) -> None:
    async with queue.worker() as session:
        await session.execute(
            "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created)"
            " SELECT n, 'successful', 0, 'test.go:x', $1 FROM generate_series(1, 12000) AS n",
            datetime(2020, 1, 1, tzinfo=UTC),
        )
    await tidy_handler(queue).handle(HOUSE, datetime.now(UTC).isoformat())
    assert await _count(queue, "pgqueuer_log") == 0
