"""Servers whose policies may be opened, so that it shows what the services alone keep apart."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.acceptance.worlds import read_tables
from tests.conftest import Servers
from tests.engines import Till, open_till
from tests.servers import HomeOfTest, migrated_home

__all__ = ["apart_home", "apart_till", "layer"]


@pytest.fixture(scope="session")
async def apart_home(servers: Servers) -> AsyncIterator[HomeOfTest]:
    """Servers for these tests alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(scope="session")
async def apart_till(apart_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine whose loops stand still."""
    async with open_till(apart_home) as till:
        yield till


@pytest.fixture(params=["with policies", "without policies"], scope="module")
async def layer(request: pytest.FixtureRequest, apart_home: HomeOfTest) -> AsyncIterator[str]:
    """Whether the policies hold or let everything through."""
    if request.param == "with policies":
        yield request.param
        return
    connection = await asyncpg.connect(apart_home.owner_url)
    tables = [table.name for table in await read_tables(connection)]
    try:
        await connection.execute(
            "; ".join(f"CREATE POLICY opened ON {table} USING (true)" for table in tables)
        )
        yield request.param
    finally:
        await connection.execute("; ".join(f"DROP POLICY opened ON {table}" for table in tables))
        await connection.close()
