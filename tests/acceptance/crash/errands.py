"""What else does the program have to do, so that every room is at work?

The provider's webhooks find their way in, two shops ask to be told of what happens, and jobs are
put into the queue.
"""

from __future__ import annotations

from datetime import UTC, datetime

from payengine.jobs import HOUSE, enqueue
from payengine.storage import Database

from tests.acceptance.crash.client import Client
from tests.acceptance.crash.post import TOLD_TYPES
from tests.acceptance.crash.world import World

__all__ = ["ask_for_a_job", "prepare"]

_TOLD_SHOPS = 2
_JOB = "queue.tidy"
_JOBS = 4

_IN = """
    mutation ($input: CreateGatewayEndpointInput!) {
        createGatewayEndpoint(input: $input) { path errors { code message } }
    }
"""
_OUT = """
    mutation ($input: CreateWebhookEndpointInput!) {
        createWebhookEndpoint(input: $input) { webhookEndpoint { id } errors { code message } }
    }
"""


async def prepare(world: World, client: Client) -> None:
    """Give every shop an address for the provider's webhooks, and some an endpoint of their own."""
    for place, shop in enumerate(world.shops):
        data = await client.once(
            shop.api_key, _IN, input={"idempotencyKey": "in", "gateway": "sandbox"}
        )
        made = data["createGatewayEndpoint"]
        assert made["errors"] == [], made
        world.post.paths[shop.tenant_id] = made["path"]
        if place < _TOLD_SHOPS:
            given = {
                "idempotencyKey": "out",
                "url": f"{world.post_url}/shop/{shop.tenant_id}",
                "eventTypes": list(TOLD_TYPES),
            }
            data = await client.once(shop.api_key, _OUT, input=given)
            assert data["createWebhookEndpoint"]["errors"] == [], data
            world.told_shops.append(shop)


async def ask_for_a_job(world: World) -> None:
    """Put a few harmless jobs into the queue, as a room would."""
    database = await Database.open(world.login_url, pool_size=1)
    try:
        async with database.worker() as session:
            for _ in range(_JOBS):
                now = datetime.now(UTC)
                await enqueue(session, HOUSE, kind=_JOB, row_id=now.isoformat(), due_at=now)
    finally:
        await database.close()
