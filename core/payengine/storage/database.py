"""Which rows may this session see?

Only this module opens transactions. Each runs under one of three roles that own nothing: `app`
inside one tenant's scope, `worker` over payload-free columns of all tenants, `door` over the
directory. The tenant is set in the same message as BEGIN and is gone with the transaction.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import asyncpg
import msgspec

from payengine import timings
from payengine.errors import DatabaseUnavailable
from payengine.storage.session import Session

__all__ = ["Counters", "Database"]

_STATEMENT_TIMEOUT_MS = 30_000
_STATEMENT_CACHE = 512
_IDLE_TIMEOUT_MS = 10_000
_CLOSE_S = 5.0
_JSONB = b"\x01"  # the version that begins jsonb's binary form, before the text
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
#: A queue's index keeps what has left it until the next vacuum. A plain scan marks that and does
#: not look at it again; a bitmap scan would, each time.
_QUEUES = MappingProxyType({"enable_bitmapscan": "off"})


@dataclass(slots=True)
class Counters:
    """How many statements and commits this process has sent; begin and commit are no statements."""

    statements: int = 0
    commits: int = 0


#: What asyncpg raises where the server is gone, going or not yet there.
_AWAY = (
    ConnectionError,
    FileNotFoundError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
)


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "json",
        encoder=msgspec.json.encode,
        decoder=msgspec.json.decode,
        schema="pg_catalog",
        format="binary",
    )
    await connection.set_type_codec(
        "jsonb", encoder=_encode, decoder=_decode, schema="pg_catalog", format="binary"
    )


def _encode(value: Any) -> bytes:
    return _JSONB + msgspec.json.encode(value)


def _decode(value: bytes) -> Any:
    return msgspec.json.decode(value[1:])


async def _reset(connection: asyncpg.Connection) -> None:
    """Nothing survives a transaction here; one that is still open means a defect: discard it."""
    if connection.is_in_transaction():
        connection.terminate()


@dataclass(slots=True)
class Database:
    """Three pools of connections, one for each role."""

    _app: asyncpg.Pool
    _worker: asyncpg.Pool
    _door: asyncpg.Pool
    counters: Counters = field(default_factory=Counters)

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 10) -> Self:
        """Connect to `url`, whose user is a member of the three roles; raises asyncpg's errors."""
        app = await _open_pool(url, role="payengine_app", size=pool_size)
        worker = await _open_pool(url, role="payengine_worker", size=2, settings=_QUEUES)
        door = await _open_pool(url, role="payengine_door", size=2)
        return cls(app, worker, door)

    async def close(self) -> None:
        """Wait for the transactions under way, at most 5 s, then close every connection."""
        pools = (self._app, self._worker, self._door)
        closing = [asyncio.ensure_future(pool.close()) for pool in pools]
        _, late = await asyncio.wait(closing, timeout=_CLOSE_S)
        for pool, task in zip(pools, closing, strict=True):
            if task in late:
                pool.terminate()
                task.cancel()
        await asyncio.gather(*closing, return_exceptions=True)

    @asynccontextmanager
    async def tenant(self, tenant_id: uuid.UUID) -> AsyncIterator[Session]:
        """A transaction that sees the rows of one tenant; commits unless the block raises."""
        begin = f"BEGIN; SET LOCAL app.tenant_id = '{uuid.UUID(int=tenant_id.int)}'"
        async with self._transaction(self._app, begin) as session:
            yield session

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[Session]:
        """A transaction for functions that set each tenant's scope themselves, as `call` is for
        one of them: it sees nothing before they do."""
        async with self._transaction(self._app, "BEGIN") as session:
            yield session

    async def call(self, function: str, argument: Any) -> list[asyncpg.Record]:
        """Call a function that sets each tenant's scope itself: one message, one commit.

        It sees nothing before it does. Its rows tell in `ended_at` when it ended, by the server's
        clock; what passes from then on is the wait for the commit. Raises `DatabaseUnavailable`,
        and asyncpg's errors, after which nothing was written.
        """
        rows = await self._call(self._app, function, argument)
        ended = rows[-1]["ended_at"].timestamp() if rows else time.time()
        timings.add_commit(max(time.time() - ended, 0.0))
        return rows

    async def worker_call(self, function: str, argument: Any) -> list[asyncpg.Record]:
        """Call a function of the worker's, which sees what `worker` does: one message, one commit.

        Raises what `call` raises.
        """
        return await self._call(self._worker, function, argument)

    async def _call(self, pool: asyncpg.Pool, function: str, argument: Any) -> list[asyncpg.Record]:
        self.counters.statements += 1
        timings.add_statement()
        try:
            rows: list[asyncpg.Record] = await pool.fetch(f"SELECT * FROM {function}($1)", argument)
        except asyncpg.DataError:
            raise
        except _AWAY as lost:
            raise DatabaseUnavailable from lost
        self.counters.commits += 1
        return rows

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Session]:
        """A transaction that sees names and due times of all tenants, and no payload."""
        async with self._transaction(self._worker, "BEGIN") as session:
            yield session

    @asynccontextmanager
    async def door(self) -> AsyncIterator[Session]:
        """A transaction that reads the directory."""
        async with self._transaction(self._door, "BEGIN") as session:
            yield session

    @asynccontextmanager
    async def _transaction(self, pool: asyncpg.Pool, begin: str) -> AsyncIterator[Session]:
        try:
            async with pool.acquire() as connection:
                try:
                    # Inside, as a BEGIN that was cancelled may have begun.
                    await connection.execute(begin)
                    yield Session(connection, self.counters)
                except BaseException:
                    if not connection.is_closed():
                        await connection.execute("ROLLBACK")
                    raise
                began = time.perf_counter()
                await connection.execute("COMMIT")
                timings.add_commit(time.perf_counter() - began)
        except asyncpg.DataError:
            raise  # a value that does not fit its parameter: a defect, though an InterfaceError
        except _AWAY as lost:
            raise DatabaseUnavailable from lost
        self.counters.commits += 1

    async def tenant_ids(self) -> Sequence[uuid.UUID]:
        """Every tenant of this installation, oldest first."""
        async with self.worker() as session:
            rows = await session.fetch("SELECT id FROM tenant ORDER BY id")
        return [row["id"] for row in rows]


async def _open_pool(
    url: str, *, role: str, size: int, settings: Mapping[str, str] = _NO_SETTINGS
) -> asyncpg.Pool:
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=_prepare,
        reset=_reset,
        statement_cache_size=_STATEMENT_CACHE,
        max_inactive_connection_lifetime=0,
        command_timeout=_STATEMENT_TIMEOUT_MS / 1000,
        server_settings={
            "role": role,
            "application_name": role,
            "jit": "off",
            # Our statements are few and kept: planning each anew costs more than it finds.
            "plan_cache_mode": "force_generic_plan",
            "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
            # A process that is frozen inside a transaction loses it, and its locks with it.
            "idle_in_transaction_session_timeout": str(_IDLE_TIMEOUT_MS),
            "timezone": "UTC",
            **settings,
        },
    )
