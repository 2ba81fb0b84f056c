"""What may be asked inside a transaction?

A `Session` lives as long as its transaction. It takes SQL text with `$1` parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from payengine import timings

if TYPE_CHECKING:
    import asyncpg

    from payengine.storage.database import Counters

__all__ = ["Session"]


class Session:
    """One transaction on one connection."""

    __slots__ = ("_connection", "_counters")

    def __init__(self, connection: asyncpg.Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Every row."""
        self._counters.statements += 1
        timings.add_statement()
        rows: list[asyncpg.Record] = await self._connection.fetch(sql, *arguments)
        return rows

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        self._counters.statements += 1
        timings.add_statement()
        return await self._connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, or None."""
        self._counters.statements += 1
        timings.add_statement()
        return await self._connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Run it; returns PostgreSQL's command tag such as `UPDATE 1`."""
        self._counters.statements += 1
        timings.add_statement()
        tag: str = await self._connection.execute(sql, *arguments)
        return tag
