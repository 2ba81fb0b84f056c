"""Which shape has the database?

Alembic runs the numbered migrations, which are shipped inside the installed program too. They run
as the owner, who is bound by row-level security like everybody else.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg

from payengine.errors import EnvironmentProblem

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

__all__ = ["migrate"]

# Alembic and SQLAlchemy are imported where something is to be migrated: a start is quicker.

_LOCK = 7_302_013_224  # an arbitrary constant that names this lock among advisory locks


def _scripts() -> Path:
    shipped = Path(__file__).parents[1] / "_migrations"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "migrations"


def _configuration(login_role: str) -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    configuration.attributes["login_role"] = login_role
    return configuration


def _upgrade(connection: Connection, login_role: str) -> None:
    from alembic import command

    configuration = _configuration(login_role)
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")


async def _is_current(owner_url: str) -> bool:
    newest = max(path.name.split("_")[0] for path in (_scripts() / "versions").glob("[0-9]*.py"))
    connection = await asyncpg.connect(owner_url)
    try:
        if not await connection.fetchval(
            "SELECT to_regclass('public.alembic_version') IS NOT NULL"
        ):
            return False
        return bool(await connection.fetchval("SELECT version_num FROM alembic_version") == newest)
    finally:
        await connection.close()


async def migrate(*, owner_url: str, login_url: str) -> None:
    """Bring the database to the newest shape and keep the epoch honest; safe to call at any time.

    Raises `EnvironmentProblem` where the server is older than PostgreSQL 15 or refuses.
    """
    try:
        if not await _is_current(owner_url):
            await _run(owner_url, login_role=urlsplit(login_url).username or "payengine_login")
        await _keep_epoch(owner_url)
    except (OSError, asyncpg.PostgresError) as refused:
        raise _explained(refused) from None


def _explained(cause: BaseException) -> EnvironmentProblem:
    """What an operator can do about it; the URL, which may hold a password, is not repeated."""
    if getattr(cause, "sqlstate", None) == asyncpg.InsufficientPrivilegeError.sqlstate:
        return EnvironmentProblem(
            f"The database's owner role lacks a privilege: {cause}. Migrations need a role that "
            "owns the database and has CREATEROLE; name it in PAYENGINE_MIGRATION_URL."
        )
    return EnvironmentProblem(
        f"The database cannot be used: {cause}. Check PAYENGINE_DATABASE_URL and "
        "PAYENGINE_MIGRATION_URL, and that the server runs."
    )


async def _run(owner_url: str, *, login_role: str) -> None:
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine

    lock = await asyncpg.connect(owner_url)
    try:
        if lock.get_server_version().major < 15:
            raise EnvironmentProblem("PostgreSQL 15 or newer is needed.")
        await lock.execute("SELECT pg_advisory_lock($1)", _LOCK)
        engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(owner_url)
        )
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_upgrade, login_role)
                await connection.commit()
        except DBAPIError as refused:
            driver = refused.orig  # SQLAlchemy's wrapping of what asyncpg raised
            raise _explained((driver and driver.__cause__) or refused) from None
        finally:
            await engine.dispose()
    finally:
        await asyncio.shield(lock.close())


async def _keep_epoch(owner_url: str) -> None:
    """A database that was restored elsewhere begins a new epoch, so old cursors are told."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(
            """
            INSERT INTO installation AS kept (id, fingerprint, epoch)
            SELECT 1,
                   system_identifier || ':' || timeline_id || ':' || oid,
                   (extract(epoch FROM clock_timestamp()) * 1000)::bigint
            FROM pg_control_system(), pg_control_checkpoint(), pg_database
            WHERE datname = current_database()
            ON CONFLICT (id) DO UPDATE
            SET fingerprint = excluded.fingerprint, epoch = excluded.epoch
            WHERE kept.fingerprint <> excluded.fingerprint
            """
        )
    finally:
        await connection.close()
