from __future__ import annotations

import asyncio

from payengine import timings
from payengine.timings import Timings


def test_nothing_is_kept_where_no_record_is_set() -> None:
    timings.add_statement()
    timings.add_commit(1.0)
    timings.add_gateway(1.0)
    record, token = timings.begin()
    timings.end(token)
    assert record == Timings()


def test_record_sums_what_is_added_until_its_end() -> None:
    record, token = timings.begin()
    timings.add_statement()
    timings.add_statement()
    timings.add_commit(0.5)
    timings.add_commit(0.25)
    timings.add_gateway(2.0)
    timings.end(token)
    timings.add_statement()
    assert record == Timings(gateway_s=2.0, commit_s=0.75, statements=2, commits=2)


async def test_tasks_add_to_the_record_they_were_made_under() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        timings.add_statement()

    first, token = timings.begin()
    task = asyncio.create_task(work())
    timings.end(token)
    second, token = timings.begin()
    await asyncio.gather(task, work(), work())
    timings.end(token)
    assert (first.statements, second.statements) == (1, 2)
