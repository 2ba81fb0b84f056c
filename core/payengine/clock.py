"""What time is it?

Business time comes from `Clock.now(tenant_id)`; leases, timeouts and limits use wall or database
time. Pure functions take the instant as an argument.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "FixedClock", "SystemClock", "TenantClocks", "wall_now"]


def wall_now() -> datetime:
    """The wall's instant, for leases, timeouts and windows: no test clock moves it."""
    return datetime.now(UTC)


class Clock(Protocol):
    """Tells a tenant's business time."""

    def now(self, tenant_id: uuid.UUID) -> datetime:
        """The tenant's present instant, aware and in UTC."""
        ...


class SystemClock:
    """Wall time for every tenant."""

    def now(self, tenant_id: uuid.UUID) -> datetime:
        """The wall's instant."""
        return datetime.now(UTC)


class TenantClocks:
    """Wall time, but for tenants with a test clock the instant at which theirs stands.

    It only remembers: whoever reads the stored clocks tells it, so that asking costs no statement.
    """

    def __init__(self) -> None:
        self._standing: dict[uuid.UUID, datetime] = {}

    def now(self, tenant_id: uuid.UUID) -> datetime:
        """The tenant's present instant."""
        standing = self._standing.get(tenant_id)
        return datetime.now(UTC) if standing is None else standing

    def move(self, tenant_id: uuid.UUID, at: datetime) -> None:
        """The tenant's clock stands there now; it never goes back."""
        known = self._standing.get(tenant_id)
        self._standing[tenant_id] = at if known is None else max(known, at)

    def read(self, standing: Mapping[uuid.UUID, datetime]) -> None:
        """The clocks as they were stored when they were read."""
        for tenant_id, at in standing.items():
            self.move(tenant_id, at)


class FixedClock:
    """A clock that stands still until it is moved; one hand for all tenants."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self, tenant_id: uuid.UUID) -> datetime:
        """The instant at which the clock stands."""
        return self._at

    def advance(self, by: timedelta) -> None:
        """Move the hand forward by `by`."""
        self._at += by
