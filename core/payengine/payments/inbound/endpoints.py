"""Whose gateway does this address belong to?

The address holds 256 random bits; only their hash is kept, and the door role finds the tenant by
it. A gateway has at most two live endpoints, so that one is replaced without a pause: create, tell
the provider, revoke.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from typing import NamedTuple

from payengine.clock import Clock
from payengine.context import Mode, TenantContext
from payengine.errors import (
    Conflict,
    InputInvalid,
    NotFound,
    PluginNotEnabled,
    WebhookEndpointUnknown,
)
from payengine.ids import new_id
from payengine.payments.inbound.models import GatewayEndpoint
from payengine.registry import LoadedGateway, Registry
from payengine.storage import Database
from payengine.storage.columns import Columns

__all__ = ["GatewayEndpoints", "LiveEndpoint", "path_of"]

_KIND = "gateway_endpoint"
_SECRET_BYTES = 32
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")
_TRIES = 3
_LARGEST_PAGE = 200
_REMEMBERED = 10_000
_REMEMBERED_S = 5.0

_ENDPOINT = Columns(GatewayEndpoint)

#: The first free of the two slots; nothing where both are taken, or another was quicker.
_INSERT = f"""
    INSERT INTO gateway_endpoint (tenant_id, {_ENDPOINT.listed})
    SELECT $1, $2, $3, $4, free.slot, $5, $6, NULL
    FROM generate_series(1, 2) AS free (slot)
    WHERE NOT EXISTS (
        SELECT FROM gateway_endpoint
        WHERE tenant_id = $1 AND gateway = $4 AND slot = free.slot AND revoked_at IS NULL)
    ORDER BY free.slot LIMIT 1
    ON CONFLICT DO NOTHING
    RETURNING {_ENDPOINT.listed}
"""
_LIVE = """
    SELECT count(*) FROM gateway_endpoint
    WHERE tenant_id = $1 AND gateway = $2 AND revoked_at IS NULL
"""
_ENTER = f"""
    INSERT INTO directory (kind, lookup_hash, tenant_id, subject_id)
    VALUES ('{_KIND}', $2, $1, $3)
"""
_LEAVE = f"DELETE FROM directory WHERE tenant_id = $1 AND kind = '{_KIND}' AND subject_id = $2"
_PAGE = f"""
    SELECT {_ENDPOINT.listed} FROM gateway_endpoint
    WHERE tenant_id = $1 AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""
_READ = f"SELECT {_ENDPOINT.listed} FROM gateway_endpoint WHERE tenant_id = $1 AND id = ANY ($2)"
_REVOKE = f"""
    UPDATE gateway_endpoint SET revoked_at = coalesce(revoked_at, $3)
    WHERE tenant_id = $1 AND id = $2 RETURNING {_ENDPOINT.listed}
"""
_FIND = f"SELECT tenant_id, subject_id FROM directory WHERE kind = '{_KIND}' AND lookup_hash = $1"
_OPEN = """
    SELECT endpoint.plugin, endpoint.gateway, tenant.mode
    FROM gateway_endpoint AS endpoint JOIN tenant ON tenant.id = endpoint.tenant_id
    WHERE endpoint.tenant_id = $1 AND endpoint.id = $2 AND endpoint.revoked_at IS NULL
"""


class LiveEndpoint(NamedTuple):
    """Where a call came in: in whose name it is verified, and by which gateway."""

    context: TenantContext
    id: str
    plugin: str
    gateway: str


class _Remembered(NamedTuple):
    endpoint: LiveEndpoint
    read_at: float


def path_of(plugin: str, secret: str) -> str:
    """The path to give to the provider, behind the platform's own address."""
    return f"/api/webhooks/{plugin}/{secret}"


class GatewayEndpoints:
    """The endpoints of all tenants. A revocation elsewhere is noticed within five seconds."""

    def __init__(self, *, database: Database, registry: Registry, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._revocations = 0

    async def create(self, context: TenantContext, gateway: str) -> tuple[GatewayEndpoint, str]:
        """Make an endpoint; returns it with its path, which cannot be read again.

        Raises `PluginNotFound`, `InputInvalid` for a gateway that takes no webhooks,
        `PluginNotEnabled` in a world where the gateway does not exist, `Conflict` where two are
        live, `PermissionDenied`.
        """
        context.require("plugins:write")
        found = self._registry.gateway(gateway)
        _check(context, found)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        endpoint_id, tenant_id = new_id("gwe"), context.tenant_id
        for _ in range(_TRIES):
            async with self._database.tenant(tenant_id) as session:
                row = await session.fetchrow(
                    _INSERT,
                    tenant_id,
                    endpoint_id,
                    found.plugin,
                    found.name,
                    secret[-4:],
                    self._clock.now(tenant_id),
                )
                if row is not None:
                    await session.execute(_ENTER, tenant_id, _hash(secret), endpoint_id)
                    return _ENDPOINT.read(row), path_of(found.plugin, secret)
                if await session.fetchval(_LIVE, tenant_id, found.name) >= 2:
                    break
        raise Conflict("Two endpoints of this gateway are live: revoke one first.")

    async def page(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[GatewayEndpoint]:
        """At most `first` + 1 endpoints, the newest first, revoked ones too."""
        context.require("plugins:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _PAGE, context.tenant_id, after, min(first, _LARGEST_PAGE) + 1
            )
        return [_ENDPOINT.read(row) for row in rows]

    async def get_many(self, context: TenantContext, ids: list[str]) -> dict[str, GatewayEndpoint]:
        """The endpoints with these ids, by id."""
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_READ, context.tenant_id, ids)
        return {row["id"]: _ENDPOINT.read(row) for row in rows}

    async def revoke(self, context: TenantContext, endpoint_id: str) -> GatewayEndpoint:
        """End an endpoint for ever; again is harmless. Raises `NotFound`, `PermissionDenied`.

        Holds at once in this process, and within five seconds in others.
        """
        context.require("plugins:write")
        tenant_id = context.tenant_id
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(
                _REVOKE, tenant_id, endpoint_id, self._clock.now(tenant_id)
            )
            if row is None:
                raise NotFound("There is no such gateway endpoint.")
            await session.execute(_LEAVE, tenant_id, endpoint_id)
        self._revocations += 1
        for lookup, found in list(self._remembered.items()):
            if found.endpoint.id == endpoint_id:
                del self._remembered[lookup]
        return _ENDPOINT.read(row)

    async def resolve(self, plugin: str, secret: str) -> LiveEndpoint:
        """Whose address is this? Raises `WebhookEndpointUnknown`, for every reason alike."""
        if not _SHAPE.fullmatch(secret):
            raise WebhookEndpointUnknown
        lookup = _hash(secret)
        found = self._remembered.get(lookup)
        if found is None or time.monotonic() - found.read_at > _REMEMBERED_S:
            found = await self._look_up(lookup)
        if found is None:
            self._remembered.pop(lookup, None)
            raise WebhookEndpointUnknown
        if found.endpoint.plugin != plugin:
            raise WebhookEndpointUnknown
        return found.endpoint

    async def _look_up(self, lookup: bytes) -> _Remembered | None:
        # The age counts from before the read, so that a revocation is never missed for longer.
        read_at, revocations = time.monotonic(), self._revocations
        async with self._database.door() as session:
            entry = await session.fetchrow(_FIND, lookup)
        if entry is None:
            return None
        tenant_id, endpoint_id = entry["tenant_id"], entry["subject_id"]
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_OPEN, tenant_id, endpoint_id)
        if row is None:
            return None
        mode: Mode = row["mode"]
        context = TenantContext(tenant_id, mode, endpoint_id, frozenset())
        endpoint = LiveEndpoint(context, endpoint_id, row["plugin"], row["gateway"])
        found = _Remembered(endpoint, read_at)
        if revocations == self._revocations:
            self._remembered[lookup] = found
            self._remembered.move_to_end(lookup)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return found


def _check(context: TenantContext, gateway: LoadedGateway) -> None:
    manifest = gateway.manifest
    if not manifest.webhooks:
        raise InputInvalid(f"{manifest.title} sends no webhooks.", path=("gateway",))
    if manifest.test_worlds_only and context.mode != "test":
        raise PluginNotEnabled(f"{manifest.title} exists in test worlds only.", path=("gateway",))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
