"""Who is asking?

`payengine_tenants` makes a `TenantContext`; nothing in core accepts work without one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from payengine.errors import PermissionDenied

__all__ = ["SCOPES", "Mode", "TenantContext"]

Mode = Literal["live", "test"]

#: Closed: what an API key may do.
SCOPES = (
    "accounts:read",
    "accounts:write",
    "payments:read",
    "payments:write",
    "disputes:read",
    "disputes:write",
    "reviews:read",
    "reviews:write",
    "customers:read",
    "customers:write",
    "billing:read",
    "billing:write",
    "events:read",
    "fraud:read",
    "fraud:write",
    "fx:read",
    "fx:write",
    "ledger:read",
    "reports:read",
    "settlements:read",
    "settlements:write",
    "payouts:read",
    "payouts:write",
    "plugins:read",
    "plugins:write",
    "routing:read",
    "routing:write",
    "keys:write",
    "webhooks:read",
    "webhooks:write",
)


@dataclass(frozen=True, slots=True)
class TenantContext:
    """One tenant's world, the actor in it and what the actor may do."""

    tenant_id: uuid.UUID
    mode: Mode
    actor: str
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Raise `PermissionDenied` unless the actor has `scope`."""
        if scope not in self.scopes:
            raise PermissionDenied(f"This needs the scope {scope}, which the API key lacks.")
