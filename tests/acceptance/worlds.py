"""Two worlds in every table, made from the catalogue, and everything one may try on the other.

A new table is covered by itself: its columns, keys and checks are read from PostgreSQL. Everything
happens in one transaction of the owner that takes the app's role, and is rolled back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
from payengine.storage.tables import SHARED_TABLES

__all__ = ["Table", "World", "as_role", "leaks", "read_tables", "seed", "work_as_owner"]

_COLUMNS = """
    SELECT relname AS table, attname AS name, format_type(atttypid, NULL) AS type,
           attnotnull AND NOT atthasdef AND attidentity = '' AS required
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
      AND attnum > 0 AND NOT attisdropped
    ORDER BY relname, attnum
"""
_REFERENCES = """
    SELECT conrelid::regclass::text AS table, confrelid::regclass::text AS target,
           ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS key (number, place)
                 JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place)
               AS columns,
           ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS key (number, place)
                 JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place)
               AS target_columns
    FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
    ORDER BY conname
"""
_CHECKS = """
    SELECT conrelid::regclass::text AS table, attname AS column,
           pg_get_constraintdef(pg_constraint.oid) AS definition
    FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
    WHERE contype = 'c' AND cardinality(conkey) = 1 AND connamespace = 'public'::regnamespace
"""


@dataclass(frozen=True)
class Reference:
    """A foreign key; its first column is the tenant's."""

    target: str
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]


@dataclass
class Table:
    """What must be known of a table in order to write a row of it."""

    name: str
    isolating: str
    types: dict[str, str] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    #: Texts that a CHECK allows, and the length that it demands.
    choices: dict[str, list[str]] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)


@dataclass
class World:
    """One tenant and its row of each table.

    `spares` has another row of each table that may have one, so that what a parent has once can be
    tried on a parent that has none.
    """

    tenant_id: uuid.UUID
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    spares: dict[str, dict[str, Any]] = field(default_factory=dict)


async def read_tables(connection: asyncpg.Connection) -> list[Table]:
    """Every table that belongs to tenants, those that are referred to first."""
    tables: dict[str, Table] = {}
    for row in await connection.fetch(_COLUMNS):
        isolating = SHARED_TABLES.get(row["table"], "tenant_id")
        if isolating is None:
            continue
        table = tables.setdefault(row["table"], Table(row["table"], isolating))
        table.types[row["name"]] = row["type"]
        if row["required"]:
            table.required.append(row["name"])
    for row in await connection.fetch(_REFERENCES):
        if row["table"] in tables:
            tables[row["table"]].references.append(
                Reference(row["target"], tuple(row["columns"]), tuple(row["target_columns"]))
            )
    for row in await connection.fetch(_CHECKS):
        if row["table"] in tables:
            _read_check(tables[row["table"]], row["column"], row["definition"])
    return _in_order(tables)


def _read_check(table: Table, column: str, definition: str) -> None:
    listed = re.search(r"'\{([^}]*)\}'::text\[\]", definition)
    if choices := listed[1].split(",") if listed else re.findall(r"'([^']*)'::text", definition):
        table.choices[column] = choices
    if length := re.search(r"length\(\w+\) = (\d+)", definition):
        table.lengths[column] = int(length[1])


def _in_order(tables: dict[str, Table]) -> list[Table]:
    ordered: dict[str, Table] = {}
    while len(ordered) < len(tables):
        ready = [
            table
            for table in tables.values()
            if table.name not in ordered
            and all(
                each.target in (*ordered, table.name)
                for each in table.references
                if set(each.columns) <= {*table.required, table.isolating}
            )
        ]
        assert ready, "tables refer to each other in a circle"
        ordered |= {table.name: table for table in ready}
    return list(ordered.values())


_serial = itertools.count(1)
#: One instant for all, so that what may not end before it begins does not.
_INSTANT = datetime.now(UTC)
#: What a CHECK over several columns demands.
_FITTING: dict[str, dict[str, Any]] = {
    "fx_quote": {"mid_minor": 1, "target_minor": 1, "markup_minor": 0},
}
_ISOLATING = (asyncpg.ForeignKeyViolationError, asyncpg.InsufficientPrivilegeError)


def _new_row(
    table: Table, world: World, *, refer: Reference | None = None, to: World | None = None
) -> dict[str, Any]:
    """A row that fits: its parents are the world's, but the one of `refer`, which is `to`'s."""
    number = next(_serial)
    row = {name: _value(table, name, number) for name in table.required}
    for reference in table.references:
        is_chosen = reference == refer
        if is_chosen or set(reference.columns) <= row.keys():
            parent = (to if is_chosen and to is not None else world).rows.get(reference.target)
            if parent is not None:
                row |= dict(
                    zip(
                        reference.columns,
                        (parent[name] for name in reference.target_columns),
                        strict=True,
                    )
                )
    row[table.isolating] = world.tenant_id
    if table.name == "pgqueuer":  # whose turn it is must agree with whose row it is
        row["entrypoint"] = f"test.go:{world.tenant_id}"
    return row | _FITTING.get(table.name, {})


def _value(table: Table, name: str, number: int) -> Any:
    kind = table.types[name]
    if kind == "text":
        text = table.choices.get(name, [f"{name} {number}"])[0]
        length = table.lengths.get(name)
        return text if length is None else f"{text:<{length}}"[:length]
    if name == "number":  # what is counted without gaps is unique
        return number
    values: dict[str, Any] = {
        "uuid": uuid.UUID(int=number),
        "bigint": 1,
        "integer": 1,
        "smallint": 1,
        "boolean": False,
        "bytea": f"{name} {number}".encode(),
        "jsonb": json.dumps({}),
        "text[]": [],
        "date": _INSTANT.date(),
        "timestamp with time zone": _INSTANT,
        "pgqueuer_status": "queued",
    }
    assert kind in values, f"{table.name}.{name} is {kind}: tell the test how to write one"
    return values[kind]


async def _insert(connection: asyncpg.Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values()
    )


@asynccontextmanager
async def work_as_owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner in a transaction that is rolled back, able to take the serving roles."""
    connection = await asyncpg.connect(owner_url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        await connection.execute(
            "GRANT payengine_app, payengine_worker, payengine_door TO current_user"
        )
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


@asynccontextmanager
async def as_role(
    connection: asyncpg.Connection, role: str, tenant_id: uuid.UUID | None
) -> AsyncIterator[None]:
    """Inside, the connection has this role and this tenant, or none."""
    await connection.execute(f"SET LOCAL ROLE {role}")
    scope = "" if tenant_id is None else str(tenant_id)
    await connection.execute("SELECT set_config('app.tenant_id', $1, true)", scope)
    try:
        yield
    finally:
        await connection.execute("RESET ROLE; SELECT set_config('app.tenant_id', '', true)")


async def seed(connection: asyncpg.Connection, tables: Sequence[Table]) -> World:
    """A new tenant with one row in every table, written by the owner within the tenant's scope."""
    world = World(uuid.uuid4())
    await connection.execute(f"SET LOCAL app.tenant_id = '{world.tenant_id}'")
    for table in tables:
        row = _new_row(table, world)
        await _insert(connection, table.name, row)
        world.rows[table.name] = world.spares[table.name] = row
        spare = _new_row(table, world)
        with contextlib.suppress(asyncpg.UniqueViolationError):
            async with connection.transaction():
                await _insert(connection, table.name, spare)
                world.spares[table.name] = spare
    await connection.execute("SET LOCAL app.tenant_id = ''")
    return world


class _Trial:
    """Statements that are tried and undone, and what was wrong with their results."""

    def __init__(self, connection: asyncpg.Connection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self.faults: list[str] = []

    def blame(self, fault: str) -> None:
        self.faults.append(f"{self._table.name}: {fault}")

    async def run(self, sql: str, *arguments: Any) -> list[Any] | asyncpg.PostgresError:
        """The rows, or the refusal; nothing stays changed."""
        point = self._connection.transaction()
        await point.start()
        try:
            return list(await self._connection.fetch(sql, *arguments))
        except asyncpg.PostgresError as refusal:
            return refusal
        finally:
            await point.rollback()

    async def insert(self, row: dict[str, Any]) -> asyncpg.PostgresError | None:
        """None where the row was taken. Tries each choice of a CHECK before giving up."""
        result = await self._insert(row)
        for column, choices in self._table.choices.items():
            for choice in choices:
                if isinstance(result, asyncpg.CheckViolationError):
                    result = await self._insert({**row, column: choice})
        return result

    async def _insert(self, row: dict[str, Any]) -> asyncpg.PostgresError | None:
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        names = ", ".join(row)
        result = await self.run(
            f"INSERT INTO {self._table.name} ({names}) VALUES ({places})", *row.values()
        )
        return result if isinstance(result, asyncpg.PostgresError) else None

    async def expect_none(
        self, what: str, sql: str, *arguments: Any, mine: uuid.UUID | None = None
    ) -> None:
        """No row but mine is touched; a refusal for want of rights is as good."""
        result = await self.run(sql, *arguments)
        if isinstance(result, asyncpg.PostgresError):
            if not isinstance(result, asyncpg.InsufficientPrivilegeError):
                self.blame(f"{what} could not be tried: {result}")
            return
        foreign = sum(row[0] != mine for row in result)
        if foreign:
            self.blame(f"{what} reached {foreign} foreign rows")


async def leaks(
    connection: asyncpg.Connection, tables: Sequence[Table], *, mine: World, theirs: World
) -> list[str]:
    """What the app's role in my scope, or in none, can do to their rows; empty when isolated."""
    faults: list[str] = []
    # Nothing here commits: what is checked at the commit must be checked at once.
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in tables:
        trial = _Trial(connection, table)
        async with as_role(connection, "payengine_app", mine.tenant_id):
            rights = await _rights(connection, table)
            await _try_own(trial, table, mine, rights=rights)
            for scope in (mine.tenant_id, None):
                shown = str(scope) if scope is not None else ""
                await connection.execute("SELECT set_config('app.tenant_id', $1, true)", shown)
                await _try_foreign(trial, table, theirs, scope=scope, rights=rights)
            await connection.execute(
                "SELECT set_config('app.tenant_id', $1, true)", str(mine.tenant_id)
            )
            await _try_references(trial, table, mine, theirs, rights=rights)
        faults += trial.faults
    return faults


async def _rights(connection: asyncpg.Connection, table: Table) -> dict[str, list[str]]:
    """SELECT, INSERT, UPDATE → the columns for which the present role has the right."""
    return {
        right: [
            column
            for column in table.types
            if await connection.fetchval(
                "SELECT has_column_privilege($1, $2, $3)", table.name, column, right
            )
        ]
        for right in ("SELECT", "INSERT", "UPDATE")
    }


async def _try_own(
    trial: _Trial, table: Table, mine: World, *, rights: dict[str, list[str]]
) -> None:
    """My own rows are there and can be written: otherwise the rest would prove nothing."""
    if rights["SELECT"]:
        seen = await trial.run(f"SELECT {table.isolating} FROM {table.name}")
        if not isinstance(seen, list) or not any(row[0] == mine.tenant_id for row in seen):
            trial.blame(f"my own row is not seen: {seen}")
    if rights["INSERT"] and table.isolating != "id":
        refusal = await trial.insert(_new_row(table, mine))
        # Some tables have one row for each tenant.
        if refusal is not None and not isinstance(refusal, asyncpg.UniqueViolationError):
            trial.blame(f"my own row is refused: {refusal}")


async def _try_foreign(
    trial: _Trial,
    table: Table,
    theirs: World,
    *,
    scope: uuid.UUID | None,
    rights: dict[str, list[str]],
) -> None:
    name, isolating, tenant_id = table.name, table.isolating, theirs.tenant_id
    where = "in my scope" if scope is not None else "without a tenant"
    changed = (rights["UPDATE"] or [isolating])[0]
    for what, sql in (
        ("select", f"SELECT {isolating} FROM {name}"),
        ("update", f"UPDATE {name} SET {changed} = {changed} RETURNING {isolating}"),
        ("delete", f"DELETE FROM {name} RETURNING {isolating}"),
    ):
        await trial.expect_none(f"{what} of all {where}", sql, mine=scope)
        head, _, tail = sql.partition(" RETURNING ")
        named = f"{head} WHERE {isolating} = $1" + (f" RETURNING {tail}" if tail else "")
        await trial.expect_none(f"{what} of theirs {where}", named, tenant_id, mine=scope)
    refusal = await trial.insert(_new_row(table, theirs))
    if not isinstance(refusal, asyncpg.InsufficientPrivilegeError):
        trial.blame(f"insert for them {where} was not refused: {refusal}")
    if scope is not None and isolating in rights["UPDATE"]:
        moved = await trial.run(f"UPDATE {name} SET {isolating} = $1", tenant_id)
        if not isinstance(moved, asyncpg.InsufficientPrivilegeError):
            trial.blame(f"moving my rows to them was not refused: {moved}")


async def _try_references(
    trial: _Trial,
    table: Table,
    mine: World,
    theirs: World,
    *,
    rights: dict[str, list[str]],
) -> None:
    """My new row must not refer to theirs, and may refer to mine."""
    if not rights["INSERT"]:
        return
    spare = World(mine.tenant_id, mine.spares)
    for reference in table.references:
        what = f"the reference ({', '.join(reference.columns)})"
        if set(reference.columns) == {table.isolating}:
            continue  # the tenant itself, which the policy has compared
        refusal = await trial.insert(_new_row(table, spare, refer=reference, to=theirs))
        if not isinstance(refusal, asyncpg.ForeignKeyViolationError):
            trial.blame(f"{what} to their row was not refused: {refusal}")
        refusal = await trial.insert(_new_row(table, spare, refer=reference, to=spare))
        # What a trigger wants of the row besides is not this test's matter.
        if isinstance(refusal, _ISOLATING):
            trial.blame(f"{what} to my own row is refused: {refusal}")
