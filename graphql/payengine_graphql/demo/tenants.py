"""Who sells in the demo?

Three shops, made once; their keys are kept in the data folder, readable by its owner alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from payengine.context import SCOPES, TenantContext
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings
from payengine.storage import Database
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

__all__ = ["DemoTenant", "ensure_demo_tenants", "read_demo_tenants"]

_SHOPS = (("Aurora Books", "EUR"), ("Blue Fjord", "USD"), ("Copper Kettle", "GBP"))


class DemoTenant(msgspec.Struct, frozen=True, kw_only=True):
    """A shop of the demo, its base currency and its API key."""

    name: str
    currency: str
    tenant_id: str
    api_key: str


def _file(settings: Settings) -> Path:
    return settings.home / "demo.json"


def read_demo_tenants(settings: Settings) -> list[DemoTenant]:
    """The shops that were made before; none where there is no such file."""
    try:
        return msgspec.json.decode(_file(settings).read_bytes(), type=list[DemoTenant])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as problem:
        raise EnvironmentProblem(f"{_file(settings)} cannot be read: {problem}") from None


async def ensure_demo_tenants(database: Database, settings: Settings) -> list[DemoTenant]:
    """The three shops; made where they are not there yet, or are of another database."""
    known = read_demo_tenants(settings)
    living = {str(tenant_id) for tenant_id in await database.tenant_ids()}
    if known and all(tenant.tenant_id in living for tenant in known):
        return known
    made = [await _make(database, name, currency=currency) for name, currency in _SHOPS]
    _write(_file(settings), msgspec.json.encode(made))
    return made


async def _make(database: Database, name: str, *, currency: str) -> DemoTenant:
    tenant = await Tenants(database).create(name, mode="test")
    context = TenantContext(tenant.id, "test", "demo", frozenset(SCOPES))
    _, secret = await ApiKeys(database).create(context, name="demo", scopes=SCOPES)
    return DemoTenant(name=name, currency=currency, tenant_id=str(tenant.id), api_key=secret)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
