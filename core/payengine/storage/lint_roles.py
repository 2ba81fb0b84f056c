"""What may each role do, and is it no more than the closed lists say?

A part of `payengine.storage.lint`: the roles' attributes and memberships, what they own, and every
grant on tables, columns, sequences, schemas, the database and defaults for what is yet to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from payengine.storage.tables import (
    QUEUE_TABLES,
    ROLES,
    SHARED_GRANTS,
    SHARED_TABLES,
    WORKER_TEXTS,
)

if TYPE_CHECKING:
    from payengine.storage.lint import Reader

__all__ = ["broken"]

_APP, _WORKER, _DOOR = ROLES

_ATTRIBUTES = """
    SELECT rolname AS name, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
           rolcanlogin,
           ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_roles.oid)
               AS member_of
    FROM pg_roles WHERE rolname = ANY ($1) ORDER BY rolname
"""

_OWNED = """
    SELECT owner.rolname AS role, thing.what FROM (
        SELECT relowner AS owner, 'relation ' || relname AS what FROM pg_class
        UNION ALL SELECT proowner, 'function ' || proname FROM pg_proc
        UNION ALL SELECT nspowner, 'schema ' || nspname FROM pg_namespace
        UNION ALL SELECT typowner, 'type ' || typname FROM pg_type WHERE typrelid = 0
        UNION ALL SELECT datdba, 'database ' || datname FROM pg_database
    ) AS thing JOIN pg_roles AS owner ON owner.oid = thing.owner
    WHERE owner.rolname = ANY ($1)
    ORDER BY 1, 2
"""

#: Every grant to somebody who is not the owner. A table's grant is spread over its columns in
#: `columns`, with their types, so that one rule serves both kinds.
_GRANTS = """
    WITH relation AS (
        SELECT thing.oid, relname, relkind, relowner, relacl FROM pg_class AS thing
        JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = thing.oid AND deptype = 'e')
    ), granted AS (
        SELECT relation.*, 0 AS number, given.* FROM relation, aclexplode(relacl) AS given
        UNION ALL
        SELECT relation.*, attnum, given.* FROM relation
        JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped,
        aclexplode(attacl) AS given
    )
    SELECT relname AS name, relkind::text AS kind, privilege_type AS privilege,
           is_grantable AS grantable, number > 0 AS of_column,
           coalesce((SELECT rolname FROM pg_roles WHERE oid = grantee), 'PUBLIC') AS role,
           ARRAY(SELECT attname || ' ' || format_type(atttypid, NULL) FROM pg_attribute
                 WHERE attrelid = granted.oid AND attnum > 0 AND NOT attisdropped
                   AND number IN (0, attnum) ORDER BY attnum) AS columns
    FROM granted WHERE grantee <> relowner
    ORDER BY relname, number, privilege_type
"""

_OTHER_GRANTS = """
    SELECT 'schema ' || nspname AS what, privilege_type AS privilege,
           coalesce((SELECT rolname FROM pg_roles WHERE oid = grantee), 'PUBLIC') AS role
    FROM pg_namespace, aclexplode(nspacl)
    WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND NOT (privilege_type = 'USAGE' AND nspname = 'public')
      AND grantee <> nspowner
    UNION ALL
    SELECT 'defaults', privilege_type,
           coalesce((SELECT rolname FROM pg_roles WHERE oid = grantee), 'PUBLIC')
    FROM pg_default_acl, aclexplode(defaclacl) WHERE grantee <> defaclrole
    UNION ALL
    SELECT 'database', privilege_type, rolname
    FROM pg_database, aclexplode(datacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE datname = current_database() AND privilege_type = 'CREATE' AND grantee <> datdba
    ORDER BY 1, 2, 3
"""

_ATTRIBUTES_REFUSED = {
    "rolsuper": "is a superuser",
    "rolbypassrls": "bypasses row-level security",
    "rolcreaterole": "may create roles",
    "rolcreatedb": "may create databases",
    "rolreplication": "may replicate",
    "rolcanlogin": "may log in by itself",
}
_DATA = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_WORKER_TYPES = frozenset(
    {"uuid", "bigint", "integer", "smallint", "boolean", "timestamp with time zone"}
)
#: What the worker may change: a position in the feed, and nothing of what happened.
_WORKER_CHANGES = {
    "event": frozenset({("UPDATE", "position")}),
    "event_stream": frozenset(
        (privilege, column)
        for privilege in ("INSERT", "UPDATE")
        for column in ("tenant_id", "position")
    ),
}


async def broken(reader: Reader) -> list[str]:
    """Faults of roles and grants, one sentence each."""
    faults: list[str] = []
    roles = await reader.fetch(_ATTRIBUTES, list(ROLES))
    missing = set(ROLES) - {row["name"] for row in roles}
    faults += [f"role {name}: does not exist" for name in missing]
    for row in roles:
        faults += [f"role {row['name']}: {fault}" for fault in _check_role(row)]
    for row in await reader.fetch(_OWNED, list(ROLES)):
        faults.append(f"role {row['role']}: owns the {row['what']}")
    for row in await reader.fetch(_GRANTS):
        what = f"{row['privilege']} on {row['name']} to {row['role']}"
        faults += [f"grant {what}: {fault}" for fault in _check_grant(row)]
    for row in await reader.fetch(_OTHER_GRANTS):
        faults.append(f"grant {row['privilege']} on {row['what']} to {row['role']}: is not listed")
    return faults


def _check_role(row: Any) -> Iterable[str]:
    for attribute, fault in _ATTRIBUTES_REFUSED.items():
        if row[attribute]:
            yield fault
    for group in row["member_of"]:
        yield f"is a member of {group}"


def _check_grant(row: Any) -> Iterable[str]:
    name, role, privilege = row["name"], row["role"], row["privilege"]
    if role == "PUBLIC":
        yield "PUBLIC has no rights here"
    elif role not in ROLES:
        yield "this role is unknown here"
    elif privilege not in _DATA:
        yield "only SELECT, INSERT, UPDATE and DELETE are under row-level security"
    elif row["grantable"]:
        yield "it may be handed on"
    elif role == _DOOR and (name, privilege) != ("directory", "SELECT"):
        yield "the door reads the directory and nothing else"
    elif role == _WORKER and name not in QUEUE_TABLES:
        yield from _check_worker(name, privilege, row["columns"])
    elif role == _APP and name in SHARED_TABLES:
        columns = [column.split(" ", 1)[0] for column in row["columns"]]
        right = f"{privilege}({columns[0]})" if row["of_column"] else privilege
        if right not in SHARED_GRANTS.get(name, frozenset()):
            yield f"{right} on a shared table is not in the closed list"


def _check_worker(name: str, privilege: str, columns: Sequence[str]) -> Iterable[str]:
    for shown in columns:
        column, kind = shown.split(" ", 1)
        if privilege == "SELECT":
            carries_none = kind in _WORKER_TYPES or (name, column) in WORKER_TEXTS
            if not carries_none or column.endswith("_minor"):
                yield f"{column} ({kind}) is payload, which the worker must not read"
        elif (privilege, column) not in _WORKER_CHANGES.get(name, frozenset()):
            yield f"the worker must not change {column}"
