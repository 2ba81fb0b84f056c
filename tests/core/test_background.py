"""What goes on while nobody asks: all of it, or jobs alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from payengine.engine import _CALENDAR, open_engine
from payengine.errors import InputInvalid
from payengine.jobs import HOUSE, JobFilter, enqueue
from payengine.jobs.tidy import NIGHTLY

from tests.core.events.writing import write
from tests.engines import Till, open_till
from tests.servers import HomeOfTest, migrated_home


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - a loop of the background makes it true
            await asyncio.sleep(0.02)


async def _ask(till: Till) -> None:
    """An event that has no place yet, and a job of the house."""
    shop = await till.shop()
    await write(till.engine.database, shop.context)
    async with till.engine.database.worker() as session:
        at = datetime.now(UTC)
        await enqueue(session, HOUSE, kind=NIGHTLY.kind, row_id=at.isoformat(), due_at=at)


async def _count(till: Till, what: str) -> int:
    async with till.engine.database.worker() as session:
        found: int = await session.fetchval(f"SELECT count(*) FROM {what}")
    return found


async def _has_no_job(till: Till) -> bool:
    return not await till.engine.job_desk.find(JobFilter(HOUSE))


async def test_all_of_it_goes_on_or_jobs_alone() -> None:
    async with migrated_home() as home:
        async with open_till(home) as till:
            await _ask(till)
            till.engine.background.start(jobs_only=True)
            await _until(lambda: _has_no_job(till))
            await till.engine.background.stop()
            # Whoever stops publishes what is left; that is not the loop's doing.
            assert till.engine.jobs.counts == {(NIGHTLY.kind, "done"): 1}
            assert await _count(till, "pgqueuer_schedules") == 0
        async with open_till(home) as till:
            await _ask(till)
            till.engine.background.start()

            async def is_done() -> bool:
                unplaced = await _count(till, "event WHERE position IS NULL")
                planned = await _count(till, "pgqueuer_schedules")
                return (unplaced, planned) == (0, len(_CALENDAR)) and await _has_no_job(till)

            await _until(is_done)
            await till.engine.background.stop()


async def test_a_kind_that_nobody_does_is_refused(payment_home: HomeOfTest) -> None:
    with pytest.raises(InputInvalid, match=r"nobody\.knows.*queue\.tidy"):
        async with open_engine(
            payment_home.settings,
            login_url=payment_home.login_url,
            background=False,
            only_jobs=["nobody.knows"],
        ):
            pass
