"""Outbound webhooks keep tenants apart on their own too, were the policies gone.

Each test runs twice, as in `test_isolation_services`: as installed, and with a further policy on
every table that lets all rows through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.webhooks.models import (
    DeleteEndpoint,
    DeliveryFilter,
    DisableEndpoint,
    EnableEndpoint,
    Redeliver,
    RotateSecret,
    SendTest,
    UpdateEndpoint,
)

from tests.acceptance.test_isolation_services import refusal
from tests.acceptance.worlds import read_tables
from tests.engines import key
from tests.posts import Post, open_post
from tests.receivers import Receiver, receiving
from tests.servers import HomeOfTest, migrated_home


@dataclass(frozen=True)
class Made:
    """What one tenant has; every id is a text."""

    endpoint: str
    delivery: str
    redelivery: str
    event: str


@pytest.fixture(scope="module")
async def own_home(servers: Any) -> AsyncIterator[HomeOfTest]:
    """Servers for this pump alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


@pytest.fixture(params=["with policies", "without policies"])
async def layer(request: pytest.FixtureRequest, own_home: HomeOfTest) -> AsyncIterator[str]:
    """Whether the policies hold or let everything through."""
    connection = await asyncpg.connect(own_home.owner_url)
    tables = [table.name for table in await read_tables(connection)]
    try:
        for table in tables if request.param == "without policies" else ():
            await connection.execute(f"CREATE POLICY opened ON {table} USING (true)")
        yield request.param
    finally:
        for table in tables:
            await connection.execute(f"DROP POLICY IF EXISTS opened ON {table}")
        await connection.close()


async def make(post: Post, receiver: Receiver) -> Made:
    """An endpoint that was told of an event, and a redelivery of it."""
    endpoint = await post.add(receiver.url, description="mine")
    (event_id,) = await post.happen("payment.created")
    await post.run()
    request = Redeliver(idempotency_key=key(), endpoint_id=endpoint.id, event_id=event_id)
    redelivery = await post.webhooks.by_hand.redeliver(post.context, request)
    await post.run()
    (delivery,) = await post.deliveries(endpoint.id)
    return Made(endpoint.id, delivery.id, redelivery.id, event_id)


async def read_all(post: Post, made: Made) -> dict[str, str]:
    """Everything that the tenant sees."""
    return {
        "endpoints": repr(await post.webhooks.endpoints.page(post.context, first=50)),
        **{kind: repr(await read) for kind, read in reads(post, post.context, made).items()},
    }


def reads(post: Post, context: TenantContext, made: Made) -> dict[str, Awaitable[Any]]:
    """Every read that takes ids."""
    endpoints, log = post.webhooks.endpoints, post.webhooks.log
    return {
        "endpoint": endpoints.get_many(context, [made.endpoint]),
        "secrets": endpoints.secrets_of(context, [made.endpoint]),
        "deliveries": log.page(context, DeliveryFilter(endpoint_id=made.endpoint), first=5),
        "delivery": log.get_many(context, [made.delivery]),
        "attempts": log.attempts_of(context, [made.delivery]),
        "redelivery": log.redeliveries(context, [made.redelivery]),
    }


def writes(post: Post, made: Made, *, own: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Every mutation that takes an id; `own` is an endpoint of the one who asks."""
    endpoints, by_hand, context = post.webhooks.endpoints, post.webhooks.by_hand, post.context
    now = datetime.now(UTC)
    return {
        "update": lambda: endpoints.update(
            context,
            UpdateEndpoint(idempotency_key=key(), endpoint_id=made.endpoint, description="x"),
        ),
        "enable": lambda: endpoints.enable(
            context, EnableEndpoint(idempotency_key=key(), endpoint_id=made.endpoint, resume="now")
        ),
        "disable": lambda: endpoints.disable(
            context, DisableEndpoint(idempotency_key=key(), endpoint_id=made.endpoint)
        ),
        "delete": lambda: endpoints.delete(
            context, DeleteEndpoint(idempotency_key=key(), endpoint_id=made.endpoint)
        ),
        "rotate": lambda: endpoints.rotate(
            context, RotateSecret(idempotency_key=key(), endpoint_id=made.endpoint)
        ),
        "test": lambda: by_hand.send_test(
            context, SendTest(idempotency_key=key(), endpoint_id=made.endpoint)
        ),
        "redeliver to theirs": lambda: by_hand.redeliver(
            context, Redeliver(idempotency_key=key(), endpoint_id=made.endpoint, since=now)
        ),
        "redeliver theirs": lambda: by_hand.redeliver(
            context, Redeliver(idempotency_key=key(), endpoint_id=own, event_id=made.event)
        ),
    }


async def test_nothing_of_another_tenants_webhooks_is_read_changed_or_sent(
    own_home: HomeOfTest, layer: str
) -> None:
    with receiving() as here, receiving() as there:
        async with open_post(own_home) as mine:
            theirs = await mine.neighbour()
            my_own, their_own = await make(mine, here), await make(theirs, there)
            assert here.ids == [my_own.event] * 2
            assert there.ids == [their_own.event] * 2
            before = await read_all(theirs, their_own)
            for kind, read in reads(mine, mine.context, their_own).items():
                assert not await read, kind
            for kind, read in reads(mine, mine.context, my_own).items():
                assert await read, kind
            nothing = Made(new_id("whe"), new_id("whd"), new_id("whr"), new_id("evt"))
            attempts = writes(mine, their_own, own=my_own.endpoint)
            controls = writes(mine, nothing, own=my_own.endpoint)
            for kind, attempt in attempts.items():
                refused = await refusal(attempt)
                assert refused[0] == "NotFound", (kind, refused)
                assert refused == await refusal(controls[kind]), kind
            await mine.run()
            assert await read_all(theirs, their_own) == before
            assert len(here.got) == len(there.got) == 2, "nothing more was sent to anybody"
