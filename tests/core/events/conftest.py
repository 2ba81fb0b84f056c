"""A database of their own for the event tests: no other test's relay places what they write."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from payengine.context import TenantContext
from payengine.events import EventLog
from payengine.storage import Database

from tests.conftest import Servers, make_tenant
from tests.servers import HomeOfTest, migrated_home


@pytest.fixture(scope="session")
async def event_home(servers: Servers) -> AsyncIterator[HomeOfTest]:
    """A migrated PostgreSQL and a Valkey; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(scope="session")
async def event_database(event_home: HomeOfTest) -> AsyncIterator[Database]:
    """The database behind all event tests."""
    opened = await Database.open(event_home.login_url)
    yield opened
    await opened.close()


@pytest.fixture
async def log(event_database: Database) -> EventLog:
    """The log in the present epoch."""
    return await EventLog.open(event_database)


@pytest.fixture
async def seller(event_database: Database) -> TenantContext:
    """A fresh tenant."""
    return await make_tenant(event_database)


@pytest.fixture
async def other_seller(event_database: Database) -> TenantContext:
    """Another tenant."""
    return await make_tenant(event_database)
