"""Many writers share one commit, and none waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from payengine import timings
from payengine.errors import DatabaseUnavailable
from payengine.storage.batches import Batches, BatchRefused


class _Writer:
    """Writes numbers, each as its double; may be told to wait or to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.failure: Exception | None = None

    async def write(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.go_on.wait()
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        timings.add_statement()
        return [2 * item for item in items]


async def test_one_alone_is_written_at_once() -> None:
    writer = _Writer()
    batches: Batches[int, int] = Batches(writer.write, largest=8, at_once=2)
    assert await batches.add(21) == 42
    assert writer.batches == [[21]]


async def test_who_comes_meanwhile_goes_in_halves_and_each_gets_its_own_result() -> None:
    writer = _Writer()
    writer.go_on.clear()
    batches: Batches[int, int] = Batches(writer.write, largest=64, at_once=1)
    first = asyncio.create_task(batches.add(0))
    await asyncio.sleep(0)
    others = [asyncio.create_task(batches.add(n)) for n in range(1, 31)]
    await asyncio.sleep(0)
    writer.go_on.set()
    assert await asyncio.gather(first, *others) == [2 * n for n in range(31)]
    taken = [range(1), range(1, 16), range(16, 24), range(24, 31)]
    assert writer.batches == [list(each) for each in taken]


async def test_a_batch_is_no_larger_than_allowed() -> None:
    writer = _Writer()
    batches: Batches[int, int] = Batches(writer.write, largest=4, at_once=1)
    results = await asyncio.gather(*(batches.add(n) for n in range(11)))
    assert results == [2 * n for n in range(11)]
    assert max(map(len, writer.batches)) == 4


async def test_a_crowd_opens_a_second_batch_and_no_third() -> None:
    writer = _Writer()
    writer.go_on.clear()
    batches: Batches[int, int] = Batches(writer.write, largest=4, at_once=2)
    tasks = [asyncio.create_task(batches.add(n)) for n in range(40)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(writer.batches) == 2
    writer.go_on.set()
    assert await asyncio.gather(*tasks) == [2 * n for n in range(40)]


async def test_who_asks_for_smaller_crowds_and_larger_batches_gets_them() -> None:
    writer = _Writer()
    writer.go_on.clear()
    batches: Batches[int, int] = Batches(writer.write, largest=64, at_once=2, crowd=4, shared=5)
    tasks = [asyncio.create_task(batches.add(n)) for n in range(6)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert list(map(len, writer.batches)) == [5, 1]  # both under way
    writer.go_on.set()
    assert await asyncio.gather(*tasks) == [2 * n for n in range(6)]


async def test_nobody_is_forgotten_when_writers_end_just_as_others_come() -> None:
    writer = _Writer()
    batches: Batches[int, int] = Batches(writer.write, largest=2, at_once=2)

    async def one(n: int) -> int:
        for _ in range(n % 7):
            await asyncio.sleep(0)
        return await batches.add(n)

    for _ in range(50):
        async with asyncio.timeout(60):
            assert await asyncio.gather(*map(one, range(30))) == [2 * n for n in range(30)]


async def test_what_the_database_refuses_is_told_to_each_member() -> None:
    writer = _Writer()
    writer.failure = asyncpg.UniqueViolationError("taken")
    batches: Batches[int, int] = Batches(writer.write, largest=8, at_once=1)
    results = await asyncio.gather(*(batches.add(n) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [BatchRefused] * 3
    assert len({id(result) for result in results}) == 3
    writer.failure = None
    assert await batches.add(1) == 2  # and the next batch is written


async def test_a_lost_connection_is_told_as_what_it_is() -> None:
    writer = _Writer()
    writer.failure = DatabaseUnavailable()
    batches: Batches[int, int] = Batches(writer.write, largest=8, at_once=1)
    with pytest.raises(DatabaseUnavailable) as told:
        await batches.add(1)
    assert told.value.message == DatabaseUnavailable().message


async def test_a_writer_who_goes_away_leaves_the_others_their_results() -> None:
    writer = _Writer()
    writer.go_on.clear()
    batches: Batches[int, int] = Batches(writer.write, largest=8, at_once=1)
    gone = asyncio.create_task(batches.add(1))
    stays = asyncio.create_task(batches.add(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    writer.go_on.set()
    assert await stays == 4
    assert gone.cancelled() or gone.cancelling()


async def test_each_member_counts_the_statement_that_all_waited_for() -> None:
    writer = _Writer()
    batches: Batches[int, int] = Batches(writer.write, largest=8, at_once=1)

    async def timed(n: int) -> int:
        record, token = timings.begin()
        try:
            await batches.add(n)
        finally:
            timings.end(token)
        return record.statements

    assert await asyncio.gather(*(timed(n) for n in range(3))) == [1, 1, 1]
