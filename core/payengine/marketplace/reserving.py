"""Which reserves return today?"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.ledger.strict import post_strict
from payengine.marketplace.agenda import Agenda
from payengine.marketplace.postings import reserve_released
from payengine.marketplace.sharing_models import Reserve
from payengine.marketplace.sharing_store import RESERVE
from payengine.storage import Database, Session

__all__ = ["BATCH", "Reserves"]

BATCH = 500

_AGENDA = Agenda(table="reserve_hold", due="release_at", waits="released_at IS NULL")
#: Whoever sets it releases it.
_TAKE = f"""
    UPDATE reserve_hold SET released_at = $3
    WHERE tenant_id = $1 AND id = $2 AND released_at IS NULL AND release_at <= $3
    RETURNING {RESERVE.listed}
"""
_OF_ACCOUNT = f"""
    SELECT {RESERVE.listed} FROM reserve_hold
    WHERE tenant_id = $1 AND account_id = $2 AND id < coalesce($3, '~')
    ORDER BY id DESC LIMIT $4
"""


class Reserves:
    """The rolling reserves of all tenants."""

    def __init__(self, database: Database, *, clock: Clock, nudge: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._nudge = nudge

    async def page(
        self, context: TenantContext, account_id: str, *, first: int, after: str | None = None
    ) -> Sequence[Reserve]:
        """Up to `first` + 1 reserves of an account before the id `after`, the newest first."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_OF_ACCOUNT, context.tenant_id, account_id, after, first + 1)
        return [RESERVE.read(row) for row in rows]

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Release what is due, of all tenants; how many reserves were looked at.

        Harmless where other processes do the same.
        """
        looked = await _AGENDA.run_all(self._database, self._release, at=at, limit=limit)
        if looked:
            self._nudge()
        return looked

    async def run_tenant(self, tenant_id: uuid.UUID, *, at: datetime) -> int:
        """Release what is due in a world whose clock stands at `at`; how many reserves."""
        return await _AGENDA.run_tenant(
            self._database, partial(self._release, at=at), tenant_id, at=at
        )

    async def next_due(
        self, session: Session, tenant_id: uuid.UUID, after: datetime
    ) -> datetime | None:
        """When a reserve of the tenant's returns next."""
        return await _AGENDA.next_due(session, tenant_id, after)

    async def _release(
        self, tenant_id: uuid.UUID, reserve_id: str, at: datetime | None = None
    ) -> None:
        at = at or self._clock.now(tenant_id)
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_TAKE, tenant_id, reserve_id, at)
            if row is None:
                return
            held = RESERVE.read(row)
            posting = reserve_released(
                sale_id=held.id,
                vendor=held.account_id,
                currency=held.currency,
                amount_minor=held.amount_minor,
            )
            await post_strict(session, tenant_id, posting, at=at)
            data = {
                "reserve_id": held.id,
                "account_id": held.account_id,
                "amount_minor": held.amount_minor,
                "currency": held.currency,
            }
            event = NewEvent(
                id=new_id("evt"),
                type="reserve.released",
                payment_id=held.payment_id,
                data=data,
                occurred_at=at,
            )
            await insert_event(session, tenant_id, event)
