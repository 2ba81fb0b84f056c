"""Does the database still keep tenants apart by itself?

`broken` reads PostgreSQL's own catalogue and names whatever steps out of line: a table, key,
policy, view, function, sequence, role or grant. What it does not know it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from payengine.storage import lint_roles
from payengine.storage.tables import BATCHED_TABLES, EXTRA_POLICIES, QUEUE_TABLES, SHARED_TABLES

__all__ = ["Reader", "broken"]


class Reader(Protocol):
    """A session or a connection of any role."""

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """Every row."""
        ...


#: Ours are all schemas but PostgreSQL's; what an extension brought is the extension's.
_OURS = """
    namespace.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND namespace.nspname NOT LIKE 'pg\\_temp\\_%'
    AND namespace.nspname NOT LIKE 'pg\\_toast\\_temp\\_%'
    AND NOT EXISTS (SELECT FROM pg_depend
                    WHERE objid = thing.oid AND deptype = 'e')
"""

_RELATIONS = f"""
    SELECT thing.oid, thing.relname AS name, thing.relkind::text AS kind,
           thing.relrowsecurity AS on, thing.relforcerowsecurity AS forced,
           coalesce(thing.reloptions, '{{}}') AS options,
           owner.rolname AS owner, owner.rolsuper OR owner.rolbypassrls AS owner_bypasses
    FROM pg_class AS thing
    JOIN pg_namespace AS namespace ON namespace.oid = thing.relnamespace
    JOIN pg_roles AS owner ON owner.oid = thing.relowner
    WHERE thing.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_OURS}
    ORDER BY thing.relname
"""

_COLUMNS = """
    SELECT attrelid AS oid, attname AS name, format_type(atttypid, NULL) AS type, attnum AS number,
           attnotnull AS required, typtype = 'e' AS enumerated,
           coalesce(pg_get_expr(adbin, adrelid), '') AS standard
    FROM pg_attribute
    JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped
    ORDER BY attrelid, attnum
"""

_UNIQUES = """
    SELECT indrelid AS oid, index.relname AS name, indisprimary AS primary,
           (SELECT attname FROM pg_attribute WHERE attrelid = indrelid AND attnum = indkey[0])
               AS first
    FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
    WHERE indrelid = ANY ($1::oid[]) AND (indisunique OR indisexclusion)
    ORDER BY index.relname
"""

_REFERENCES = """
    SELECT conrelid AS oid, conname AS name, target.relname AS target,
           (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1])
               AS first,
           (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1])
               AS target_first
    FROM pg_constraint JOIN pg_class AS target ON target.oid = confrelid
    WHERE contype = 'f' AND conrelid = ANY ($1::oid[])
    ORDER BY conname
"""

_POLICIES = """
    SELECT polrelid AS oid, polname AS name, polcmd::text AS command, polpermissive AS permissive,
           ARRAY(SELECT coalesce((SELECT rolname::text FROM pg_roles WHERE oid = member), 'public')
                 FROM unnest(polroles) AS member) AS roles,
           pg_get_expr(polqual, polrelid) AS using, pg_get_expr(polwithcheck, polrelid) AS check
    FROM pg_policy WHERE polrelid = ANY ($1::oid[])
    ORDER BY polname
"""

_FUNCTIONS = f"""
    SELECT thing.proname AS name FROM pg_proc AS thing
    JOIN pg_namespace AS namespace ON namespace.oid = thing.pronamespace
    WHERE thing.prosecdef AND {_OURS}
    ORDER BY thing.proname
"""

_REWRITES = f"""
    SELECT thing.relname AS name, rulename AS rule FROM pg_rewrite
    JOIN pg_class AS thing ON thing.oid = ev_class
    JOIN pg_namespace AS namespace ON namespace.oid = thing.relnamespace
    WHERE ev_type <> '1' AND {_OURS}
    ORDER BY rulename
"""

_QUEUE_TRIGGERS = """
    SELECT relname AS name, tgname AS trigger FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relname = ANY ($1) AND NOT tgisinternal
    ORDER BY tgname
"""

_LOOSE_SEQUENCES = """
    SELECT oid FROM unnest($1::oid[]) AS oid
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype IN ('i', 'a')
                      AND refclassid = 'pg_class'::regclass)
"""

#: How PostgreSQL spells the policy. The wrapping select is evaluated once by each query, the bare
#: one by each row: of what is written, and of what a batch's statements read or change.
_BARE = "({column} = (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid)"
_WRAPPED = (
    "({column} = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid"
    ' AS "nullif"))'
)
_CLOCKS = (
    "now()",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "clock_timestamp()",
    "statement_timestamp()",
    "transaction_timestamp()",
    "timeofday()",
    "'now'",
)
#: What the queue's tables have in pgqueuer's own way.
_QUEUE_TYPES = ("pgqueuer_status", "timestamp with time zone")
_INEXACT = ("numeric", "real", "double precision", "money")


async def broken(reader: Reader) -> list[str]:
    """Every fault of the live database, one sentence each, in a stable order; empty when sound."""
    relations = await reader.fetch(_RELATIONS)
    tables = [row for row in relations if row["kind"] in ("r", "p")]
    oids = [row["oid"] for row in tables]
    columns = _by_table(await reader.fetch(_COLUMNS, oids))
    uniques = _by_table(await reader.fetch(_UNIQUES, oids))
    references = _by_table(await reader.fetch(_REFERENCES, oids))
    policies = _by_table(await reader.fetch(_POLICIES, oids))
    faults: list[str] = []
    for table in tables:
        oid, name = table["oid"], table["name"]
        found = [
            *_check_columns(name, columns.get(oid, [])),
            *_check_security(table, policies.get(oid, [])),
        ]
        if name not in SHARED_TABLES:
            found += _check_tenant_column(columns.get(oid, []))
            found += _check_uniques(uniques.get(oid, []))
        found += _check_references(name, references.get(oid, []))
        faults += [f"table {name}: {fault}" for fault in found]
    faults += _check_views(relations)
    faults += await _check_sequences(reader, relations)
    faults += [
        f"function {row['name']}: SECURITY DEFINER steps around row-level security"
        for row in await reader.fetch(_FUNCTIONS)
    ]
    faults += [
        f"table {row['name']}: the rule {row['rule']} runs with its owner's rights"
        for row in await reader.fetch(_REWRITES)
    ]
    faults += [
        f"table {row['name']}: the trigger {row['trigger']} would hold up every commit"
        for row in await reader.fetch(_QUEUE_TRIGGERS, sorted(QUEUE_TABLES))
    ]
    faults += await lint_roles.broken(reader)
    return sorted(faults)


def _by_table(rows: Sequence[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row["oid"], []).append(row)
    return found


def _check_tenant_column(columns: list[Any]) -> Iterable[str]:
    column = next((row for row in columns if row["name"] == "tenant_id"), None)
    if column is None:
        yield "has no tenant_id and is not in the list of shared tables"
    elif column["type"] != "uuid" or not column["required"]:
        yield "tenant_id must be uuid NOT NULL"


def _check_columns(table: str, columns: list[Any]) -> Iterable[str]:
    for column in columns:
        name, kind = column["name"], column["type"]
        if table in QUEUE_TABLES and kind in _QUEUE_TYPES:
            continue
        if column["enumerated"]:
            yield f"{name} is an enum, whose operators are not leakproof: use text with a CHECK"
        if kind in _INEXACT:
            yield f"{name} is {kind}: money is bigint in minor units"
        if name.endswith("_minor") and kind != "bigint":
            yield f"{name} must be bigint"
        if (name == "status" or name.endswith("_status")) and kind != "text":
            yield f"{name} must be text with a CHECK"
        if kind.startswith("timestamp") and kind != "timestamp with time zone":
            yield f"{name} is a time without a zone"
        if any(clock in column["standard"].lower() for clock in _CLOCKS):
            yield f"{name} takes its default from the wall clock: time is an argument"


def _check_uniques(uniques: list[Any]) -> Iterable[str]:
    if not any(row["primary"] for row in uniques):
        yield "has no primary key"
    for row in uniques:
        if row["first"] != "tenant_id":
            yield f"the unique key {row['name']} does not begin with tenant_id"


def _check_references(table: str, references: list[Any]) -> Iterable[str]:
    for row in references:
        first, target = row["first"], row["target"]
        isolating = SHARED_TABLES.get(table, "tenant_id")
        wanted = SHARED_TABLES.get(target, "tenant_id")
        if isolating is None or first != isolating:
            yield f"the foreign key {row['name']} does not begin with tenant_id"
        elif wanted is None or row["target_first"] != wanted:
            yield f"the foreign key {row['name']} does not compare {target}'s tenant first"


def _check_security(table: Any, policies: list[Any]) -> Iterable[str]:
    name = table["name"]
    column = SHARED_TABLES.get(name, "tenant_id")
    if column is not None:
        if not table["on"]:
            yield "row-level security is not enabled"
        if not table["forced"]:
            yield "row-level security is not forced on its owner"
        if table["owner_bypasses"]:
            yield f"its owner {table['owner']} bypasses row-level security"
        if not any(policy["name"] == "tenant_isolation" for policy in policies):
            yield "has no policy tenant_isolation"
    for policy in policies:
        if policy["name"] == "tenant_isolation" and column is not None:
            yield from _check_isolation(name, policy, column)
            continue
        shape = (policy["command"], *policy["roles"])
        if EXTRA_POLICIES.get((name, policy["name"])) != shape:
            yield f"the policy {policy['name']} is not in the closed list of policies"


def _check_isolation(table: str, policy: Any, column: str) -> Iterable[str]:
    bare = _BARE.format(column=column)
    seen = bare if table in BATCHED_TABLES else _WRAPPED.format(column=column)
    if policy["using"] is None or " ".join(policy["using"].split()) != seen:
        yield "tenant_isolation's USING is not the canonical comparison"
    if policy["check"] is None or " ".join(policy["check"].split()) != bare:
        yield "tenant_isolation's WITH CHECK is not the canonical comparison"
    if (policy["command"], policy["permissive"], policy["roles"]) != ("*", True, ["public"]):
        yield "tenant_isolation must hold for every command and every role"


def _check_views(relations: Sequence[Any]) -> Iterable[str]:
    for row in relations:
        if row["kind"] == "v" and not _has_invoker(row["options"]):
            yield f"view {row['name']}: without security_invoker it reads with its owner's rights"
        if row["kind"] == "m":
            yield f"view {row['name']}: a materialized view has no row-level security"
        if row["kind"] == "f":
            yield f"table {row['name']}: a foreign table has no row-level security"


def _has_invoker(options: Sequence[str]) -> bool:
    return any(option in ("security_invoker=true", "security_invoker=on") for option in options)


async def _check_sequences(reader: Reader, relations: Sequence[Any]) -> list[str]:
    names = {row["oid"]: row["name"] for row in relations if row["kind"] == "S"}
    loose = await reader.fetch(_LOOSE_SEQUENCES, list(names))
    return [f"sequence {names[row['oid']]}: belongs to no column" for row in loose]
