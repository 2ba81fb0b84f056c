"""How does a room say what happened?

In the transaction that made it happen, so that neither is there without the other.
"""

from __future__ import annotations

import uuid

from payengine.events.models import NewEvent
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["EVENT", "INSERT_EVENT", "insert_event"]

EVENT = Columns(NewEvent)
#: The beginning of a statement that writes events; what follows are rows, `tenant_id` first.
INSERT_EVENT = f"INSERT INTO event (tenant_id, {EVENT.listed})"

_INSERT = f"{INSERT_EVENT} VALUES ($1, {EVENT.parameters(2)})"


async def insert_event(session: Session, tenant_id: uuid.UUID, event: NewEvent) -> None:
    """Write an event that goes with no operation's move."""
    await session.execute(_INSERT, tenant_id, *EVENT.values(event))
