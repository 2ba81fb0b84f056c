"""Which tenant does this API key open, and what may its holder do?

The door role finds the tenant by the key's hash; everything else is read in the tenant's scope.
Several keys may live at once, so a key is replaced without a pause: create, deploy, revoke.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from payengine.context import SCOPES, TenantContext
from payengine.errors import (
    Conflict,
    InputInvalid,
    NotFound,
    PayengineError,
    PermissionDenied,
    Unauthenticated,
)
from payengine.ids import new_id
from payengine.storage import Database

from payengine_tenants.secret import hash_secret, is_whole, new_secret

__all__ = ["ApiKey", "ApiKeys"]

_LONGEST_NAME = 200
_LIVE_KEYS = 100
_LARGEST_PAGE = 200
_REMEMBERED = 10_000
_REMEMBERED_SECONDS = 5.0
#: A key in use is read anew beside the requests, so that none of them waits for it.
_READ_AHEAD_SECONDS = 2.5

_COLUMNS = "id, name, last_four, scopes, created_at, expires_at, revoked_at"
_INSERT = (
    "INSERT INTO api_key (tenant_id, id, name, last_four, scopes, created_at, expires_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)"
)
_ENTER = (
    "INSERT INTO directory (kind, lookup_hash, tenant_id, subject_id)"
    " VALUES ('api_key', $2, $1, $3)"
)
_LEAVE = "DELETE FROM directory WHERE tenant_id = $1 AND kind = 'api_key' AND subject_id = $2"
_COUNT = (
    "SELECT count(*) FROM api_key WHERE tenant_id = $1 AND revoked_at IS NULL"
    " AND (expires_at IS NULL OR expires_at > $2)"
)
_PAGE = f"SELECT {_COLUMNS} FROM api_key WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2"
_REVOKE = (
    "UPDATE api_key SET revoked_at = coalesce(revoked_at, $3) WHERE tenant_id = $1 AND id = $2"
    f" RETURNING {_COLUMNS}"
)
_FIND = "SELECT tenant_id, subject_id FROM directory WHERE kind = 'api_key' AND lookup_hash = $1"
_READ = (
    "SELECT key.scopes, key.expires_at, tenant.mode"
    " FROM api_key AS key JOIN tenant ON tenant.id = key.tenant_id"
    " WHERE key.tenant_id = $1 AND key.id = $2 AND key.revoked_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key; its secret is shown once, when it is made."""

    id: str
    name: str
    last_four: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class _Remembered(NamedTuple):
    context: TenantContext
    expires_at: datetime | None
    read_at: float


class ApiKeys:
    """The API keys of all tenants. A revocation elsewhere is noticed within five seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._revocations = 0
        self._reading: dict[bytes, asyncio.Task[None]] = {}

    async def create(
        self,
        context: TenantContext,
        name: str,
        scopes: Iterable[str] = SCOPES,
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; returns it with its secret, which cannot be read again.

        Raises `PermissionDenied` where the actor lacks `keys:write` or a scope that the new key
        would have, `InputInvalid` for a bad name, scope or time, `Conflict` at 100 live keys.
        """
        context.require("keys:write")
        granted = frozenset(scopes)
        _check(name, granted, expires_at)
        if not granted <= context.scopes:
            missing = ", ".join(sorted(granted - context.scopes))
            raise PermissionDenied(f"A key cannot grant what its maker lacks: {missing}.")
        key_id = new_id("key")
        secret = new_secret(key_id, mode=context.mode)
        key = ApiKey(
            key_id, name.strip(), secret[-4:], granted, datetime.now(UTC), expires_at, None
        )
        tenant_id = context.tenant_id
        async with self._database.tenant(tenant_id) as session:
            if await session.fetchval(_COUNT, tenant_id, key.created_at) >= _LIVE_KEYS:
                raise Conflict(f"A tenant has at most {_LIVE_KEYS} live API keys: revoke one.")
            await session.execute(
                _INSERT,
                tenant_id,
                key.id,
                key.name,
                key.last_four,
                sorted(granted),
                key.created_at,
                expires_at,
            )
            await session.execute(_ENTER, tenant_id, hash_secret(secret), key.id)
        return key, secret

    async def list(self, context: TenantContext, *, first: int = _LARGEST_PAGE) -> list[ApiKey]:
        """The newest `first` (≤ 200) keys, revoked and expired ones too."""
        context.require("keys:write")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, min(first, _LARGEST_PAGE))
        return [ApiKey(**{**row, "scopes": frozenset(row["scopes"])}) for row in rows]

    async def revoke(self, context: TenantContext, key_id: str) -> ApiKey:
        """End a key for ever; again is harmless. Raises `NotFound`.

        Holds at once in this process, and within five seconds in others.
        """
        context.require("keys:write")
        async with self._database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(_REVOKE, context.tenant_id, key_id, datetime.now(UTC))
            if row is None:
                raise NotFound("There is no such API key in this tenant.")
            await session.execute(_LEAVE, context.tenant_id, key_id)
        self._forget(context, key_id)
        return ApiKey(**{**row, "scopes": frozenset(row["scopes"])})

    def _forget(self, context: TenantContext, key_id: str) -> None:
        self._revocations += 1
        for lookup, found in list(self._remembered.items()):
            if (found.context.tenant_id, found.context.actor) == (context.tenant_id, key_id):
                del self._remembered[lookup]

    async def authenticate(self, secret: str) -> TenantContext:
        """Whose key is this? The actor is the key's id.

        Raises `Unauthenticated`, with one message for every reason.
        """
        if not is_whole(secret):
            raise Unauthenticated
        lookup = hash_secret(secret)
        found = self._remembered.get(lookup)
        age = time.monotonic() - found.read_at if found is not None else _REMEMBERED_SECONDS
        if age >= _REMEMBERED_SECONDS:
            found = await self._look_up(lookup)
        elif age > _READ_AHEAD_SECONDS and lookup not in self._reading:
            task = asyncio.create_task(self._read_ahead(lookup), context=Context())
            self._reading[lookup] = task
        if found is None or (
            found.expires_at is not None and found.expires_at <= datetime.now(UTC)
        ):
            self._remembered.pop(lookup, None)
            raise Unauthenticated
        return found.context

    async def _read_ahead(self, lookup: bytes) -> None:
        """Read a remembered key anew; what fails is tried again by a request that needs it."""
        try:
            if await self._look_up(lookup) is None:
                self._remembered.pop(lookup, None)
        except PayengineError:
            pass
        finally:
            del self._reading[lookup]

    async def _look_up(self, lookup: bytes) -> _Remembered | None:
        # The age counts from before the read, so that a revocation is never missed for longer.
        read_at, revocations = time.monotonic(), self._revocations
        async with self._database.door() as session:
            entry = await session.fetchrow(_FIND, lookup)
        if entry is None:
            return None
        tenant_id, key_id = entry["tenant_id"], entry["subject_id"]
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_READ, tenant_id, key_id)
        if row is None:
            return None
        # A scope that this version does not know grants nothing.
        scopes = frozenset(row["scopes"]) & frozenset(SCOPES)
        found = _Remembered(
            TenantContext(tenant_id, row["mode"], key_id, scopes), row["expires_at"], read_at
        )
        if revocations == self._revocations:
            self._remembered[lookup] = found
            self._remembered.move_to_end(lookup)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return found


def _check(name: str, scopes: Collection[str], expires_at: datetime | None) -> None:
    if not 1 <= len(name.strip()) <= _LONGEST_NAME or "\0" in name:
        raise InputInvalid("An API key's name has 1 to 200 characters.", path=("name",))
    unknown = set(scopes) - set(SCOPES)
    if unknown or not scopes:
        raise InputInvalid(
            f"Give at least one scope of: {', '.join(SCOPES)}."
            + (f" There is no {', '.join(sorted(unknown))}." if unknown else ""),
            path=("scopes",),
        )
    if expires_at is None:
        return
    if expires_at.tzinfo is None or expires_at <= datetime.now(UTC):
        raise InputInvalid("An expiry is a future instant with a time zone.", path=("expiresAt",))
