"""Does each tenant get its own plugins and settings, and nobody a secret in clear?"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from payengine.clock import FixedClock
from payengine.context import TenantContext
from payengine.errors import (
    Conflict,
    PermissionDenied,
    PluginIncompatible,
    PluginNotEnabled,
    PluginNotFound,
    PluginSettingsInvalid,
    SensitiveDataRefused,
)
from payengine.plugin import PluginSettings, Refund, WebhookRefused, WebhookRequest
from payengine.registry import PluginState, Registry
from payengine.registry.tenant_settings import TenantSettings
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.core.registry.gateways import (
    GoodGateway,
    GoodSettings,
    PluginOf,
    authorize_request,
)

SECRET = "sk_test_51HqLyjWDarjtT1zdp7dcXyZ"
AT = datetime(2027, 3, 1, 12, tzinfo=UTC)


class Fussy(PluginSettings, frozen=True, kw_only=True):
    """Settings whose own check fails in an unforeseen way."""

    ratio: int = 1

    def __post_init__(self) -> None:
        _ = 100 // self.ratio


@dataclasses.dataclass
class House:
    """A registry with a plugin that needs a key and a toy that is for test worlds only."""

    registry: Registry
    keyed: GoodGateway
    database: Database
    vault: Vault

    def another_process(self) -> Registry:
        """The same plugins with nothing remembered."""
        return made_registry(self.database, self.vault, self.keyed)


def made_registry(database: Database, vault: Vault, keyed: GoodGateway) -> Registry:
    toy = GoodGateway("toy", test_worlds_only=True, enabled_by_default_in_test=True)
    extra = {
        "keyed": PluginOf(keyed),
        "toy": PluginOf(toy),
        "fussy": PluginOf(GoodGateway("fussy", settings=Fussy)),
        "broken": object(),
    }
    return Registry.load(database, vault, clock=FixedClock(AT), extra=extra, discover=False)


@pytest.fixture
def house(database: Database, servers: Any) -> House:
    vault = Vault(MasterKey(servers.home / "master.key", may_create=True))
    keyed = GoodGateway("keyed", settings=GoodSettings)
    return House(made_registry(database, vault, keyed), keyed, database, vault)


async def enabled(registry: Registry, context: TenantContext) -> list[str]:
    return [gateway.name for gateway in await registry.for_tenant(context)]


async def state_of(registry: Registry, context: TenantContext, plugin: str) -> PluginState:
    return next(one for one in await registry.describe(context) if one.info.name == plugin)


async def save_key(house: House, context: TenantContext, **fields: Any) -> PluginState:
    return await house.registry.save_settings(
        context, "keyed", enabled=True, settings={"api_key": SECRET} | fields
    )


async def rows(house: House, context: TenantContext) -> list[dict[str, Any]]:
    async with house.database.tenant(context.tenant_id) as session:
        found = await session.fetch("SELECT * FROM plugin_setting")
    return [dict(row) for row in found]


def live(context: TenantContext) -> TenantContext:
    return dataclasses.replace(context, mode="live")


async def test_fresh_test_world_has_what_is_on_by_default(
    house: House, tenant: TenantContext
) -> None:
    assert await enabled(house.registry, tenant) == ["toy"]
    assert await rows(house, tenant) == []


async def test_fresh_live_world_has_nothing(house: House, tenant: TenantContext) -> None:
    assert await enabled(house.registry, live(tenant)) == []


async def test_test_plugin_can_never_be_enabled_in_a_live_world(
    house: House, tenant: TenantContext
) -> None:
    with pytest.raises(PluginNotEnabled) as refused:
        await house.registry.save_settings(live(tenant), "toy", enabled=True)
    assert refused.value.path == ("enabled",)
    assert await rows(house, tenant) == []
    # Not even by a row that some other hand has written.
    await house.registry.save_settings(tenant, "toy", enabled=True)
    assert await enabled(house.another_process(), live(tenant)) == []
    answer = await house.another_process().call(
        live(tenant), "toy", "authorize", authorize_request(), deadline_ms=500
    )
    assert (answer.kind, answer.reason) == ("not_sent", "not_enabled")


async def test_saved_settings_reach_the_gateway_opened(house: House, tenant: TenantContext) -> None:
    await save_key(house, tenant, fee_bps=10)
    assert await enabled(house.registry, tenant) == ["keyed", "toy"]
    answer = await house.registry.call(
        tenant, "keyed", "authorize", authorize_request(), deadline_ms=500
    )
    assert answer.kind == "outcome"
    call = house.keyed.calls[-1]
    assert call.settings == GoodSettings(api_key=SECRET, fee_bps=10)
    assert (call.account, call.mode, call.deadline_ms) == (str(tenant.tenant_id), "test", 500)


async def test_secret_never_rests_or_shows_in_clear(house: House, tenant: TenantContext) -> None:
    state = await save_key(house, tenant)
    (row,) = await rows(house, tenant)
    assert SECRET not in repr(row)
    assert SECRET not in repr(state)
    assert SECRET not in json.dumps(row, default=str)
    assert row["secrets"]["api_key"].keys() == {"sealed", "last_four"}
    assert state.secrets == {"api_key": "dcXyZ"[-4:]}
    assert state.settings == {}
    assert row["updated_at"] == AT
    # Planted: the same look finds a secret that was stored as it is.
    async with house.database.tenant(tenant.tenant_id) as session:
        await session.execute("UPDATE plugin_setting SET settings = $1", {"api_key": SECRET})
    assert SECRET in repr(await rows(house, tenant))


async def test_short_secret_shows_nothing_of_itself(house: House, tenant: TenantContext) -> None:
    state = await save_key(house, tenant, api_key="hunter2")
    assert state.secrets == {"api_key": ""}


async def test_state_has_a_schema_that_a_form_can_be_made_from(
    house: House, tenant: TenantContext
) -> None:
    schema = (await state_of(house.registry, tenant, "keyed")).schema
    assert schema["required"] == ["api_key"]
    assert schema["properties"]["api_key"]["writeOnly"] is True
    assert schema["properties"]["fee_bps"] == {"type": "integer", "default": 290}


async def test_refused_plugin_is_described_and_cannot_be_saved(
    house: House, tenant: TenantContext
) -> None:
    state = await state_of(house.registry, tenant, "broken")
    assert (state.info.status, state.enabled, state.schema) == ("refused", False, {})
    with pytest.raises(PluginIncompatible):
        await house.registry.save_settings(tenant, "broken", enabled=True)
    with pytest.raises(PluginNotFound):
        await house.registry.save_settings(tenant, "absent", enabled=True)


async def test_omitted_secret_stays_and_plain_fields_are_replaced(
    house: House, tenant: TenantContext
) -> None:
    await save_key(house, tenant, fee_bps=10, region="us")
    state = await house.registry.save_settings(tenant, "keyed", settings={"fee_bps": 20})
    assert (state.version, state.enabled) == (2, True)
    assert state.settings == {"fee_bps": 20}
    gateway = (await house.registry.for_tenant(tenant))[0]
    assert gateway.settings == GoodSettings(api_key=SECRET, fee_bps=20)


async def test_null_forgets_a_secret_and_a_required_one_cannot_be_forgotten(
    house: House, tenant: TenantContext
) -> None:
    await save_key(house, tenant)
    with pytest.raises(PluginSettingsInvalid) as refused:
        await house.registry.save_settings(tenant, "keyed", settings={"api_key": None})
    assert refused.value.path == ("settings", "api_key")


async def test_disabling_keeps_the_settings(house: House, tenant: TenantContext) -> None:
    await save_key(house, tenant, fee_bps=10)
    state = await house.registry.save_settings(tenant, "keyed", enabled=False)
    assert (state.enabled, state.version, state.settings) == (False, 2, {"fee_bps": 10})
    assert await enabled(house.registry, tenant) == ["toy"]
    refused = await house.registry.call(
        tenant, "keyed", "authorize", authorize_request(), deadline_ms=500
    )
    assert (refused.kind, refused.reason) == ("not_sent", "not_enabled")
    # What was taken can still be given back.
    refund = Refund(key="k", provider_reference="ch_1", amount=authorize_request().amount)
    answer = await house.registry.call(tenant, "keyed", "refund", refund, deadline_ms=500)
    assert answer.kind == "outcome"


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, ("settings", "api_key")),
        ({"api_key": 7}, ("settings", "api_key")),
        ({"api_key": SECRET, "fee_bps": "much"}, ("settings", "fee_bps")),
        ({"api_key": SECRET, "fee_bps": 1.5}, ("settings", "fee_bps")),
        ({"api_key": SECRET, "fee_bps": True}, ("settings", "fee_bps")),
        ({"api_key": SECRET, "colour": "red"}, ("settings", "colour")),
        ({"api_key": SECRET, "region": None}, ("settings", "region")),
        ({"api_key": SECRET, "region": "a\x00b"}, ("settings",)),
        ({"api_key": SECRET, "region": "\ud800"}, ("settings",)),
        ({"api_key": SECRET, "region": "x" * 70_000}, ("settings",)),
        ({"api_key": object()}, ("settings",)),
    ],
)
async def test_invalid_settings_name_the_field_and_change_nothing(
    house: House, tenant: TenantContext, settings: dict[str, Any], path: tuple[str, ...]
) -> None:
    with pytest.raises(PluginSettingsInvalid) as refused:
        await house.registry.save_settings(tenant, "keyed", enabled=True, settings=settings)
    assert refused.value.path == path
    assert SECRET not in refused.value.message
    assert await rows(house, tenant) == []
    await save_key(house, tenant)
    before = await rows(house, tenant)
    if path != ("settings", "api_key"):
        with pytest.raises(PluginSettingsInvalid):
            await house.registry.save_settings(tenant, "keyed", settings=settings)
    assert await rows(house, tenant) == before


async def test_plugins_own_check_cannot_harm(house: House, tenant: TenantContext) -> None:
    with pytest.raises(PluginSettingsInvalid, match="ZeroDivisionError"):
        await house.registry.save_settings(tenant, "fussy", settings={"ratio": 0})


async def test_card_number_in_settings_is_refused(house: House, tenant: TenantContext) -> None:
    with pytest.raises(SensitiveDataRefused) as refused:
        await save_key(house, tenant, region="4242 4242 4242 4242")
    assert refused.value.path == ("settings", "region")
    assert await rows(house, tenant) == []


async def test_other_tenant_is_unaffected(
    house: House, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    await enabled(house.registry, other_tenant)
    await save_key(house, tenant)
    assert await enabled(house.registry, other_tenant) == ["toy"]
    state = await state_of(house.registry, other_tenant, "keyed")
    assert (state.enabled, state.version, state.secrets) == (False, 0, {})
    answer = await house.registry.call(
        other_tenant, "keyed", "authorize", authorize_request(), deadline_ms=500
    )
    assert (answer.kind, answer.reason) == ("not_sent", "settings_unavailable")
    assert house.keyed.calls == []


async def test_secret_of_another_tenant_does_not_open(
    house: House, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    await save_key(house, tenant)
    await save_key(house, other_tenant)
    (stolen,) = await rows(house, tenant)
    async with house.database.tenant(other_tenant.tenant_id) as session:
        await session.execute("UPDATE plugin_setting SET secrets = $1", stolen["secrets"])
    assert await enabled(house.another_process(), other_tenant) == ["toy"]


async def test_two_saves_at_once_have_one_winner(house: House, tenant: TenantContext) -> None:
    results = await asyncio.gather(
        *(save_key(house, tenant, fee_bps=fee) for fee in range(8)), return_exceptions=True
    )
    won = [result for result in results if isinstance(result, PluginState)]
    lost = [result for result in results if isinstance(result, Conflict)]
    assert len(won) + len(lost) == 8
    (row,) = await rows(house, tenant)
    assert row["version"] == len(won)


async def test_opened_settings_are_read_once_and_forgotten_in_time(
    house: House, tenant: TenantContext
) -> None:
    watch = [0.0]
    settings = TenantSettings(
        house.database,
        house.vault,
        plugins=house.registry.installed,
        clock=FixedClock(AT),
        seconds=lambda: watch[0],
    )
    counters = house.database.counters
    before = counters.commits
    await asyncio.gather(*(settings.opened(tenant) for _ in range(20)))
    assert counters.commits == before + 1
    # Another process saves; this one sees it once its minute is over.
    await house.registry.save_settings(tenant, "toy", enabled=False)
    watch[0] = 59.9
    assert (await settings.opened(tenant))["toy"].enabled
    watch[0] = 60.0
    assert not (await settings.opened(tenant))["toy"].enabled


async def test_own_save_is_seen_at_once_even_by_a_read_under_way(
    house: House, tenant: TenantContext
) -> None:
    reading = asyncio.create_task(house.registry.for_tenant(tenant))
    await asyncio.sleep(0)
    await house.registry.save_settings(tenant, "toy", enabled=False)
    await reading
    assert await enabled(house.registry, tenant) == []


async def test_missing_master_key_fails_its_plugin_only(
    house: House, tenant: TenantContext, tmp_path: Path
) -> None:
    await save_key(house, tenant)
    sealed = Vault(MasterKey(tmp_path / "absent.key", may_create=False))
    registry = made_registry(house.database, sealed, house.keyed)
    assert await enabled(registry, tenant) == ["toy"]
    answer = await registry.call(tenant, "keyed", "authorize", authorize_request(), deadline_ms=500)
    assert (answer.kind, answer.reason) == ("not_sent", "settings_unavailable")


async def test_unknown_gateway_is_proof_that_nothing_was_sent(
    house: House, tenant: TenantContext
) -> None:
    answer = await house.registry.call(
        tenant, "absent", "authorize", authorize_request(), deadline_ms=500
    )
    assert (answer.kind, answer.reason) == ("not_sent", "not_installed")


async def test_webhook_that_the_plugin_refuses_is_refused(
    house: House, tenant: TenantContext
) -> None:
    request = WebhookRequest(headers={}, body=b"{}", received_at=AT)
    with pytest.raises(WebhookRefused):
        await house.registry.parse_webhook(tenant, "toy", request)


async def test_scopes_are_needed_to_see_and_to_save(house: House, tenant: TenantContext) -> None:
    bare = dataclasses.replace(tenant, scopes=frozenset({"payments:write"}))
    with pytest.raises(PermissionDenied):
        await house.registry.describe(bare)
    with pytest.raises(PermissionDenied):
        await house.registry.save_settings(bare, "toy", enabled=False)
    assert await rows(house, tenant) == []
    assert await enabled(house.registry, bare) == ["toy"]
