"""A queue of its own: no other test's workers take what these tests enqueue."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from payengine.context import TenantContext
from payengine.storage import Database

from tests.conftest import Servers, make_tenant
from tests.servers import HomeOfTest, migrated_home


@pytest.fixture(scope="session")
async def job_home(servers: Servers) -> AsyncIterator[HomeOfTest]:
    """A migrated PostgreSQL for jobs alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(scope="session")
async def job_pools(job_home: HomeOfTest) -> AsyncIterator[Database]:
    """Its connections, with room for handlers that write."""
    opened = await Database.open(job_home.login_url)
    yield opened
    await opened.close()


@pytest.fixture
async def queue(job_pools: Database) -> Database:
    """The database, its queue, log and calendar empty."""
    async with job_pools.worker() as session:
        for table in ("pgqueuer", "pgqueuer_log", "pgqueuer_statistics", "pgqueuer_schedules"):
            await session.execute(f"DELETE FROM {table}")
    return job_pools


@pytest.fixture
async def seller(queue: Database) -> TenantContext:
    """A tenant."""
    return await make_tenant(queue)


@pytest.fixture
async def other_seller(queue: Database) -> TenantContext:
    """Another tenant."""
    return await make_tenant(queue)
