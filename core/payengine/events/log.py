"""What happened, from a cursor on?"""

from __future__ import annotations

from payengine.context import TenantContext
from payengine.errors import CursorInvalid, InputInvalid
from payengine.events.models import Cursor, Event
from payengine.storage import Database, Session

__all__ = ["MAX_PAGE", "EventLog"]

MAX_PAGE = 1_000

_COLUMNS = "id, position, type, data, occurred_at, payment_id, operation_id, customer_id"

_AFTER = f"""
    SELECT {_COLUMNS} FROM event
    WHERE tenant_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""

_EPOCH = "SELECT epoch FROM installation"
_HEAD = "SELECT coalesce(max(position), 0) FROM event_stream WHERE tenant_id = $1"


class EventLog:
    """Reads a tenant's events in their order."""

    def __init__(self, database: Database, *, epoch: int) -> None:
        self._database = database
        self.epoch = epoch

    @classmethod
    async def open(cls, database: Database) -> EventLog:
        """Read this installation's epoch."""
        async with database.worker() as session:
            return cls(database, epoch=await session.fetchval(_EPOCH))

    def position_after(self, cursor: str | None) -> int:
        """The position that a client's cursor names; raises `CursorInvalid` for another epoch."""
        if cursor is None:
            return 0
        parsed = Cursor.parse(cursor)
        if parsed.epoch != self.epoch:
            raise CursorInvalid(
                "The event feed began anew since this cursor was issued (the database was "
                "restored). Read the objects again and subscribe without a cursor."
            )
        return parsed.position

    async def page(
        self, context: TenantContext, *, after: str | None = None, first: int = 50
    ) -> list[Event]:
        """Up to `first` events after the cursor, in order; needs the scope `events:read`.

        Raises `CursorInvalid` and `InputInvalid`.
        """
        context.require("events:read")
        if not 1 <= first <= MAX_PAGE:
            raise InputInvalid(f"first is 1 to {MAX_PAGE}.", path=("first",))
        position = self.position_after(after)
        events = await self.read(context, position=position, limit=first)
        if not events and position > await self.head(context):
            raise CursorInvalid
        return events

    async def read(self, context: TenantContext, *, position: int, limit: int) -> list[Event]:
        """Up to `limit` events whose position is greater than `position`."""
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_AFTER, context.tenant_id, position, limit)
        return [
            Event(**row, cursor=str(Cursor(self.epoch, row["position"]))) for row in map(dict, rows)
        ]

    async def head(self, context: TenantContext) -> int:
        """The position of the tenant's newest placed event; 0 where there is none."""
        async with self._database.tenant(context.tenant_id) as session:
            return await _head(session, context)


async def _head(session: Session, context: TenantContext) -> int:
    head: int = await session.fetchval(_HEAD, context.tenant_id)
    return head
