"""Does an address find its tenant, and nobody else's?"""

from __future__ import annotations

import asyncio

import pytest
from payengine.context import SCOPES, TenantContext
from payengine.errors import (
    Conflict,
    InputInvalid,
    NotFound,
    PermissionDenied,
    PluginNotEnabled,
    PluginNotFound,
    WebhookEndpointUnknown,
)
from payengine.payments.inbound import GatewayEndpoints

from tests.conftest import make_tenant
from tests.engines import Shop


def _secret(path: str) -> str:
    return path.rpartition("/")[2]


async def test_an_address_leads_to_its_tenant_and_gateway(shop: Shop) -> None:
    endpoints = shop.engine.inbound.endpoints
    row, path = await endpoints.create(shop.context, "sandbox")
    assert path.startswith("/api/webhooks/sandbox/")
    assert row.last_four == path[-4:]
    found = await endpoints.resolve("sandbox", _secret(path))
    assert (found.id, found.gateway, found.plugin) == (row.id, "sandbox", "sandbox")
    assert found.context.tenant_id == shop.context.tenant_id
    assert found.context.mode == shop.context.mode
    assert found.context.scopes == frozenset()


async def test_the_address_rests_as_a_hash_only(shop: Shop) -> None:
    _, path = await shop.engine.inbound.endpoints.create(shop.context, "sandbox")
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT row_to_json(e)::text AS all FROM gateway_endpoint e WHERE tenant_id = $1"
            " UNION ALL SELECT row_to_json(d)::text FROM directory d WHERE tenant_id = $1",
            shop.context.tenant_id,
        )
    assert len(rows) == 2
    assert not [row for row in rows if _secret(path) in row["all"]]


@pytest.mark.parametrize(
    "secret", ["", "short", "x" * 43, "x" * 5_000, "né" * 20, "a/b", "%00", "\x00" * 43]
)
async def test_an_address_that_nobody_has_is_unknown(shop: Shop, secret: str) -> None:
    with pytest.raises(WebhookEndpointUnknown):
        await shop.engine.inbound.endpoints.resolve("sandbox", secret)


async def test_an_address_belongs_to_its_plugin(shop: Shop) -> None:
    endpoints = shop.engine.inbound.endpoints
    _, path = await endpoints.create(shop.context, "sandbox")
    for _ in range(2):  # read, and remembered
        with pytest.raises(WebhookEndpointUnknown):
            await endpoints.resolve("other", _secret(path))
        await endpoints.resolve("sandbox", _secret(path))


async def test_two_addresses_live_side_by_side_and_no_third(shop: Shop) -> None:
    endpoints = shop.engine.inbound.endpoints
    one, first = await endpoints.create(shop.context, "sandbox")
    two, second = await endpoints.create(shop.context, "sandbox")
    assert {one.slot, two.slot} == {1, 2}
    with pytest.raises(Conflict):
        await endpoints.create(shop.context, "sandbox")
    await endpoints.revoke(shop.context, one.id)
    with pytest.raises(WebhookEndpointUnknown):
        await endpoints.resolve("sandbox", _secret(first))
    assert (await endpoints.resolve("sandbox", _secret(second))).id == two.id
    three, _ = await endpoints.create(shop.context, "sandbox")
    assert three.slot == 1


async def test_ten_who_ask_at_once_get_two_addresses(shop: Shop) -> None:
    endpoints = shop.engine.inbound.endpoints
    made = await asyncio.gather(
        *(endpoints.create(shop.context, "sandbox") for _ in range(10)), return_exceptions=True
    )
    assert len([each for each in made if isinstance(each, tuple)]) == 2
    assert len([each for each in made if isinstance(each, Conflict)]) == 8


async def test_a_revocation_is_for_ever_and_may_be_repeated(shop: Shop) -> None:
    endpoints = shop.engine.inbound.endpoints
    row, path = await endpoints.create(shop.context, "sandbox")
    revoked = await endpoints.revoke(shop.context, row.id)
    assert (await endpoints.revoke(shop.context, row.id)).revoked_at == revoked.revoked_at
    fresh = GatewayEndpoints(
        database=shop.engine.database, registry=shop.engine.registry, clock=shop.engine.clock
    )
    with pytest.raises(WebhookEndpointUnknown):
        await fresh.resolve("sandbox", _secret(path))


async def test_another_tenants_address_cannot_be_seen_or_revoked(
    shop: Shop, other_shop: Shop
) -> None:
    endpoints = shop.engine.inbound.endpoints
    row, path = await endpoints.create(other_shop.context, "sandbox")
    with pytest.raises(NotFound):
        await endpoints.revoke(shop.context, row.id)
    assert await endpoints.page(shop.context, first=10) == []
    assert await endpoints.get_many(shop.context, [row.id]) == {}
    await endpoints.resolve("sandbox", _secret(path))


async def test_pages_go_from_the_newest_on(shop: Shop) -> None:
    endpoints = shop.engine.inbound.endpoints
    ids = []
    for _ in range(4):
        row, _ = await endpoints.create(shop.context, "sandbox")
        await endpoints.revoke(shop.context, row.id)
        ids.append(row.id)
    first = [row.id for row in await endpoints.page(shop.context, first=2)]
    assert first == ids[:0:-1]
    assert [row.id for row in await endpoints.page(shop.context, first=2, after=first[1])] == [
        ids[1],
        ids[0],
    ]


async def test_what_takes_no_webhooks_gets_no_address(shop: Shop) -> None:
    endpoints = shop.engine.inbound.endpoints
    with pytest.raises(PluginNotFound):
        await endpoints.create(shop.context, "nobody")
    live = await make_tenant(shop.engine.database, mode="live")
    with pytest.raises(PluginNotEnabled):
        await endpoints.create(live, "sandbox")


async def test_a_gateway_that_sends_none_gets_no_address(crier_shop: Shop) -> None:
    with pytest.raises(InputInvalid):
        await crier_shop.engine.inbound.endpoints.create(crier_shop.context, "mute")


async def test_addresses_need_their_scopes(shop: Shop) -> None:
    context = shop.context
    nobody = TenantContext(
        context.tenant_id, "test", "x", frozenset(SCOPES) - {"plugins:write", "plugins:read"}
    )
    endpoints = shop.engine.inbound.endpoints
    row, _ = await endpoints.create(context, "sandbox")
    with pytest.raises(PermissionDenied):
        await endpoints.create(nobody, "sandbox")
    with pytest.raises(PermissionDenied):
        await endpoints.revoke(nobody, row.id)
    with pytest.raises(PermissionDenied):
        await endpoints.page(nobody, first=1)
