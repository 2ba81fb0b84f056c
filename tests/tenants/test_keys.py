"""API keys: made, used, replaced and revoked, one tenant each."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from payengine.context import SCOPES, TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound, PermissionDenied, Unauthenticated
from payengine.ids import new_id
from payengine.storage import Database
from payengine_tenants import ApiKeys
from payengine_tenants.secret import hash_secret, new_secret


async def test_a_key_opens_its_tenant_with_its_scopes(
    database: Database, tenant: TenantContext
) -> None:
    key, secret = await ApiKeys(database).create(tenant, "shop", ["payments:read"])
    found = await ApiKeys(database).authenticate(secret)
    assert found == TenantContext(
        tenant.tenant_id, tenant.mode, key.id, frozenset({"payments:read"})
    )


async def test_only_the_hash_is_stored(database: Database, tenant: TenantContext) -> None:
    key, secret = await ApiKeys(database).create(tenant, "shop")
    async with database.tenant(tenant.tenant_id) as session:
        row = await session.fetchrow("SELECT * FROM api_key WHERE id = $1", key.id)
        entry = await session.fetchrow("SELECT * FROM directory WHERE subject_id = $1", key.id)
    assert row is not None
    assert entry is not None
    assert row["last_four"] == secret[-4:] == key.last_four
    assert entry["lookup_hash"] == hash_secret(secret)
    random_part = secret.rsplit("_", 1)[1]
    assert random_part not in f"{row}{entry}{key!r}"


async def test_unknown_and_broken_keys_are_refused_alike(
    database: Database, tenant: TenantContext
) -> None:
    keys = ApiKeys(database)
    messages = set()
    for secret in ("", "x", "pe_test_1_2", new_secret(new_id("key"), mode="test")):
        with pytest.raises(Unauthenticated) as refused:
            await keys.authenticate(secret)
        messages.add(str(refused.value))
    assert len(messages) == 1


async def test_a_broken_key_costs_no_statement(database: Database, tenant: TenantContext) -> None:
    keys = ApiKeys(database)
    _, secret = await keys.create(tenant, "shop")
    before = database.counters.statements
    wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    with pytest.raises(Unauthenticated):
        await keys.authenticate(wrong)
    assert database.counters.statements == before


async def test_a_second_use_costs_no_statement(database: Database, tenant: TenantContext) -> None:
    keys = ApiKeys(database)
    _, secret = await keys.create(tenant, "shop")
    await keys.authenticate(secret)
    before = database.counters.statements
    for _ in range(10):
        await keys.authenticate(secret)
    assert database.counters.statements == before


async def test_two_keys_live_until_one_is_revoked(
    database: Database, tenant: TenantContext
) -> None:
    keys = ApiKeys(database)
    (old, old_secret), (new, new_secret_text) = [
        await keys.create(tenant, name) for name in ("old", "new")
    ]
    assert (await keys.authenticate(old_secret)).actor == old.id
    revoked = await keys.revoke(tenant, old.id)
    assert revoked.revoked_at is not None
    with pytest.raises(Unauthenticated):
        await keys.authenticate(old_secret)
    assert (await keys.authenticate(new_secret_text)).actor == new.id
    assert (await keys.revoke(tenant, old.id)).revoked_at == revoked.revoked_at


async def test_a_revocation_elsewhere_is_noticed_when_the_memory_ends(
    database: Database, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = ApiKeys(database), ApiKeys(database)
    key, secret = await here.create(tenant, "shop")
    await here.authenticate(secret)
    await elsewhere.revoke(tenant, key.id)
    assert (await here.authenticate(secret)).actor == key.id
    monkeypatch.setattr("payengine_tenants.keys._REMEMBERED_SECONDS", 0.0)
    with pytest.raises(Unauthenticated):
        await here.authenticate(secret)


async def test_a_remembered_key_still_expires(database: Database, tenant: TenantContext) -> None:
    keys = ApiKeys(database)
    ends = datetime.now(UTC) + timedelta(seconds=0.5)
    _, secret = await keys.create(tenant, "short", expires_at=ends)
    await keys.authenticate(secret)
    await asyncio.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 0.01)
    with pytest.raises(Unauthenticated):
        await keys.authenticate(secret)
    with pytest.raises(Unauthenticated):
        await ApiKeys(database).authenticate(secret)


async def test_the_memory_is_bounded(
    database: Database, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payengine_tenants.keys._REMEMBERED", 2)
    keys = ApiKeys(database)
    secrets = [(await keys.create(tenant, f"{n}"))[1] for n in range(4)]
    for secret in secrets:
        await keys.authenticate(secret)
    before = database.counters.statements
    await keys.authenticate(secrets[-1])
    assert database.counters.statements == before
    await keys.authenticate(secrets[0])
    assert database.counters.statements == before + 2


async def test_the_list_shows_every_key_newest_first(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    keys = ApiKeys(database)
    made = [(await keys.create(tenant, f"{n}"))[0] for n in range(3)]
    await keys.create(other_tenant, "not shown")
    assert {key.id for key in await keys.list(tenant)} == {key.id for key in made}
    assert len(await keys.list(tenant, first=2)) == 2


async def test_another_tenants_key_cannot_be_revoked(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    keys = ApiKeys(database)
    key, secret = await keys.create(tenant, "shop")
    for unknown in (key.id, new_id("key"), ""):
        with pytest.raises(NotFound):
            await keys.revoke(other_tenant, unknown)
    assert (await ApiKeys(database).authenticate(secret)).actor == key.id


async def test_keys_need_the_scope_and_grant_no_more_than_their_maker_has(
    database: Database, tenant: TenantContext
) -> None:
    keys = ApiKeys(database)
    reader = replace(tenant, scopes=frozenset({"payments:read"}))
    maker = replace(tenant, scopes=frozenset({"payments:read", "keys:write"}))
    with pytest.raises(PermissionDenied, match="keys:write"):
        await keys.create(reader, "x", ["payments:read"])
    with pytest.raises(PermissionDenied, match="keys:write"):
        await keys.list(reader)
    with pytest.raises(PermissionDenied, match="keys:write"):
        await keys.revoke(reader, new_id("key"))
    with pytest.raises(PermissionDenied, match="payments:write"):
        await keys.create(maker, "x", SCOPES)
    await keys.create(maker, "x", ["payments:read"])


@pytest.mark.parametrize("scopes", [[], ["payments:fly"], ["payments:read", ""]])
async def test_unknown_scopes_are_refused(
    database: Database, tenant: TenantContext, scopes: list[str]
) -> None:
    with pytest.raises(InputInvalid):
        await ApiKeys(database).create(tenant, "x", scopes)


async def test_bad_names_and_times_are_refused(database: Database, tenant: TenantContext) -> None:
    keys = ApiKeys(database)
    for name in ("", " ", "x" * 201, "a\0"):
        with pytest.raises(InputInvalid):
            await keys.create(tenant, name)
    for ends in (datetime.now(UTC) - timedelta(seconds=1), datetime(2100, 1, 1)):  # noqa: DTZ001
        with pytest.raises(InputInvalid):
            await keys.create(tenant, "x", expires_at=ends)


async def test_live_keys_are_bounded(
    database: Database, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payengine_tenants.keys._LIVE_KEYS", 2)
    keys = ApiKeys(database)
    key, _ = await keys.create(tenant, "1")
    await keys.create(tenant, "2")
    with pytest.raises(Conflict):
        await keys.create(tenant, "3")
    await keys.revoke(tenant, key.id)
    await keys.create(tenant, "3")
