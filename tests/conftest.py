"""What every test may use: real servers, a migrated database and tenants of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from payengine.context import SCOPES, Mode, TenantContext
from payengine.fraud import evaluation
from payengine.ids import new_tenant_id
from payengine.storage import Database

from tests.servers import forget_the_dead, migrated_home

# How quick a machine is says nothing of the code; and a change is not refused for what another
# one brought in and a lucky draw finds today: the long campaigns draw anew.
settings.register_profile(
    "house",
    deadline=None,
    derandomize=not os.environ.get("PAYENGINE_NIGHTLY"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


@dataclass(frozen=True)
class Servers:
    """Where the session's servers are."""

    home: Path
    owner_url: str
    login_url: str
    redis_url: str | None


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """PostgreSQL and Valkey for the whole session, migrated."""
    await forget_the_dead()
    async with migrated_home() as running:
        os.environ["PAYENGINE_HOME"] = str(running.home)
        yield Servers(running.home, running.owner_url, running.login_url, running.redis_url)


@pytest.fixture(scope="session", autouse=True)
def _calm_rules() -> Iterator[None]:
    """A busy machine takes the processor away from a fraud rule for longer than a rule may take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_WALL_MS", 2_000.0)
        patch.setattr(evaluation, "_ALL_MS", 2_000.0)
        yield


@pytest.fixture(scope="session")
async def database(servers: Servers) -> AsyncIterator[Database]:
    """The engine's database."""
    opened = await Database.open(servers.login_url)
    yield opened
    await opened.close()


async def make_tenant(database: Database, *, mode: Mode = "test") -> TenantContext:
    """A tenant with no plugin settings and an actor that has every scope."""
    tenant_id: uuid.UUID = new_tenant_id()
    async with database.tenant(tenant_id) as session:
        await session.execute(
            "INSERT INTO tenant (id, name, mode, organisation, created_at)"
            " VALUES ($1, 'a test', $2, 'a test', $3)",
            tenant_id,
            mode,
            datetime.now(UTC),
        )
    return TenantContext(tenant_id, mode, "test", frozenset(SCOPES))


@pytest.fixture
async def tenant(database: Database) -> TenantContext:
    """A fresh tenant for one test."""
    return await make_tenant(database)


@pytest.fixture
async def other_tenant(database: Database) -> TenantContext:
    """Another tenant, whose rows must stay out of sight."""
    return await make_tenant(database)
