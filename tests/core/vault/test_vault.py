"""The vault: secrets open in their own cell, under their own tenant's key, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from payengine.context import TenantContext
from payengine.errors import VaultSealed
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.conftest import Servers

CELL = {"table": "plugin_setting", "row": "sandbox", "column": "secrets"}


def new_vault(servers: Servers) -> Vault:
    """A vault with nothing in memory, as another process would have it."""
    return Vault(MasterKey(servers.home / "master.key", may_create=True))


async def seal(vault: Vault, database: Database, tenant: TenantContext, text: str) -> bytes:
    async with database.tenant(tenant.tenant_id) as session:
        return await vault.seal(session, tenant.tenant_id, text, **CELL)


async def unseal(
    vault: Vault, database: Database, tenant: TenantContext, sealed: bytes, **cell: str
) -> str:
    async with database.tenant(tenant.tenant_id) as session:
        return await vault.open(session, tenant.tenant_id, sealed, **{**CELL, **cell})


async def versions(database: Database, tenant: TenantContext) -> list[int]:
    async with database.tenant(tenant.tenant_id) as session:
        rows = await session.fetch("SELECT version FROM data_key ORDER BY version")
    return [row["version"] for row in rows]


@pytest.mark.parametrize("text", ["", "sk_test_4711", "naïve ☃", "x" * 10_000])
async def test_a_sealed_text_opens_in_its_own_cell(
    servers: Servers, database: Database, tenant: TenantContext, text: str
) -> None:
    vault = new_vault(servers)
    sealed = await seal(vault, database, tenant, text)
    if text:
        assert text.encode() not in sealed
    assert await unseal(vault, database, tenant, sealed) == text
    assert await unseal(new_vault(servers), database, tenant, sealed) == text


async def test_equal_texts_are_sealed_differently(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    vault = new_vault(servers)
    assert await seal(vault, database, tenant, "same") != await seal(
        vault, database, tenant, "same"
    )


@pytest.mark.parametrize(
    "moved",
    [
        {"table": "customer"},
        {"row": "other"},
        {"column": "settings"},
        # The same letters, divided otherwise.
        {"row": "sandboxs", "column": "ecrets"},
    ],
)
async def test_a_sealed_text_does_not_open_in_another_cell(
    servers: Servers, database: Database, tenant: TenantContext, moved: dict[str, str]
) -> None:
    vault = new_vault(servers)
    sealed = await seal(vault, database, tenant, "secret")
    with pytest.raises(VaultSealed, match="another place"):
        await unseal(vault, database, tenant, sealed, **moved)


async def test_a_sealed_text_does_not_open_for_another_tenant(
    servers: Servers, database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    vault = new_vault(servers)
    sealed = await seal(vault, database, tenant, "secret")
    with pytest.raises(VaultSealed, match="no such data key"):
        await unseal(vault, database, other_tenant, sealed)
    await seal(vault, database, other_tenant, "the other's own key exists now")
    with pytest.raises(VaultSealed, match="another place"):
        await unseal(vault, database, other_tenant, sealed)


async def test_a_copied_data_key_does_not_serve_another_tenant(
    servers: Servers, database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    await seal(new_vault(servers), database, tenant, "secret")
    async with database.tenant(tenant.tenant_id) as session:
        wrapped = await session.fetchval("SELECT wrapped FROM data_key")
    async with database.tenant(other_tenant.tenant_id) as session:
        await session.execute(
            "INSERT INTO data_key VALUES ($1, 1, $2, clock_timestamp())",
            other_tenant.tenant_id,
            wrapped,
        )
    with pytest.raises(VaultSealed):
        await seal(new_vault(servers), database, other_tenant, "secret")


async def test_every_changed_byte_is_noticed(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    vault = new_vault(servers)
    sealed = await seal(vault, database, tenant, "secret")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(VaultSealed):
            await unseal(vault, database, tenant, bytes(changed))
    for length in (0, 1, 16, len(sealed) - 1):
        with pytest.raises(VaultSealed):
            await unseal(vault, database, tenant, sealed[:length])


async def test_concurrent_first_uses_agree_on_one_key(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    sealed = await asyncio.gather(
        *(seal(new_vault(servers), database, tenant, f"secret {n}") for n in range(8))
    )
    assert await versions(database, tenant) == [1]
    vault = new_vault(servers)
    for n, each in enumerate(sealed):
        assert await unseal(vault, database, tenant, each) == f"secret {n}"


async def test_a_key_that_was_rolled_back_is_forgotten(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    vault = new_vault(servers)

    async def fail_after_sealing() -> None:
        async with database.tenant(tenant.tenant_id) as session:
            await vault.seal(session, tenant.tenant_id, "lost", **CELL)
            await vault.seal(session, tenant.tenant_id, "lost", **CELL)
            raise LookupError

    with pytest.raises(LookupError):
        await fail_after_sealing()
    assert await versions(database, tenant) == []
    sealed = await seal(vault, database, tenant, "kept")
    assert await unseal(new_vault(servers), database, tenant, sealed) == "kept"


async def test_a_settled_key_is_remembered_without_a_statement(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    vault = new_vault(servers)
    await seal(vault, database, tenant, "makes the key")
    sealed = await seal(vault, database, tenant, "remembers it")
    before = database.counters.statements
    await unseal(vault, database, tenant, sealed)
    await seal(vault, database, tenant, "from memory")
    assert database.counters.statements == before


async def test_remembered_keys_are_dropped_after_a_minute(
    servers: Servers, database: Database, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = new_vault(servers)
    await seal(vault, database, tenant, "makes the key")
    sealed = await seal(vault, database, tenant, "remembers it")
    before = database.counters.statements
    monkeypatch.setattr("payengine.vault.vault._KEPT_SECONDS", -1.0)
    assert await unseal(vault, database, tenant, sealed) == "remembers it"
    assert database.counters.statements == before + 1


async def test_rotation_seals_with_a_new_key_and_opens_with_the_old(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    vault = new_vault(servers)
    old = await seal(vault, database, tenant, "old")
    async with database.tenant(tenant.tenant_id) as session:
        assert await vault.rotate(session, tenant.tenant_id) == 2
    new = await seal(vault, database, tenant, "new")
    assert (old[4], new[4]) == (1, 2)
    assert await unseal(vault, database, tenant, old) == "old"
    assert await unseal(new_vault(servers), database, tenant, new) == "new"


async def test_another_master_key_is_told_and_never_used(
    servers: Servers,
    database: Database,
    tenant: TenantContext,
    other_tenant: TenantContext,
    tmp_path: Path,
) -> None:
    sealed = await seal(new_vault(servers), database, tenant, "secret")
    elsewhere = Vault(MasterKey(tmp_path / "master.key", may_create=True))
    # Lost, in a folder that would take a new one: no key appears, not even for a fresh tenant.
    for lost in (
        lambda: unseal(elsewhere, database, tenant, sealed),
        lambda: seal(elsewhere, database, tenant, "x"),
        lambda: seal(elsewhere, database, other_tenant, "x"),
    ):
        with pytest.raises(VaultSealed, match=r"master\.key is missing"):
            await lost()
    assert os.listdir(tmp_path) == []
    MasterKey(tmp_path / "master.key", may_create=True).make()
    for wrong in (
        lambda: unseal(elsewhere, database, tenant, sealed),
        lambda: seal(elsewhere, database, tenant, "x"),
        lambda: seal(elsewhere, database, other_tenant, "x"),
    ):
        with pytest.raises(VaultSealed, match="not the master key"):
            await wrong()
    assert await versions(database, other_tenant) == []


async def test_the_master_keys_name_in_the_database_cannot_be_changed(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    await seal(new_vault(servers), database, tenant, "names the master key")
    async with database.tenant(tenant.tenant_id) as session:
        tag = await session.execute("UPDATE installation SET master_key_check = 'another'")
    assert tag == "UPDATE 0"


async def test_settings_choose_the_file(
    servers: Servers, database: Database, tenant: TenantContext, tmp_path: Path
) -> None:
    from payengine.settings import Settings

    default = Vault.from_settings(Settings(home=servers.home))
    sealed = await seal(default, database, tenant, "secret")
    copy = tmp_path / "copy.key"
    copy.write_bytes((servers.home / "master.key").read_bytes())
    named = Vault.from_settings(Settings(home=tmp_path, master_key_file=copy))
    assert await unseal(named, database, tenant, sealed) == "secret"


async def test_a_vault_shows_no_key_in_its_text(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    vault = new_vault(servers)
    await seal(vault, database, tenant, "secret")
    key: Any = MasterKey(servers.home / "master.key", may_create=False)
    shown = f"{vault!r} {key!r} {key.check()}"
    assert key.read().hex() not in shown
    assert repr(key.read()) not in shown


async def test_a_session_of_another_tenant_makes_no_key(
    servers: Servers, database: Database, tenant: TenantContext
) -> None:
    import asyncpg

    stranger = replace(tenant, tenant_id=uuid.uuid4())
    async with database.tenant(tenant.tenant_id) as session:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await new_vault(servers).seal(session, stranger.tenant_id, "secret", **CELL)
        await session.execute("ROLLBACK")
        await session.execute("BEGIN")
