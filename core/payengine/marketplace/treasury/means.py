"""What does the treasury work with?"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.marketplace.treasury.models import Payout
from payengine.registry.rails import RailDesk
from payengine.storage import Database, Session
from payengine.vault import Vault

__all__ = ["Judge", "Judged", "Means", "trust_all", "worker_context"]

#: `hold`: a person must release it. `refuse`: it is called off.
Judged = Literal["pass", "hold", "refuse"]

#: May this payout go through? Asked once for each, outside any transaction; the same payout is
#: answered as the first time.
Judge = Callable[[TenantContext, Payout, datetime], Awaitable[Judged]]

_MODE = "SELECT mode FROM tenant WHERE id = $1"


async def trust_all(context: TenantContext, payout: Payout, at: datetime) -> Judged:
    """A judge where there are no rules."""
    return "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The rooms that payouts need; `nudge` says that there are new events."""

    database: Database
    rails: RailDesk
    vault: Vault
    clock: Clock
    deadline_ms: int
    nudge: Callable[[], None]
    judge: Judge = trust_all


async def worker_context(session: Session, tenant_id: uuid.UUID) -> TenantContext:
    """Who acts where nobody asked."""
    mode = await session.fetchval(_MODE, tenant_id)
    return TenantContext(tenant_id, mode, "payouts", frozenset({"payouts:read", "payouts:write"}))
