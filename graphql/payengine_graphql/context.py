"""What does a resolver know?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import strawberry
from payengine.context import TenantContext
from payengine.engine import Engine
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

from payengine_graphql.loaders import Loaders
from payengine_graphql.once import Once

__all__ = ["RequestContext", "Services", "Wire"]


def _no_count(*labels: str) -> None:
    """Count nothing."""


@dataclass(frozen=True)
class Services:
    """What one process shares between its requests; holds no tenant's data."""

    engine: Engine
    keys: ApiKeys
    tenants: Tenants
    once: Once
    count: Callable[[str, str], None] = field(default=_no_count)
    count_operation: Callable[[str, str, str], None] = field(default=_no_count)


@dataclass
class RequestContext:
    """One request: who asks, by which services, under which reference."""

    services: Services
    tenant: TenantContext
    request_id: str

    @cached_property
    def loaders(self) -> Loaders:
        """This request's loaders."""
        return Loaders(self.services.engine, self.tenant)

    @property
    def engine(self) -> Engine:
        """The engine."""
        return self.services.engine

    def require(self, scope: str) -> None:
        """Raise `PermissionDenied` unless the key has `scope`."""
        self.tenant.require(scope)


Wire: TypeAlias = strawberry.Info[RequestContext, None]
