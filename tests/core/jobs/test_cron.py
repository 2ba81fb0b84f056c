"""Each instant of the calendar is answered by one job, however many workers look."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payengine.errors import InputInvalid
from payengine.jobs import HOUSE, Cron, CronTable
from payengine.storage import Database

from tests.core.jobs.asking import Diary, jobs_of, worker

_NIGHTLY = Cron("test.nightly", "0 3 * * *")
_HOURLY = Cron("test.hourly", "30 * * * *")
_MIDNIGHT = datetime(2030, 1, 31, tzinfo=UTC)


def _at(hours: float) -> datetime:
    return _MIDNIGHT + timedelta(hours=hours)


async def _rows(queue: Database) -> list[tuple[str, str]]:
    return [(job.kind, job.row_id) for job in await jobs_of(queue, HOUSE)]


async def test_two_workers_that_look_at_the_same_time_add_one_job(queue: Database) -> None:
    tables = [CronTable(queue, [_NIGHTLY]) for _ in range(2)]
    for table in tables:
        assert await table.run_once(at=_at(0)) == 0
    for day in range(5):
        at = _at(24 * day + 3)
        added = await asyncio.gather(*(table.run_once(at=at) for table in tables * 3))
        assert sum(added) == 1
    rows = [row_id for _, row_id in await _rows(queue)]
    assert rows == [_at(24 * day + 3).isoformat() for day in range(5)]


async def test_nothing_happens_before_its_instant_and_once_at_it(queue: Database) -> None:
    table = CronTable(queue, [_NIGHTLY, _HOURLY])
    found = [await table.run_once(at=_at(quarter / 4)) for quarter in range(17)]
    assert found == [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0]
    assert ("test.nightly", _at(3).isoformat()) in await _rows(queue)


async def test_what_was_slept_through_happens_once(queue: Database) -> None:
    table = CronTable(queue, [_HOURLY])
    await table.run_once(at=_at(0))
    assert await table.run_once(at=_at(100)) == 1
    assert await table.run_once(at=_at(100.4)) == 0
    assert await table.run_once(at=_at(100.5)) == 1
    assert await _rows(queue) == [
        ("test.hourly", _at(0.5).isoformat()),
        ("test.hourly", _at(100.5).isoformat()),
    ]


async def test_a_worker_whose_clock_is_late_fires_nothing_twice(queue: Database) -> None:
    early, late = CronTable(queue, [_NIGHTLY]), CronTable(queue, [_NIGHTLY])
    for table in (early, late):
        await table.run_once(at=_at(0))
    assert await early.run_once(at=_at(3)) == 1
    assert await late.run_once(at=_at(3) - timedelta(seconds=5)) == 0
    assert await late.run_once(at=_at(3) + timedelta(seconds=5)) == 0


async def test_an_entry_that_another_version_knows_is_left_alone(queue: Database) -> None:
    await CronTable(queue, [_NIGHTLY, _HOURLY]).run_once(at=_at(0))
    assert await CronTable(queue, [_NIGHTLY]).run_once(at=_at(5)) == 1
    assert [kind for kind, _ in await _rows(queue)] == ["test.nightly"]


async def test_the_job_of_an_instant_is_like_any_other(queue: Database) -> None:
    table = CronTable(queue, [_NIGHTLY])
    at = datetime.now(UTC)
    await table.run_once(at=at)
    assert await table.run_once(at=_NIGHTLY.following(at)) == 1
    async with queue.worker() as session:
        await session.execute("UPDATE pgqueuer SET execute_after = created")
    diary = Diary()
    await worker(queue, diary.handler("test.nightly")).run_until_idle()
    assert diary.done == [(HOUSE, _NIGHTLY.following(at).isoformat())]


@pytest.mark.parametrize("expression", ["", "* * * *", "0 0 3 * * *", "61 * * * *", "@daily", "x"])
def test_what_is_no_expression_is_refused_at_the_start(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        CronTable(None, [Cron("test.go", expression)])  # type: ignore[arg-type]


def test_a_kind_has_its_form() -> None:
    with pytest.raises(InputInvalid):
        Cron("No Kind", "* * * * *")
