"""The tables are what the installed pgqueuer expects, and nobody is notified of anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.jobs.shape import names
from payengine.storage import Database
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries

from tests.core.jobs.asking import KIND, Diary, ask, worker
from tests.servers import HomeOfTest


@pytest.fixture
async def owner(job_home: HomeOfTest, queue: Database) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection, in a transaction that is undone."""
    connection = await asyncpg.connect(job_home.owner_url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


def _queries(connection: asyncpg.Connection) -> Queries:
    return Queries(
        AsyncpgDriver(connection),
        qbe=QueryBuilderEnvironment(names()),
        qbq=QueryQueueBuilder(names()),
    )


async def test_an_upgrade_by_pgqueuer_would_add_its_trigger_and_nothing_else(
    owner: asyncpg.Connection,
) -> None:
    plan = await _queries(owner).plan_upgrade()
    assert [statement.split("(")[0].split("\n")[0] for statement in plan.statements] == [
        f"CREATE FUNCTION {names().function}",
        f"CREATE TRIGGER {names().trigger}",
    ]
    # An identity needs no grant on a sequence; for everybody who inserts it is the same.
    assert all("is identity in the database but declared serial" in note for note in plan.notes)


async def test_a_column_that_differs_would_be_noticed(owner: asyncpg.Connection) -> None:
    await owner.execute("ALTER TABLE pgqueuer ALTER attempts DROP DEFAULT")
    await owner.execute("DROP INDEX pgqueuer_ep_ea_idx")
    plan = await _queries(owner).plan_upgrade()
    assert len(plan.statements) == 4


async def test_no_variable_of_the_environment_moves_the_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PGQUEUER_PREFIX", "PGQUEUER_QUEUE_TABLE", "QUEUE_TABLE", "PGQUEUER_SCHEMA"):
        monkeypatch.setenv(name, "elsewhere")
    names.cache_clear()
    try:
        found = names()
        assert (found.queue_table, found.db_schema, found.prefix) == ("pgqueuer", None, "")
    finally:
        names.cache_clear()


async def test_pgqueuers_own_tools_read_what_we_write(
    owner: asyncpg.Connection, queue: Database, seller: TenantContext
) -> None:
    def fail(row_id: str) -> None:
        raise ZeroDivisionError

    await ask(queue, seller.tenant_id, ["a"])
    runner = worker(queue, Diary(fail).handler(tries=1))
    await runner.run_until_idle()
    # The owner's transaction began before; to it, now is then.
    (job_id,) = await ask(queue, seller.tenant_id, ["b"], due_in=timedelta(hours=-1))
    assert job_id is not None
    await owner.execute("GRANT payengine_worker TO current_user; SET LOCAL ROLE payengine_worker")
    queries = _queries(owner)
    held, waiting = await queries.browse_queue()
    assert isinstance(held, Job)
    assert (held.status, waiting.status, waiting.id) == ("failed", "queued", job_id)
    log = await queries.job_log_history(held.id)
    assert [entry.status for entry in log] == ["picked", "failed"]
    assert log[-1].traceback is not None
    assert log[-1].traceback.exception_type == "ZeroDivisionError"
    (taken,) = await queries.dequeue(
        batch_size=10,
        entrypoints={
            QueueEntrypoint(f"{KIND}:{seller.tenant_id}"): EntrypointExecutionParameter(5)
        },
        queue_manager_id=QueueManagerId(seller.tenant_id),
        global_concurrency_limit=None,
        heartbeat_timeout=timedelta(minutes=1),
    )
    assert taken.id == job_id


async def test_nobody_is_notified_and_nothing_could(
    job_home: HomeOfTest, queue: Database, seller: TenantContext
) -> None:
    listener = await asyncpg.connect(job_home.owner_url)
    heard: list[str] = []
    try:
        await listener.add_listener(names().channel, lambda *said: heard.append(str(said)))
        triggers = await listener.fetch(
            "SELECT tgname FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'pgqueuer%'"
            " AND NOT tgisinternal"
        )
        functions = await listener.fetch(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND prosrc ILIKE '%notify%'"
        )
        assert (triggers, functions) == ([], [])
        failed = {"b"}

        def fail_once(row_id: str) -> None:
            if row_id in failed:
                failed.discard(row_id)
                raise ZeroDivisionError

        await ask(queue, seller.tenant_id, ["a", "b"])
        await worker(queue, Diary(fail_once).handler()).run_until_idle()
        assert await listener.fetchval("SELECT pg_notification_queue_usage()") == 0
        await asyncio.sleep(0)
        assert heard == []
        await listener.execute(f"NOTIFY {names().channel}, 'it could be heard'")
        await listener.fetchval("SELECT 1")
        assert len(heard) == 1
    finally:
        await listener.close()
