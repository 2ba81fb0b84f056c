"""The catalogue lint: the migrated database is sound, and each planted fault is named."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from payengine.storage.lint import broken

from tests.conftest import Servers

_SOUND = (
    "CREATE TABLE planted (tenant_id uuid NOT NULL, id text NOT NULL, amount_minor bigint,"
    " PRIMARY KEY (tenant_id, id));"
)
_POLICY = (
    "CREATE POLICY tenant_isolation ON planted USING ({0}) WITH CHECK ({1});"
    "ALTER TABLE planted ENABLE ROW LEVEL SECURITY; ALTER TABLE planted FORCE ROW LEVEL SECURITY;"
)
_TENANT = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
_BARE = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
_TABLE = _SOUND + _POLICY.format(_TENANT, _BARE)

#: What is done to the sound database → words of the fault that must be named.
PLANTED = {
    # Tables and their columns.
    "CREATE TABLE planted (id text PRIMARY KEY)": "planted: has no tenant_id",
    "CREATE TABLE planted (tenant_id uuid PRIMARY KEY)": "planted: has no policy",
    "CREATE TABLE planted (tenant_id text NOT NULL PRIMARY KEY)": "tenant_id must be uuid NOT NULL",
    "CREATE TABLE planted (tenant_id uuid NOT NULL)": "planted: has no primary key",
    "CREATE TABLE planted (LIKE event); ALTER TABLE planted ALTER tenant_id DROP NOT NULL": (
        "tenant_id must be uuid NOT NULL"
    ),
    "CREATE TABLE planted PARTITION OF parted DEFAULT": "table planted: has no policy",
    "ALTER TABLE payment ADD bonus numeric": "bonus is numeric",
    "ALTER TABLE payment ADD bonus double precision": "bonus is double precision",
    "ALTER TABLE payment ADD bonus_minor integer": "bonus_minor must be bigint",
    "CREATE TYPE mood AS ENUM ('a'); ALTER TABLE payment ADD mood mood": "mood is an enum",
    "ALTER TABLE payment ADD review_status smallint": "review_status must be text",
    "ALTER TABLE payment ADD seen_at timestamp": "seen_at is a time without a zone",
    "ALTER TABLE payment ALTER created_at SET DEFAULT now()": "created_at takes its default",
    "ALTER TABLE payment ALTER created_at SET DEFAULT clock_timestamp()": "created_at takes its",
    "ALTER TABLE payment ALTER created_at SET DEFAULT CURRENT_TIMESTAMP": "created_at takes its",
    # Keys.
    "CREATE UNIQUE INDEX planted ON payment (id)": "the unique key planted does not begin",
    "CREATE UNIQUE INDEX planted ON payment (id, tenant_id)": "the unique key planted does not",
    "CREATE UNIQUE INDEX planted ON payment (lower(id), tenant_id)": "the unique key planted",
    "ALTER TABLE payment ADD CONSTRAINT planted UNIQUE (id)": "the unique key planted does not",
    "ALTER TABLE payment ADD CONSTRAINT planted FOREIGN KEY (customer_id, tenant_id)"
    " REFERENCES customer (id, tenant_id)": "foreign key planted does not begin with tenant_id",
    "ALTER TABLE customer ADD CONSTRAINT one UNIQUE (id); ALTER TABLE payment ADD CONSTRAINT"
    " planted FOREIGN KEY (customer_id) REFERENCES customer (id)": "foreign key planted does not",
    # Policies.
    "ALTER TABLE payment DISABLE ROW LEVEL SECURITY": "payment: row-level security is not enabled",
    "ALTER TABLE payment NO FORCE ROW LEVEL SECURITY": "payment: row-level security is not forced",
    "DROP POLICY tenant_isolation ON payment": "payment: has no policy tenant_isolation",
    "ALTER POLICY tenant_isolation ON payment USING (true)": "payment: tenant_isolation's USING",
    "ALTER POLICY tenant_isolation ON payment WITH CHECK (true)": "tenant_isolation's WITH CHECK",
    f"ALTER POLICY tenant_isolation ON payment USING ({_TENANT})": "tenant_isolation's USING",
    f"ALTER POLICY tenant_isolation ON attempt USING ({_BARE})": "tenant_isolation's USING",
    f"ALTER POLICY tenant_isolation ON attempt WITH CHECK ({_TENANT})": "tenant_isolation's WITH",
    "ALTER POLICY tenant_isolation ON payment TO payengine_app": "must hold for every command",
    "ALTER POLICY tenant_isolation ON directory USING (true)": "directory: tenant_isolation's",
    f"DROP POLICY tenant_isolation ON payment; CREATE POLICY tenant_isolation ON payment"
    f" AS RESTRICTIVE USING ({_BARE}) WITH CHECK ({_BARE})": "must hold for every command",
    "CREATE POLICY anything ON payment USING (true)": "policy anything is not in the closed list",
    "CREATE POLICY worker_queue ON customer FOR SELECT TO payengine_worker USING (true)": (
        "customer: the policy worker_queue is not in"
    ),
    "ALTER POLICY worker_queue ON payment TO payengine_app": "payment: the policy worker_queue",
    "ALTER POLICY door_lookup ON directory TO PUBLIC": "directory: the policy door_lookup",
    # Ways around row-level security.
    "CREATE VIEW planted AS SELECT * FROM payment": "view planted: without security_invoker",
    "CREATE MATERIALIZED VIEW planted AS SELECT 1 AS one": "view planted: a materialized view",
    "CREATE FUNCTION planted() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'": (
        "function planted: SECURITY DEFINER"
    ),
    "CREATE RULE planted AS ON UPDATE TO payment DO ALSO NOTHING": "rule planted runs",
    "CREATE SEQUENCE planted": "sequence planted: belongs to no column",
    # The queue.
    "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    " CREATE TRIGGER planted AFTER INSERT ON pgqueuer EXECUTE FUNCTION planted()": (
        "table pgqueuer: the trigger planted would hold up"
    ),
    "GRANT SELECT (payload) ON pgqueuer TO payengine_app": "SELECT(payload) on a shared table",
    "GRANT DELETE ON pgqueuer TO payengine_app": "DELETE on a shared table is not in the closed",
    "GRANT SELECT ON pgqueuer_log TO payengine_app": "SELECT on a shared table is not in the",
    "ALTER TABLE pgqueuer NO FORCE ROW LEVEL SECURITY": "pgqueuer: row-level security is not",
    "ALTER TABLE pgqueuer_log ADD bonus_minor integer": "bonus_minor must be bigint",
    # Roles.
    "ALTER ROLE payengine_app CREATEROLE": "role payengine_app: may create roles",
    "ALTER ROLE payengine_door LOGIN": "role payengine_door: may log in",
    "CREATE ROLE planted; GRANT planted TO payengine_worker": "is a member of planted",
    "GRANT payengine_app TO payengine_owner WITH SET TRUE; GRANT CREATE ON SCHEMA public TO"
    " payengine_app; ALTER TABLE payment OWNER TO payengine_app": "owns the relation payment",
    "GRANT CREATE ON SCHEMA public TO payengine_app": "CREATE on schema public to payengine_app",
    # Grants.
    "GRANT SELECT ON payment TO PUBLIC": "SELECT on payment to PUBLIC",
    "GRANT SELECT (id) ON payment TO PUBLIC": "SELECT on payment to PUBLIC",
    "GRANT SELECT ON SEQUENCE event_seq_seq TO PUBLIC": "SELECT on event_seq_seq to PUBLIC",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC": "SELECT on defaults to PUBLIC",
    "CREATE ROLE planted; GRANT SELECT ON payment TO planted": "this role is unknown here",
    "GRANT TRUNCATE ON payment TO payengine_app": "TRUNCATE on payment to payengine_app",
    "GRANT REFERENCES ON payment TO payengine_app": "REFERENCES on payment to payengine_app",
    "GRANT SELECT ON payment TO payengine_app WITH GRANT OPTION": "it may be handed on",
    "GRANT UPDATE ON tenant TO payengine_app": "UPDATE on a shared table",
    "GRANT UPDATE (epoch) ON installation TO payengine_app": "UPDATE(epoch) on a shared table",
    "GRANT SELECT ON payment TO payengine_worker": "metadata (jsonb) is payload",
    "GRANT SELECT (amount_minor) ON payment TO payengine_worker": "amount_minor (bigint) is payl",
    "GRANT SELECT (name) ON tenant TO payengine_worker": "name (text) is payload",
    "GRANT UPDATE (status) ON payment TO payengine_worker": "must not change status",
    "GRANT DELETE ON event TO payengine_worker": "must not change",
    "GRANT INSERT ON directory TO payengine_door": "the door reads the directory",
    "GRANT SELECT ON api_key TO payengine_door": "the door reads the directory",
}


@pytest.fixture
async def owner(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    """The owner, in a transaction that is rolled back."""
    connection = await asyncpg.connect(servers.owner_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SET LOCAL lock_timeout = '10s'")
    yield connection
    await transaction.rollback()
    await connection.close()


async def test_the_migrated_database_is_sound(owner: asyncpg.Connection) -> None:
    assert await broken(owner) == []


async def test_a_further_table_that_keeps_the_rules_is_sound(owner: asyncpg.Connection) -> None:
    await owner.execute(_TABLE + "GRANT SELECT, INSERT ON planted TO payengine_app")
    await owner.execute("CREATE VIEW shown WITH (security_invoker=true) AS SELECT * FROM planted")
    assert await broken(owner) == []


@pytest.mark.parametrize("statement", PLANTED, ids=lambda statement: statement[:60])
async def test_a_planted_fault_is_named(owner: asyncpg.Connection, statement: str) -> None:
    if "parted" in statement:
        await owner.execute(
            "CREATE TABLE parted (tenant_id uuid NOT NULL) PARTITION BY LIST (tenant_id)"
        )
    await owner.execute(statement)
    faults = await broken(owner)
    assert any(PLANTED[statement] in fault for fault in faults), faults


async def test_the_lint_needs_no_rights(servers: Servers, owner: asyncpg.Connection) -> None:
    plain = await asyncpg.connect(servers.login_url, server_settings={"role": "payengine_app"})
    try:
        assert await broken(plain) == []
    finally:
        await plain.close()
