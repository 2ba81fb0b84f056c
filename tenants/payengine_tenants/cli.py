"""How does the operator make tenants and keys?

These commands act with every right, inside one tenant's scope at a time. They may run beside a
server that uses the same data folder, or alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import msgspec
from cyclopts import App, Parameter

if TYPE_CHECKING:
    from payengine.storage import Database

    from payengine_tenants.keys import ApiKey

__all__ = ["app"]

_ACTOR = "operator"
_PAGE = 100

app = App(name="tenant", help="Make and list tenants and their API keys.")
_key = App(name="key", help="Make, list and revoke a tenant's API keys.")
app.command(_key)

_Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, one line each.")]
_Home = Annotated[Path | None, Parameter(help="The data folder; by default PAYENGINE_HOME.")]


@app.command
async def create(
    name: str,
    *,
    mode: Literal["test", "live"] = "test",
    organisation: str | None = None,
    json: _Json = False,
    home: _Home = None,
) -> None:
    """Make a tenant and an API key with every scope; the key is shown this once.

    Parameters
    ----------
    name
        What people call it.
    mode
        A test world takes payments at the sandbox; a live one does not know it.
    organisation
        The organisation whose live and test worlds belong together.
    """
    from payengine_tenants.keys import ApiKeys
    from payengine_tenants.tenants import Tenants

    async with _database(home) as database:
        tenant = await Tenants(database).create(name, mode, organisation)
        _, secret = await ApiKeys(database).create(tenant.context(_ACTOR), "first key")
    if json:
        _print_json({"tenant_id": str(tenant.id), "api_key": secret})
        return
    print(f"Tenant   {tenant.id}  {tenant.name} ({tenant.mode})")
    print(f"API key  {secret}")
    print("Keep the key now: it is not shown again.")


@app.command(name="list")
async def list_tenants(*, json: _Json = False, home: _Home = None) -> None:
    """List the tenants, oldest first."""
    from payengine_tenants.tenants import Tenants

    async with _database(home) as database:
        tenants, after, is_empty = Tenants(database), None, True
        while page := await tenants.list(after=after, first=_PAGE):
            after, is_empty = page[-1].id, False
            for tenant in page:
                if json:
                    _print_json(tenant)
                else:
                    print(
                        f"{tenant.id}  {tenant.mode}  {tenant.created_at:%Y-%m-%d}  {tenant.name}"
                    )
    if is_empty and not json:
        print("There is no tenant yet: make one with `payengine tenant create NAME`.")


@_key.command(name="create")
async def create_key(
    tenant_id: UUID,
    *,
    name: str = "key",
    scope: list[str] | None = None,
    expires_days: int | None = None,
    json: _Json = False,
    home: _Home = None,
) -> None:
    """Make a further API key; it is shown this once. Several may live at the same time.

    Parameters
    ----------
    tenant_id
        The tenant that the key opens.
    name
        What people call it.
    scope
        What it may do; repeat for more. By default everything.
    expires_days
        After how many days it ends; by default never.
    """
    from payengine.context import SCOPES
    from payengine.errors import InputInvalid

    from payengine_tenants.keys import ApiKeys
    from payengine_tenants.tenants import Tenants

    if expires_days is not None and not 1 <= expires_days <= 3650:
        raise InputInvalid("Give --expires-days from 1 to 3650.")
    ends = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    async with _database(home) as database:
        context = (await Tenants(database).get(tenant_id)).context(_ACTOR)
        key, secret = await ApiKeys(database).create(context, name, scope or SCOPES, ends)
    if json:
        _print_json({"tenant_id": str(tenant_id), "key_id": key.id, "api_key": secret})
        return
    print(f"Key      {key.id}  {key.name}")
    print(f"API key  {secret}")
    print("Keep the key now: it is not shown again.")


@_key.command(name="list")
async def list_keys(tenant_id: UUID, *, json: _Json = False, home: _Home = None) -> None:
    """List a tenant's API keys, newest first, without their secrets."""
    from payengine_tenants.keys import ApiKeys
    from payengine_tenants.tenants import Tenants

    async with _database(home) as database:
        context = (await Tenants(database).get(tenant_id)).context(_ACTOR)
        keys = await ApiKeys(database).list(context)
    for key in keys:
        if json:
            _print_json(key)
        else:
            print(f"{key.id}  …{key.last_four}  {_state(key)}  {key.name}")


@_key.command(name="revoke")
async def revoke_key(
    tenant_id: UUID, key_id: str, *, json: _Json = False, home: _Home = None
) -> None:
    """End an API key for ever. Running servers notice within five seconds."""
    from payengine_tenants.keys import ApiKeys
    from payengine_tenants.tenants import Tenants

    async with _database(home) as database:
        context = (await Tenants(database).get(tenant_id)).context(_ACTOR)
        key = await ApiKeys(database).revoke(context, key_id)
    if json:
        _print_json(key)
    else:
        print(f"{key.id} is revoked.")


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return "expired"
    return "live"


def _print_json(value: Any) -> None:
    print(msgspec.json.encode(value, order="deterministic").decode())


@asynccontextmanager
async def _database(home: Path | None) -> AsyncIterator[Database]:
    """The migrated database of the data folder, its servers running meanwhile."""
    from payengine.embedded import running_servers
    from payengine.settings import Settings
    from payengine.storage import Database, migrate

    settings = Settings.from_environment(home=home)
    async with running_servers(settings) as servers:
        await migrate(owner_url=servers.owner_url, login_url=servers.login_url)
        database = await Database.open(servers.login_url, pool_size=2)
        try:
            yield database
        finally:
            await database.close()
