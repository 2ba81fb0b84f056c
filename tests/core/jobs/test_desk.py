"""A person finds what waits and what is held, and decides what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from payengine.context import TenantContext
from payengine.jobs import JobDesk, JobFilter
from payengine.storage import Database

from tests.core.jobs.asking import KIND, Diary, ask, jobs_of, worker


def _fail(row_id: str) -> None:
    if row_id.startswith("bad"):
        raise LookupError


@pytest.fixture
async def desk(queue: Database, seller: TenantContext, other_seller: TenantContext) -> JobDesk:
    """A queue with a held job of each tenant, one that waits and one that runs."""
    await ask(queue, seller.tenant_id, ["bad one"])
    await ask(queue, other_seller.tenant_id, ["bad two"], kind="test.other")
    diary = Diary(_fail)
    runner = worker(queue, diary.handler(tries=1), diary.handler("test.other", tries=1))
    await runner.run_until_idle()
    await ask(queue, seller.tenant_id, ["later"], due_in=timedelta(hours=1))
    await ask(queue, other_seller.tenant_id, ["under way"])
    busy = worker(queue, Diary().handler())
    await busy._leases.claim(busy._load())
    return JobDesk(queue)


async def _rows(desk: JobDesk, chosen: JobFilter, limit: int = 50) -> list[str]:
    return [job.row_id for job in await desk.find(chosen, limit=limit)]


async def test_jobs_are_found_by_tenant_kind_and_state(
    desk: JobDesk, seller: TenantContext
) -> None:
    assert await _rows(desk, JobFilter()) == ["bad one", "bad two", "later", "under way"]
    assert await _rows(desk, JobFilter(tenant_id=seller.tenant_id)) == ["bad one", "later"]
    assert await _rows(desk, JobFilter(kind="test.other")) == ["bad two"]
    assert await _rows(desk, JobFilter(state="held")) == ["bad one", "bad two"]
    assert await _rows(desk, JobFilter(state="waiting")) == ["later"]
    assert await _rows(desk, JobFilter(state="running")) == ["under way"]
    assert await _rows(desk, JobFilter(kind=KIND, state="held")) == ["bad one"]
    assert await _rows(desk, JobFilter(), limit=2) == ["bad one", "bad two"]
    (held,) = await desk.find(JobFilter(kind="test.other"))
    assert (held.tries, held.error, held.state) == (1, "LookupError", "held")


async def test_what_is_held_is_tried_again_from_the_beginning(
    desk: JobDesk, queue: Database, seller: TenantContext
) -> None:
    (held,) = await desk.find(JobFilter(seller.tenant_id, state="held"))
    assert await desk.retry(JobFilter(ids=[held.id])) == [held.id]
    (again,) = await desk.find(JobFilter(ids=[held.id]))
    assert (again.state, again.tries) == ("waiting", 0)
    assert await desk.retry(JobFilter(ids=[held.id])) == [], "it is not held any more"
    diary = Diary()
    await worker(queue, diary.handler()).run_until_idle()
    assert diary.rows == ["bad one"]


async def test_a_retry_touches_nothing_but_what_is_held(desk: JobDesk) -> None:
    assert len(await desk.retry(JobFilter())) == 2
    assert await _rows(desk, JobFilter(state="running")) == ["under way"]
    (later,) = [job for job in await desk.find(JobFilter()) if job.row_id == "later"]
    assert later.due_at > datetime.now(UTC)


async def test_what_is_dropped_is_gone_and_what_is_under_way_is_not(
    desk: JobDesk, queue: Database, seller: TenantContext
) -> None:
    assert len(await desk.drop(JobFilter(tenant_id=seller.tenant_id))) == 2
    assert await jobs_of(queue, seller.tenant_id) == []
    (busy,) = await desk.find(JobFilter(state="running"))
    assert await desk.drop(JobFilter(ids=[busy.id])) == []
    assert await _rows(desk, JobFilter()) == ["bad two", "under way"]
    async with queue.worker() as session:
        logged = await session.fetchval(
            "SELECT count(*) FROM pgqueuer_log WHERE status = 'deleted'"
        )
    assert logged == 2


async def test_depth_tells_how_many_and_since_when(
    desk: JobDesk, queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["overdue"], due_in=timedelta(minutes=-10))
    depths = {(each.kind, each.state): each for each in await desk.depth(at=datetime.now(UTC))}
    assert {key: depth.jobs for key, depth in depths.items()} == {
        (KIND, "held"): 1,
        (KIND, "running"): 1,
        (KIND, "waiting"): 2,
        ("test.other", "held"): 1,
    }
    assert 599 < depths[KIND, "waiting"].oldest_s < 660
