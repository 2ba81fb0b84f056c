"""A job is asked for in the transaction that needs it, and only within the tenant's own scope."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest
from payengine.context import TenantContext
from payengine.errors import InputInvalid
from payengine.jobs import HOUSE, enqueue, fence
from payengine.storage import Database

from tests.core.jobs.asking import KIND, Diary, ask, jobs_of, worker


async def test_what_is_rolled_back_was_never_asked_for(
    queue: Database, seller: TenantContext
) -> None:
    async def change_ones_mind() -> None:
        async with queue.tenant(seller.tenant_id) as session:
            job = await enqueue(
                session, seller.tenant_id, kind=KIND, row_id="a", due_at=datetime.now(UTC)
            )
            assert job is not None
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await change_ones_mind()
    assert await jobs_of(queue, seller.tenant_id) == []
    diary = Diary()
    assert await worker(queue, diary.handler()).run_until_idle() == 0
    assert diary.done == []


async def test_what_is_committed_is_done_once_and_leaves_the_queue(
    queue: Database, seller: TenantContext
) -> None:
    (job_id,) = await ask(queue, seller.tenant_id, ["a"])
    (job,) = await jobs_of(queue, seller.tenant_id)
    assert (job.id, job.state, job.kind, job.row_id, job.tries) == (job_id, "waiting", KIND, "a", 0)
    diary = Diary()
    runner = worker(queue, diary.handler())
    assert await runner.run_until_idle() == 1
    assert diary.done == [(seller.tenant_id, "a")]
    assert await jobs_of(queue, seller.tenant_id) == []
    assert runner.counts == {(KIND, "done"): 1}


async def test_nothing_is_done_before_it_is_due(queue: Database, seller: TenantContext) -> None:
    await ask(queue, seller.tenant_id, ["later"], due_in=timedelta(hours=1))
    await ask(queue, seller.tenant_id, ["now"])
    diary = Diary()
    await worker(queue, diary.handler()).run_until_idle()
    assert diary.rows == ["now"]


async def test_the_queue_knows_tenant_kind_and_row_and_no_more(
    queue: Database, seller: TenantContext
) -> None:
    await ask(queue, seller.tenant_id, ["pay_1"], dedupe="the secret of the tenant")
    async with queue.worker() as session:
        row = await session.fetchrow("SELECT * FROM pgqueuer")
    assert row is not None
    assert msgspec.json.decode(row["payload"]) == {
        "tenant_id": str(seller.tenant_id),
        "kind": KIND,
        "row_id": "pay_1",
    }
    assert row["headers"] is None
    assert "secret" not in str(dict(row))


async def test_a_wish_with_a_name_waits_once(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    first = await ask(queue, seller.tenant_id, ["a", "b"], dedupe="x")
    assert (first[0] is not None, first[1]) == (True, None)
    assert await ask(queue, seller.tenant_id, ["c"], dedupe="x") == [None]
    for tenant_id, kind, dedupe in (
        (other_seller.tenant_id, KIND, "x"),
        (seller.tenant_id, "test.other", "x"),
        (seller.tenant_id, KIND, "y"),
        (seller.tenant_id, KIND, None),
    ):
        (job,) = await ask(queue, tenant_id, ["d"], kind=kind, dedupe=dedupe)
        assert job is not None, (kind, dedupe)


async def test_a_wish_may_be_repeated_as_soon_as_it_is_being_granted(
    queue: Database, seller: TenantContext
) -> None:
    again: list[int | None] = []

    async def repeat(row_id: str) -> None:
        if row_id == "first":
            again.extend(await ask(queue, seller.tenant_id, ["second"], dedupe="x"))

    await ask(queue, seller.tenant_id, ["first"], dedupe="x")
    diary = Diary(repeat)
    await worker(queue, diary.handler()).run_until_idle()
    assert again != [None]
    assert diary.rows == ["first", "second"]


async def test_nobody_asks_in_another_tenants_name(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    for name in (other_seller.tenant_id, HOUSE, uuid.uuid4()):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with queue.tenant(seller.tenant_id) as session:
                await enqueue(session, name, kind=KIND, row_id="a", due_at=datetime.now(UTC))


async def test_nobody_takes_another_tenants_turn(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        async with queue.tenant(seller.tenant_id) as session:
            await session.execute(
                "INSERT INTO pgqueuer (tenant_id, entrypoint, priority, status)"
                " VALUES ($1, $2, 0, 'queued')",
                seller.tenant_id,
                f"{KIND}:{other_seller.tenant_id}",
            )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT payload FROM pgqueuer",
        "SELECT dedupe_key FROM pgqueuer",
        "UPDATE pgqueuer SET status = 'queued'",
        "UPDATE pgqueuer SET queue_manager_id = NULL",
        "DELETE FROM pgqueuer",
        "INSERT INTO pgqueuer (headers) VALUES ('{}')",
        "SELECT FROM pgqueuer_log",
        "SELECT FROM pgqueuer_schedules",
        "SELECT FROM pgqueuer_statistics",
    ],
)
async def test_the_app_can_do_nothing_else_to_the_queue(
    queue: Database, seller: TenantContext, sql: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with queue.tenant(seller.tenant_id) as session:
            await session.execute(sql)


async def test_the_app_sees_none_of_another_tenants_jobs(
    queue: Database, seller: TenantContext, other_seller: TenantContext
) -> None:
    await ask(queue, other_seller.tenant_id, ["theirs"])
    async with queue.tenant(seller.tenant_id) as session:
        assert await session.fetch("SELECT id FROM pgqueuer") == []
        tag = await session.execute("UPDATE pgqueuer SET heartbeat = statement_timestamp()")
    assert tag == "UPDATE 0"


async def test_a_payload_does_not_fit(queue: Database, seller: TenantContext) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        async with queue.tenant(seller.tenant_id) as session:
            await session.execute(
                "INSERT INTO pgqueuer (tenant_id, entrypoint, priority, status, payload)"
                " VALUES ($1, $2, 0, 'queued', $3)",
                seller.tenant_id,
                f"{KIND}:{seller.tenant_id}",
                b"x" * 1_001,
            )


async def test_what_names_no_row_is_refused(queue: Database, seller: TenantContext) -> None:
    for kind, row_id in ((KIND, ""), ("No Kind", "a")):
        with pytest.raises(InputInvalid):
            await ask(queue, seller.tenant_id, [row_id], kind=kind)


async def test_outside_a_job_a_fence_lets_everybody_pass(
    queue: Database, seller: TenantContext
) -> None:
    async with queue.tenant(seller.tenant_id) as session:
        await fence(session)
