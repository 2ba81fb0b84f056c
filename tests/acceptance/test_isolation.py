"""One tenant's rows are out of reach of every other: every table, every operation, every layer."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.storage import Database
from payengine.storage.tables import QUEUE_TABLES

from tests.acceptance.worlds import as_role, leaks, read_tables, seed, work_as_owner
from tests.conftest import Servers

_POLICY = "(SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
#: What the worker may read of all tenants, written down once more: the grants must say the same.
_WORKER_READS = {
    "collection": {"tenant_id", "invoice_id", "due_at", "lease_until"},
    "collection_charge": {"tenant_id", "invoice_id", "charge", "look_at"},
    "credit_note": {"tenant_id", "id", "refund_due_at"},
    "escrow_hold": {"tenant_id", "id", "status", "due_at", "retry_at"},
    "notice": {"tenant_id", "id", "due_at"},
    "event": {"tenant_id", "id", "seq", "position"},
    "event_stream": {"tenant_id", "position"},
    "installation": {"id", "fingerprint", "epoch", "master_key_check"},
    "ledger_tail": {"tenant_id", "transaction_id"},
    "operation": {"tenant_id", "id", "due_at"},
    "payment": {"tenant_id", "id", "status", "hold_expires_at"},
    "payment_split": {"tenant_id", "payment_id", "due_at"},
    "payout": {"tenant_id", "id", "due_at"},
    "payout_batch": {"tenant_id", "id", "due_at"},
    "payout_schedule": {"tenant_id", "id", "due_at", "retry_at"},
    "pgqueuer": {
        *("id", "priority", "queue_manager_id", "created", "updated", "heartbeat"),
        *("execute_after", "status", "entrypoint", "dedupe_key", "payload", "headers"),
        *("attempts", "slot", "tenant_id"),
    },
    "pgqueuer_log": {
        *("id", "created", "job_id", "status", "priority", "entrypoint", "traceback"),
        "aggregated",
    },
    "pgqueuer_schedules": {
        *("id", "expression", "entrypoint", "heartbeat", "created", "updated", "next_run"),
        *("last_run", "status"),
    },
    "pgqueuer_statistics": {"id", "created", "count", "priority", "status", "entrypoint"},
    "dispute": {"tenant_id", "id", "remind_at"},
    "dispute_step": {"tenant_id", "id", "due_at"},
    "fraud_backfill": {"tenant_id", "due_at"},
    "fraud_rescore": {"tenant_id", "payment_id", "number", "stage", "due_at"},
    "fraud_watch": {"tenant_id", "due_at"},
    "received_webhook": {"tenant_id", "id", "due_at"},
    "reserve_hold": {"tenant_id", "id", "release_at", "released_at", "retry_at"},
    "review": {"tenant_id", "id", "decide_by"},
    "split_cursor": {"tenant_id", "position"},
    "subscription": {"tenant_id", "id", "due_at"},
    "tenant": {"id", "mode"},
    "test_clock": {"tenant_id", "now_at", "target_at", "leased_until"},
    "webhook_endpoint": {
        *("tenant_id", "id", "status", "position"),
        *("retry_at", "redeliver_at", "leased_until", "served_at"),
    },
}
_DOOR_READS = {"directory": {"kind", "lookup_hash", "tenant_id", "subject_id"}}

_PLANTED = (
    "CREATE TABLE planted (tenant_id uuid NOT NULL, id text NOT NULL, customer_id text,"
    " PRIMARY KEY (tenant_id, id)); GRANT SELECT, INSERT, UPDATE, DELETE ON planted TO"
    " payengine_app; ALTER TABLE planted ENABLE ROW LEVEL SECURITY;"
    " ALTER TABLE planted FORCE ROW LEVEL SECURITY;"
    f" CREATE POLICY tenant_isolation ON planted USING (tenant_id = {_POLICY})"
    f" WITH CHECK (tenant_id = {_POLICY});"
)


@pytest.fixture
async def owner(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    """The owner, in a transaction that is rolled back."""
    async with work_as_owner(servers.owner_url) as connection:
        yield connection


async def find_leaks(connection: asyncpg.Connection) -> list[str]:
    """Seed two worlds and let each try everything on the other."""
    tables = await read_tables(connection)
    one, two = await seed(connection, tables), await seed(connection, tables)
    return [
        *await leaks(connection, tables, mine=one, theirs=two),
        *await leaks(connection, tables, mine=two, theirs=one),
    ]


async def test_no_table_lets_a_tenant_reach_anothers_rows(owner: asyncpg.Connection) -> None:
    tables = {table.name for table in await read_tables(owner)}
    assert {"payment", "operation", "event", "ledger_transfer", "api_key", "tenant"} <= tables
    assert await find_leaks(owner) == []


async def test_a_new_table_is_covered_by_itself(owner: asyncpg.Connection) -> None:
    await owner.execute(_PLANTED)
    assert "planted" in {table.name for table in await read_tables(owner)}
    assert await find_leaks(owner) == []


@pytest.mark.parametrize(
    ("fault", "found"),
    {
        "ALTER TABLE planted DISABLE ROW LEVEL SECURITY": "planted: select of all in my scope",
        "ALTER TABLE payment DISABLE ROW LEVEL SECURITY": "payment: update of theirs in my scope",
        "ALTER POLICY tenant_isolation ON planted USING (true)": "planted: delete of theirs",
        "ALTER POLICY tenant_isolation ON planted WITH CHECK (true)": "planted: insert for them",
        "CREATE POLICY planted ON planted FOR SELECT USING (true)": "planted: select of theirs",
        f"ALTER POLICY tenant_isolation ON planted USING (coalesce(tenant_id = {_POLICY}, true))": (
            "planted: select of all without a tenant"
        ),
        "ALTER TABLE customer ADD CONSTRAINT one UNIQUE (id); ALTER TABLE planted ADD FOREIGN KEY"
        " (customer_id) REFERENCES customer (id)": "planted: the reference (customer_id) to their",
        "ALTER TABLE payment DROP CONSTRAINT payment_tenant_id_customer_id_fkey; ALTER TABLE"
        " customer ADD CONSTRAINT one UNIQUE (id); ALTER TABLE payment ADD FOREIGN KEY"
        " (customer_id) REFERENCES customer (id) NOT VALID": (
            "payment: the reference (customer_id) to their"
        ),
    }.items(),
)
async def test_a_hole_is_found(owner: asyncpg.Connection, fault: str, found: str) -> None:
    await owner.execute(_PLANTED)
    await owner.execute(fault)
    faults = await find_leaks(owner)
    assert any(found in each for each in faults), faults


async def test_a_table_without_a_policy_is_found(owner: asyncpg.Connection) -> None:
    await owner.execute(
        "CREATE TABLE bare (tenant_id uuid NOT NULL, id text NOT NULL,"
        " PRIMARY KEY (tenant_id, id));"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON bare TO payengine_app"
    )
    faults = await find_leaks(owner)
    for operation in ("select of all", "update of theirs", "delete of theirs", "insert for them"):
        assert any(fault.startswith(f"bare: {operation}") for fault in faults), faults
    assert all(fault.startswith("bare: ") for fault in faults)


@pytest.mark.parametrize(
    ("role", "readable"), [("payengine_worker", _WORKER_READS), ("payengine_door", _DOOR_READS)]
)
async def test_worker_and_door_read_their_columns_only(
    owner: asyncpg.Connection, role: str, readable: dict[str, set[str]]
) -> None:
    columns = await owner.fetch(
        "SELECT relname AS table, attname AS name FROM pg_class JOIN pg_attribute"
        " ON attrelid = pg_class.oid WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped"
    )
    seen: dict[str, set[str]] = {}
    async with as_role(owner, role, None):
        for column in columns:
            try:
                async with owner.transaction():
                    await owner.fetch(f"SELECT {column['name']} FROM {column['table']} LIMIT 1")
            except asyncpg.InsufficientPrivilegeError:
                continue
            seen.setdefault(column["table"], set()).add(column["name"])
    assert seen == readable


@pytest.mark.parametrize("role", ["payengine_worker", "payengine_door"])
async def test_worker_and_door_write_nothing_but_positions(
    owner: asyncpg.Connection, role: str
) -> None:
    # The queue is the worker's to write, whole; the app's part in it is tried with all tables.
    mine = QUEUE_TABLES if role == "payengine_worker" else frozenset()
    tables = [table for table in await read_tables(owner) if table.name not in mine]
    written = set()
    async with as_role(owner, role, None):
        for table in tables:
            for column in table.types:
                try:
                    async with owner.transaction():
                        await owner.execute(
                            f"UPDATE {table.name} SET {column} = DEFAULT WHERE false"
                        )
                except asyncpg.InsufficientPrivilegeError:
                    continue
                except asyncpg.PostgresError:
                    pass
                written.add((table.name, column))
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with owner.transaction():
                    await owner.execute(f"DELETE FROM {table.name} WHERE false")
    positions = {("event", "position"), ("event_stream", "tenant_id"), ("event_stream", "position")}
    assert written == (positions if role == "payengine_worker" else set())


async def test_sessions_have_the_roles_that_they_claim(
    database: Database, tenant: TenantContext
) -> None:
    async with database.tenant(tenant.tenant_id) as session:
        assert await session.fetchval("SELECT current_user") == "payengine_app"
        assert await session.fetchval("SELECT current_setting('app.tenant_id')") == str(
            tenant.tenant_id
        )
    async with database.worker() as session:
        assert await session.fetchval("SELECT current_user") == "payengine_worker"
    async with database.door() as session:
        assert await session.fetchval("SELECT current_user") == "payengine_door"


async def test_the_tenant_is_gone_with_its_transaction(
    servers: Servers, tenant: TenantContext
) -> None:
    database = await Database.open(servers.login_url, pool_size=1)
    try:
        async with database.tenant(tenant.tenant_id) as session:
            assert await session.fetchval("SELECT count(*) FROM tenant") == 1
        async with database._app.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM tenant") == 0
            assert await connection.fetchval("SELECT current_setting('app.tenant_id')") == ""
    finally:
        await database.close()


async def test_nothing_of_a_transaction_that_was_left_open_reaches_the_next(
    servers: Servers, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    database = await Database.open(servers.login_url, pool_size=1)
    try:
        async with database._app.acquire() as connection:
            await connection.execute(f"BEGIN; SET LOCAL app.tenant_id = '{tenant.tenant_id}'")
            await connection.execute(
                "INSERT INTO idempotency_key VALUES ($1, 'left', 'x', 'x', 'x', $2)",
                tenant.tenant_id,
                datetime.now(UTC),
            )
        async with database._app.acquire() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT count(*) FROM tenant") == 0
        async with database.tenant(other_tenant.tenant_id) as session:
            assert await session.fetch("SELECT FROM tenant WHERE id = $1", tenant.tenant_id) == []
        async with database.tenant(tenant.tenant_id) as session:
            assert await session.fetch("SELECT FROM idempotency_key") == []
    finally:
        await database.close()


async def _plant_rows(database: Database, tenants: list[uuid.UUID]) -> None:
    async def plant(tenant_id: uuid.UUID) -> None:
        async with database.tenant(tenant_id) as session:
            await session.execute(
                "INSERT INTO idempotency_key VALUES ($1, 'storm', 'x', 'x', 'x', $2)",
                tenant_id,
                datetime.now(UTC),
            )

    await asyncio.gather(*(plant(tenant_id) for tenant_id in tenants))


async def test_a_storm_of_cancelled_requests_shows_no_foreign_row(servers: Servers) -> None:
    seeded = random.Random(17)
    database = await Database.open(servers.login_url, pool_size=8)
    tenants = [uuid.uuid4() for _ in range(200)]
    foreign: list[asyncpg.Record] = []
    finished = cancelled = 0

    async def request(tenant_id: uuid.UUID, *, most_s: float = 0.004) -> None:
        async with database.tenant(tenant_id) as session:
            for _ in range(3):
                rows = await session.fetch("SELECT tenant_id FROM idempotency_key")
                foreign.extend(row for row in rows if row["tenant_id"] != tenant_id)
                assert len(rows) == 1
                await session.execute("SELECT pg_sleep($1)", seeded.random() * most_s)

    async def cancel_sometime(tenant_id: uuid.UUID) -> None:
        nonlocal finished, cancelled
        task = asyncio.create_task(request(tenant_id, most_s=0.02))
        done, _ = await asyncio.wait([task], timeout=seeded.random() * 0.02)
        if not done:
            task.cancel()
        try:
            await task
            finished += 1
        except asyncio.CancelledError:
            cancelled += 1

    try:
        await _plant_rows(database, tenants)
        for start in range(0, 1000, 20):
            chosen = [(at, tenants[at % len(tenants)]) for at in range(start, start + 20)]
            # Every second one is let be: how quick the machine is decides nothing.
            await asyncio.gather(
                *(request(each) if at % 2 else cancel_sometime(each) for at, each in chosen)
            )
        assert foreign == []
        assert finished + cancelled == 500
        assert cancelled > 100, (finished, cancelled)
        # The pool is whole: as many at once as it has, for every tenant, in good time.
        async with asyncio.timeout(60):
            await asyncio.gather(*(request(tenant_id) for tenant_id in tenants))
        assert foreign == []
        assert database._app.get_size() <= 8
        connections = [await database._app.acquire() for _ in range(8)]
        left = [
            await connection.fetch("SELECT tenant_id FROM idempotency_key")
            for connection in connections
        ]
        for connection in connections:
            await database._app.release(connection)
        assert left == [[]] * 8
    finally:
        await database.close()
