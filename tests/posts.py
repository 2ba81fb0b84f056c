"""From where do the webhooks of these tests leave?

On a PostgreSQL of their own: no other test's pump may send what these tests queue.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.events import EventLog, NewEvent, publish_batch
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.settings import Settings
from payengine.storage import Database
from payengine.vault import Vault
from payengine.webhooks import Addresses, Means, Resolver, Sender, Webhooks
from payengine.webhooks.models import (
    Attempt,
    CreateEndpoint,
    Delivery,
    DeliveryFilter,
    Endpoint,
)

from tests.conftest import Servers, make_tenant
from tests.engines import ShiftedClock, key
from tests.servers import HomeOfTest, migrated_home

__all__ = ["Post", "open_post", "post", "webhook_home"]


@dataclass
class Post:
    """One process's webhooks, and one tenant's."""

    webhooks: Webhooks
    means: Means
    context: TenantContext
    home: HomeOfTest
    secrets: dict[str, str] = field(default_factory=dict)
    tenants: list[TenantContext] = field(default_factory=list)

    async def neighbour(self) -> Post:
        """The same process, a new tenant."""
        self.tenants.append(await make_tenant(self.means.database))
        return self.of(self.tenants[-1])

    def of(self, context: TenantContext) -> Post:
        """The same process, a tenant that somebody else made."""
        return Post(self.webhooks, self.means, context, self.home, tenants=self.tenants)

    async def add(self, url: str, *event_types: str, **given: Any) -> Endpoint:
        """A new endpoint; its secret is kept in `secrets`."""
        request = CreateEndpoint(
            **({"idempotency_key": key(), "url": url, "event_types": event_types} | given)
        )
        endpoint, secret = await self.webhooks.endpoints.create(self.context, request)
        assert secret is not None
        self.secrets[endpoint.id] = secret
        return endpoint

    async def happen(self, *types: str, at: datetime | None = None) -> list[str]:
        """Events of these types, in places behind each other; their ids."""
        ids = []
        async with self.means.database.tenant(self.context.tenant_id) as session:
            for each in types:
                event = NewEvent(
                    id=new_id("evt"),
                    type=each,
                    data={"status": "CAPTURED", "version": 2},
                    occurred_at=at or datetime.now(UTC),
                    payment_id="pay_1",
                )
                await insert_event(session, self.context.tenant_id, event)
                ids.append(event.id)
        await self.place()
        return ids

    async def place(self) -> None:
        """Give every event its place."""
        while await publish_batch(self.means.database) != {}:
            pass

    async def run(self, *, later: timedelta = timedelta()) -> int:
        """Let the pump work once, `later` than now, to its end; how many lanes it began."""
        begun = await self.webhooks.pump.run_once(at=datetime.now(UTC) + later)
        await self.webhooks.pump.idle()
        return begun

    async def endpoint(self, endpoint_id: str) -> Endpoint:
        """The endpoint as it stands."""
        return (await self.webhooks.endpoints.get_many(self.context, [endpoint_id]))[endpoint_id]

    async def deliveries(self, endpoint_id: str) -> list[Delivery]:
        """The log of the endpoint, the oldest first."""
        wanted = DeliveryFilter(endpoint_id=endpoint_id)
        return (await self.webhooks.log.page(self.context, wanted, first=1_000))[::-1]

    async def attempts(self, delivery: Delivery) -> list[Attempt]:
        """The attempts of a delivery."""
        found = await self.webhooks.log.attempts_of(self.context, [delivery.id])
        return found.get(delivery.id, [])


@asynccontextmanager
async def open_post(
    home: HomeOfTest,
    *,
    clock: Clock | None = None,
    allow_private: bool = True,
    resolver: Resolver | None = None,
    total_s: float = 30.0,
) -> AsyncIterator[Post]:
    """What one process has, with a fresh tenant; nothing runs by itself."""
    database = await Database.open(home.login_url)
    try:
        means = Means(
            database=database,
            vault=Vault.from_settings(Settings(home=home.home)),
            clock=clock or ShiftedClock(),
            log=await EventLog.open(database),
            sender=Sender(
                Addresses(allow_private=allow_private, resolver=resolver),
                connect_s=30.0,
                total_s=total_s,
            ),
            nudge=lambda: None,
            chance=random.Random(7),
        )
        webhooks = Webhooks.of(means)
        tenant = await make_tenant(database)
        opened = Post(webhooks, means, tenant, home, tenants=[tenant])
        try:
            yield opened
        finally:
            await webhooks.pump.close()
            await _forget(opened)
    finally:
        await database.close()


async def _forget(post: Post) -> None:
    """The pumps of later tests have nothing to do with these endpoints."""
    for tenant in post.tenants:
        async with post.means.database.tenant(tenant.tenant_id) as session:
            await session.execute(
                "UPDATE webhook_endpoint SET status = 'deleted' WHERE tenant_id = $1",
                tenant.tenant_id,
            )


@pytest.fixture(scope="session")
async def webhook_home(servers: Servers) -> AsyncIterator[HomeOfTest]:
    """A migrated PostgreSQL for webhooks alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture
async def post(webhook_home: HomeOfTest) -> AsyncIterator[Post]:
    """A process that may send to this machine, and a fresh tenant."""
    async with open_post(webhook_home) as opened:
        yield opened
