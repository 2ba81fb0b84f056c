"""Jobs are done within bounds and in turns; a failure harms nobody else, a drain loses nothing."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from payengine.context import TenantContext
from payengine.errors import LeaseLost
from payengine.jobs import Handler, JobDesk, JobFilter, Runner, fence
from payengine.storage import Database, Session

from tests.core.jobs.asking import (
    KIND,
    Diary,
    ask,
    jobs_of,
    let_leases_run_out,
    make_due,
    worker,
)
from tests.servers import HomeOfTest

#: Shorter than the job.
_LEASE = timedelta(seconds=2)


@asynccontextmanager
async def _at_work(runner: Runner) -> AsyncIterator[None]:
    """The runner's rounds, as the background runs them."""

    async def for_ever(round_: Callable[[], Awaitable[None]]) -> None:
        while True:
            await round_()

    rounds = (runner.take_round, runner.settle_round, runner.keep_round)
    tasks = [asyncio.create_task(for_ever(each)) for each in rounds]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.005)


# -- fairness and bounds ---------------------------------------------------------------------------


async def test_ten_thousand_jobs_of_one_tenant_let_anothers_only_one_pass(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, (f"{number}" for number in range(10_000)))
    await ask(queue, other_seller.tenant_id, ["the only one"])
    diary = Diary()
    runner = worker(queue, diary.handler())
    await runner.run_until_idle(most=50)
    assert "the only one" in diary.rows[:16], "it had to wait for more than a few others"
    await ask(queue, other_seller.tenant_id, ["the next one"])
    began = len(diary.done)
    await runner.run_until_idle(most=50)
    assert "the next one" in diary.rows[began : began + 16]


async def test_a_newcomer_need_not_wait_for_a_job_to_end(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    release = asyncio.Event()
    diary = Diary(lambda row_id: release.wait() if row_id != "quick" else None)
    await ask(queue, seller.tenant_id, (f"{number}" for number in range(50)))
    runner = worker(queue, diary.handler(at_once=8, per_tenant=50), places=8)
    async with _at_work(runner):
        await _until(lambda: len(diary.done) == 6)  # three quarters of the places
        await ask(queue, other_seller.tenant_id, ["quick"])
        await _until(lambda: runner.counts[KIND, "done"] == 1)
        assert diary.rows[6] == "quick"
        release.set()
        await _until(lambda: runner.counts[KIND, "done"] == 51)


async def test_every_bound_is_kept(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    both = (seller.tenant_id, other_seller.tenant_id)
    first, every = Diary(), Diary()

    async def do_first(tenant_id: uuid.UUID, row_id: str) -> None:
        await asyncio.gather(first.handle(tenant_id, row_id), every.handle(tenant_id, row_id))

    for tenant_id in both:
        await ask(queue, tenant_id, (f"{number}" for number in range(40)), kind="test.a")
        await ask(queue, tenant_id, (f"{number}" for number in range(40)), kind="test.b")
    runner = worker(
        queue,
        Handler("test.a", do_first, at_once=3, per_tenant=2),
        every.handler("test.b", at_once=50, per_tenant=50),
        places=8,
    )
    async with _at_work(runner):
        await _until(lambda: sum(runner.counts.values()) == 160)
    assert first.most_of_all <= 3
    assert max(first.most.values()) <= 2
    assert 3 < every.most_of_all <= 8
    assert max(every.most.values()) <= 6


# -- failure ---------------------------------------------------------------------------------------


async def test_a_poisoned_job_is_held_and_the_others_do_not_wait(
    job_home: HomeOfTest, queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    def fail(row_id: str) -> None:
        if row_id == "poison":
            raise RuntimeError("always")

    await ask(queue, seller.tenant_id, ["poison", *(f"own {number}" for number in range(20))])
    await ask(queue, other_seller.tenant_id, (f"{number}" for number in range(20)))
    diary = Diary(fail)
    runner = worker(queue, diary.handler(tries=3))
    await runner.run_until_idle()
    assert len(diary.done) == 41, "the poison was tried once, everything else is done"
    assert diary.rows.count("poison") == 1
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.state, job.tries, job.error) == ("waiting", 1, "RuntimeError")
    for tries in (2, 3):
        await make_due(job_home.owner_url)
        await runner.run_until_idle()
        assert diary.rows.count("poison") == tries
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.state, job.tries, job.error) == ("held", 3, "RuntimeError")
    await make_due(job_home.owner_url)
    await runner.run_until_idle()
    assert diary.rows.count("poison") == 3, "what is held is not tried"
    assert runner.counts == {(KIND, "done"): 40, (KIND, "again"): 2, (KIND, "held"): 1}


@pytest.mark.parametrize(
    "raised", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()]
)
async def test_a_handler_that_raises_whatever_it_likes_harms_its_job_only(
    queue: Database, seller: TenantContext, raised: BaseException
) -> None:
    def fail(row_id: str) -> None:
        if row_id == "bad":
            raise raised

    await ask(queue, seller.tenant_id, ["bad", "good"])
    diary = Diary(fail)
    runner = worker(queue, diary.handler(tries=1))
    await runner.run_until_idle()
    assert sorted(diary.rows) == ["bad", "good"]
    assert runner.counts == {(KIND, "held"): 1, (KIND, "done"): 1}
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.row_id, job.error) == ("bad", type(raised).__name__)


async def test_a_handler_that_hangs_fails_at_its_deadline(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    diary = Diary(lambda row_id: asyncio.Event().wait())
    runner = worker(queue, diary.handler(tries=1, deadline_s=0.05))
    await runner.run_until_idle()
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.state, job.error) == ("held", "TimeoutError")


# -- leases ----------------------------------------------------------------------------------------


async def test_a_worker_that_lost_its_lease_writes_nothing_and_another_does_the_job(
    queue: Database, seller: TenantContext
) -> None:
    thaw = asyncio.Event()
    refused: list[str] = []

    async def write(tenant_id: uuid.UUID, row_id: str) -> None:
        await thaw.wait()
        try:
            async with queue.tenant(tenant_id) as session:
                await fence(session)
                await _mark(session, tenant_id, row_id)
        except LeaseLost:
            refused.append(row_id)
            raise

    await ask(queue, seller.tenant_id, ["a"])
    frozen = worker(queue, Handler(KIND, write))
    assert await frozen.take() == 1
    await let_leases_run_out(queue)

    async def write_at_once(tenant_id: uuid.UUID, row_id: str) -> None:
        async with queue.tenant(tenant_id) as session:
            await fence(session)
            await _mark(session, tenant_id, row_id)

    other = worker(queue, Handler(KIND, write_at_once))
    await other.keep()
    assert await other.run_until_idle() == 1
    thaw.set()
    await _until(lambda: frozen.under_way == 0)
    await frozen.settle()
    assert refused == ["a"]
    assert other.counts == {(KIND, "done"): 1}
    assert frozen.counts == {(KIND, "lost"): 1}
    async with queue.tenant(seller.tenant_id) as session:
        assert await session.fetchval("SELECT count(*) FROM idempotency_key") == 1


async def _mark(session: Session, tenant_id: uuid.UUID, row_id: str) -> None:
    await session.execute(
        "INSERT INTO idempotency_key VALUES ($1, $2, 'x', 'x', 'x', statement_timestamp())",
        tenant_id,
        f"{row_id} {uuid.uuid4()}",
    )


async def test_a_job_whose_lease_is_lost_is_cut_short(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    runner = worker(queue, Diary(lambda row_id: asyncio.Event().wait()).handler())
    await runner.take()
    await let_leases_run_out(queue)
    assert await worker(queue, Diary().handler()).run_until_idle() == 0
    await worker(queue, Diary().handler()).keep()  # another takes it back
    await runner.keep()
    await _until(lambda: runner.under_way == 0)
    assert runner.counts == {(KIND, "lost"): 1}
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.state, job.tries) == ("waiting", 1)


async def _heartbeat(queue: Database, job_id: int | None) -> datetime:
    async with queue.worker() as session:
        found: datetime = await session.fetchval(
            "SELECT heartbeat FROM pgqueuer WHERE id = $1", job_id
        )
    return found


async def test_a_long_job_keeps_its_lease(queue: Database, seller: TenantContext) -> None:
    (job_id,) = await ask(queue, seller.tenant_id, ["a"])
    release = asyncio.Event()
    diary = Diary(lambda row_id: release.wait())
    runner = Runner(queue, [diary.handler()], lease=_LEASE)
    async with _at_work(runner):
        await _until(lambda: len(diary.done) == 1)
        beats = [await _heartbeat(queue, job_id)]
        async with asyncio.timeout(60):
            while len(beats) < 5:
                await asyncio.sleep(0.05)
                if (beat := await _heartbeat(queue, job_id)) > beats[-1]:
                    beats.append(beat)
        release.set()
        await _until(lambda: runner.counts[KIND, "done"] == 1)
    # A busy machine may hold up some of them; not each by so much.
    assert min(later - one for one, later in pairwise(beats)) < _LEASE / 2


# -- drain -----------------------------------------------------------------------------------------


async def test_a_drain_waits_for_what_is_under_way_and_takes_nothing_more(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, (f"{number}" for number in range(10)))
    release = asyncio.Event()
    diary = Diary(lambda row_id: release.wait())
    runner = worker(queue, diary.handler(per_tenant=3))
    async with _at_work(runner):
        await _until(lambda: len(diary.done) == 3)
        draining = asyncio.create_task(runner.drain(within_s=60, settle_s=30))
        await asyncio.sleep(0.05)
        assert not draining.done()
        release.set()
        await draining
    assert runner.counts == {(KIND, "done"): 3}
    jobs = await jobs_of(queue, seller.tenant_id)
    assert [(job.state, job.tries) for job in jobs] == [("waiting", 0)] * 7


@pytest.mark.parametrize("how", ["bound", "hurry"])
async def test_what_a_drain_does_not_wait_for_goes_back_and_counts_as_no_try(
    queue: Database, seller: TenantContext, how: str
) -> None:
    await ask(queue, seller.tenant_id, ["a", "b"])
    diary = Diary(lambda row_id: asyncio.Event().wait())
    runner = worker(queue, diary.handler())
    await runner.take()
    await _until(lambda: len(diary.done) == 2)
    if how == "hurry":
        asyncio.get_running_loop().call_later(0.05, runner.hurry)
    began = time.monotonic()
    await runner.drain(within_s=0.05 if how == "bound" else 60, settle_s=30)
    assert time.monotonic() - began < 30
    assert runner.counts == {(KIND, "back"): 2}
    jobs = await jobs_of(queue, seller.tenant_id)
    assert [(job.state, job.tries) for job in jobs] == [("waiting", 0)] * 2
    again = Diary()
    await worker(queue, again.handler()).run_until_idle()
    assert sorted(again.rows) == ["a", "b"]


async def test_a_job_that_was_claimed_during_the_drain_goes_back(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["a"])
    runner = worker(queue, Diary().handler())
    taking = asyncio.create_task(runner.take())
    await asyncio.sleep(0)  # it has begun to ask
    await runner.drain(within_s=5, settle_s=30)
    assert await taking == 1
    assert runner.counts == {(KIND, "back"): 1}
    assert await runner.take() == 0


async def test_a_handler_that_does_not_let_go_is_left_to_its_lease(
    queue: Database, seller: TenantContext
) -> None:
    release = asyncio.Event()

    async def cling(tenant_id: uuid.UUID, row_id: str) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    await ask(queue, seller.tenant_id, ["a"])
    runner = worker(queue, Handler(KIND, cling))
    await runner.take()
    await asyncio.sleep(0)
    await runner.drain(within_s=0.05, settle_s=30)
    ((job),) = await JobDesk(queue).find(JobFilter(seller.tenant_id))
    assert job.state == "running"
    release.set()
    await _until(lambda: runner.under_way == 0)
