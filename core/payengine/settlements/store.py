"""How do files, lines and items stand in the database?"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.settlements.models import (
    SettlementAction,
    SettlementFile,
    SettlementItem,
    SettlementLineRow,
)
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "ACTION",
    "FILE",
    "ITEM",
    "LINE",
    "act",
    "find_file",
    "finish_file",
    "get_file",
    "get_item",
    "insert_actions",
    "insert_file",
    "insert_items",
    "insert_lines",
    "known_keys",
    "rewrite_item",
]

StructT = TypeVar("StructT", bound=msgspec.Struct)

FILE = Columns(SettlementFile)
LINE = Columns(SettlementLineRow)
ITEM = Columns(SettlementItem)
ACTION = Columns(SettlementAction)

_INSERT_FILE = f"""
    INSERT INTO settlement_file (tenant_id, {FILE.listed}) VALUES ($1, {FILE.parameters(2)})
    ON CONFLICT (tenant_id, format, digest) DO NOTHING
"""
_FIND_FILE = f"""
    SELECT {FILE.listed} FROM settlement_file
    WHERE tenant_id = $1 AND format = $2 AND digest = $3
"""
_GET_FILE = f"SELECT {FILE.listed} FROM settlement_file WHERE tenant_id = $1 AND id = $2"
_FINISH_FILE = f"""
    UPDATE settlement_file SET finished_at = $3,
        new_count = (SELECT count(*) FROM settlement_line
                     WHERE tenant_id = $1 AND file_id = $2),
        work_count = (SELECT count(*) FROM settlement_item
                      WHERE tenant_id = $1 AND file_id = $2)
    WHERE tenant_id = $1 AND id = $2
    RETURNING {FILE.listed}
"""
_KEYS = """
    SELECT line_key FROM settlement_line
    WHERE tenant_id = $1 AND gateway = $2 AND line_key = ANY ($3)
"""
_GET_ITEM = f"SELECT {ITEM.listed} FROM settlement_item WHERE tenant_id = $1 AND id = $2"
_MOVES = ("assigned_to", "resolution", "settled_by", "settled_at")
_REWRITE = f"""
    UPDATE settlement_item SET {ITEM.assignments(_MOVES, 4)}, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING {ITEM.listed}
"""


def _many(table: str, columns: Columns[StructT]) -> str:
    """Insert any number of rows by one statement: an array for each column."""
    arrays = columns.parameters(2).replace(",", "[],") + "[]"
    return f"""
        INSERT INTO {table} (tenant_id, {columns.listed})
        SELECT $1::uuid, given.* FROM unnest({arrays}) AS given ({columns.listed})
    """


_INSERT_LINES = _many("settlement_line", LINE)
_INSERT_ITEMS = _many("settlement_item", ITEM)
_INSERT_ACTIONS = _many("settlement_action", ACTION)


async def _insert(
    session: Session,
    tenant_id: uuid.UUID,
    sql: str,
    columns: Columns[StructT],
    rows: Sequence[StructT],
) -> None:
    if rows:
        arrays = zip(*(columns.values(row) for row in rows), strict=True)
        await session.execute(sql, tenant_id, *(list(column) for column in arrays))


async def insert_lines(
    session: Session, tenant_id: uuid.UUID, rows: Sequence[SettlementLineRow]
) -> None:
    """Keep new lines."""
    await _insert(session, tenant_id, _INSERT_LINES, LINE, rows)


async def insert_items(
    session: Session, tenant_id: uuid.UUID, rows: Sequence[SettlementItem]
) -> None:
    """Open items."""
    await _insert(session, tenant_id, _INSERT_ITEMS, ITEM, rows)


async def insert_actions(
    session: Session, tenant_id: uuid.UUID, rows: Sequence[SettlementAction]
) -> None:
    """Write down what was done."""
    await _insert(session, tenant_id, _INSERT_ACTIONS, ACTION, rows)


async def insert_file(session: Session, tenant_id: uuid.UUID, file: SettlementFile) -> bool:
    """Keep a new file; False where this content is there already."""
    tag = await session.execute(_INSERT_FILE, tenant_id, *FILE.values(file))
    return tag == "INSERT 0 1"


async def find_file(
    session: Session, tenant_id: uuid.UUID, format: str, digest: bytes
) -> SettlementFile | None:
    """The file with this content, if it came before."""
    row = await session.fetchrow(_FIND_FILE, tenant_id, format, digest)
    return None if row is None else FILE.read(row)


async def get_file(session: Session, tenant_id: uuid.UUID, file_id: str) -> SettlementFile | None:
    """The file, or None."""
    row = await session.fetchrow(_GET_FILE, tenant_id, file_id)
    return None if row is None else FILE.read(row)


async def finish_file(
    session: Session, tenant_id: uuid.UUID, file_id: str, *, at: datetime
) -> SettlementFile:
    """Say that all of it is taken in, and count."""
    row = await session.fetchrow(_FINISH_FILE, tenant_id, file_id, at)
    if row is None:
        raise LookupError(file_id)
    return FILE.read(row)


async def known_keys(
    session: Session, tenant_id: uuid.UUID, *, gateway: str, keys: Sequence[str]
) -> set[str]:
    """Which of these lines are kept already, from whichever file."""
    rows = await session.fetch(_KEYS, tenant_id, gateway, list(keys))
    return {row["line_key"] for row in rows}


async def get_item(
    session: Session, tenant_id: uuid.UUID, item_id: str, *, lock: bool = False
) -> SettlementItem | None:
    """The item; with `lock`, nobody else may change it until the commit."""
    row = await session.fetchrow(_GET_ITEM + (" FOR UPDATE" if lock else ""), tenant_id, item_id)
    return None if row is None else ITEM.read(row)


async def rewrite_item(
    session: Session, tenant_id: uuid.UUID, item: SettlementItem
) -> SettlementItem:
    """Write what may change of an item that this transaction has locked."""
    values: list[Any] = [getattr(item, name) for name in _MOVES]
    row = await session.fetchrow(_REWRITE, tenant_id, item.id, item.version, *values)
    if row is None:
        raise LookupError(item.id)
    return ITEM.read(row)


def act(
    context: TenantContext,
    item_id: str,
    *,
    kind: str,
    person: str,
    reason: str,
    at: datetime,
) -> SettlementAction:
    """What a person, or the engine, did about an item."""
    return SettlementAction(
        id=new_id("sta"),
        item_id=item_id,
        kind=kind,  # type: ignore[arg-type]
        person=person,
        actor=context.actor,
        reason=reason,
        created_at=at,
    )
