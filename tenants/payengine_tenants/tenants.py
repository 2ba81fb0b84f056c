"""Which worlds are there?

A tenant is one world, live or test. It is made inside its own scope by the role that serves
requests: making a tenant needs no more rights than using one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from payengine.context import SCOPES, Mode, TenantContext
from payengine.errors import InputInvalid, NotFound
from payengine.ids import new_tenant_id
from payengine.storage import Database

__all__ = ["Tenant", "Tenants"]

_LONGEST_NAME = 200
_LARGEST_PAGE = 100
_NOBODY = uuid.UUID(int=0)

_INSERT = (
    "INSERT INTO tenant (id, name, mode, organisation, created_at) VALUES ($1, $2, $3, $4, $5)"
)
_READ = "SELECT id, name, mode, organisation, created_at FROM tenant WHERE id = $1"
_PAGE = "SELECT id FROM tenant WHERE id > $1 ORDER BY id LIMIT $2"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One world. Tenants of one organisation share its text."""

    id: uuid.UUID
    name: str
    mode: Mode
    organisation: str
    created_at: datetime

    def context(self, actor: str) -> TenantContext:
        """The context of somebody who may do everything here: the operator, never a request."""
        return TenantContext(self.id, self.mode, actor, frozenset(SCOPES))


class Tenants:
    """The tenants of this installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, name: str, mode: Mode = "test", organisation: str | None = None
    ) -> Tenant:
        """Make a world. Without an `organisation` it begins its own.

        Raises `InputInvalid` where the name is empty or longer than 200 characters, or the mode
        is neither "live" nor "test".
        """
        name = name.strip()
        if not 1 <= len(name) <= _LONGEST_NAME or "\0" in name:
            raise InputInvalid("A tenant's name has 1 to 200 characters.", path=("name",))
        if mode not in get_args(Mode):
            raise InputInvalid("A tenant's mode is live or test.", path=("mode",))
        tenant_id = new_tenant_id()
        tenant = Tenant(tenant_id, name, mode, organisation or str(tenant_id), datetime.now(UTC))
        async with self._database.tenant(tenant_id) as session:
            await session.execute(
                _INSERT, tenant_id, name, mode, tenant.organisation, tenant.created_at
            )
        return tenant

    async def get(self, tenant_id: uuid.UUID) -> Tenant:
        """One tenant; raises `NotFound`."""
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_READ, tenant_id)
        if row is None:
            raise NotFound("There is no tenant with this id.")
        return Tenant(**dict(row))

    async def list(self, *, after: uuid.UUID | None = None, first: int = 50) -> list[Tenant]:
        """At most `first` (≤ 100) tenants, oldest first, beginning behind the id `after`."""
        async with self._database.worker() as session:
            rows = await session.fetch(_PAGE, after or _NOBODY, min(first, _LARGEST_PAGE))
        # Names are payload: each is read in its own tenant's scope.
        return [await self.get(row["id"]) for row in rows]
