"""Who notices that something has changed while nobody looks?

Each quarter of an hour of each tenant is counted once, from the tables, a little after its end; in
the same transaction the readings of then are judged, and alerts open and close with their events.
Where nobody was awake for a while, every quarter that was missed is counted, one after the other.
Quarters are those of the wall's clock, whatever a test clock says: it is the house that is watched.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from payengine.context import TenantContext
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.fraud.alerts import (
    BASELINE,
    LONG,
    SLOT,
    AlertKind,
    Reading,
    Slot,
    judge,
    slot_of,
)
from payengine.fraud.desk.choices import read_settings
from payengine.fraud.desk.counting import count_slot
from payengine.ids import new_id
from payengine.storage import Database, Session
from payengine.storage.columns import Columns

__all__ = ["Alert", "AlertFilter", "Watching"]

#: How many tenants one round takes, and how many slots of each.
BATCH = 50
_AT_ONCE = 2
_SLOTS = 8
#: A slot is counted so long after its end, when most of its payments have an outcome.
SETTLED_AFTER = timedelta(minutes=5)
#: What nothing tells about any more is closed.
_FORGOTTEN_AFTER = timedelta(days=1)
_KEPT = BASELINE + LONG + timedelta(days=1)

_log = structlog.get_logger(__name__)


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has changed: `subject` names a rule or a feature, where it is about one.

    `reading` is how it looked when it was last told.
    """

    id: str
    kind: AlertKind
    subject: str
    reading: dict[str, Any]
    opened_at: datetime
    told_at: datetime
    closed_at: datetime | None = None


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts to list; by default those that are open."""

    is_open: bool = True
    kind: AlertKind | None = None


_ALERT = Columns(Alert)

#: Tenants that were never watched come first.
_DUE = """
    SELECT tenant.id FROM tenant LEFT JOIN fraud_watch ON fraud_watch.tenant_id = tenant.id
    WHERE fraud_watch.due_at IS NULL OR fraud_watch.due_at <= $1
    ORDER BY fraud_watch.due_at NULLS FIRST LIMIT $2
"""

_BEGIN = """
    INSERT INTO fraud_watch (tenant_id, next_slot_at, due_at) VALUES ($1, $2, $3)
    ON CONFLICT (tenant_id) DO NOTHING
"""

_CLAIM = """
    SELECT next_slot_at FROM fraud_watch WHERE tenant_id = $1 AND due_at <= $2
    FOR UPDATE SKIP LOCKED
"""

_MOVED_ON = "UPDATE fraud_watch SET next_slot_at = $2, due_at = $3 WHERE tenant_id = $1"

_KEEP = "INSERT INTO fraud_slot (tenant_id, begins_at, document) VALUES ($1, $2, $3)"
_SLOTS_OF = """
    SELECT document FROM fraud_slot
    WHERE tenant_id = $1 AND begins_at >= $2 AND begins_at < $3 ORDER BY begins_at
"""
_FORGET = "DELETE FROM fraud_slot WHERE tenant_id = $1 AND begins_at < $2"

_OLDEST = "SELECT min(opened_at) FROM review WHERE tenant_id = $1 AND closed_at IS NULL"

_OPEN = f"""
    SELECT {_ALERT.listed} FROM fraud_alert WHERE tenant_id = $1 AND closed_at IS NULL
"""
_INSERT = (
    f"INSERT INTO fraud_alert (tenant_id, {_ALERT.listed}) VALUES ($1, {_ALERT.parameters(2)})"
)
_TELL = """
    UPDATE fraud_alert SET reading = $3, told_at = $4, closed_at = $5
    WHERE tenant_id = $1 AND id = $2
"""

_PAGE = f"""
    SELECT {_ALERT.listed} FROM fraud_alert
    WHERE tenant_id = $1 AND id < coalesce($2, '~')
      AND (closed_at IS NULL) = $3 AND ($4::text IS NULL OR kind = $4)
    ORDER BY id DESC LIMIT $5
"""
_BY_ID = f"SELECT {_ALERT.listed} FROM fraud_alert WHERE tenant_id = $1 AND id = ANY ($2)"


class Watching:
    """The readings of all tenants, and the alerts that they raise."""

    def __init__(self, database: Database, *, nudge: Callable[[], None]) -> None:
        self._database = database
        self._nudge = nudge
        #: (kind, `opened` or `closed`) → how many alerts this process has opened and closed.
        self.counts: Counter[tuple[str, str]] = Counter()

    async def page(
        self,
        context: TenantContext,
        wanted: AlertFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[Alert]:
        """The newest first, behind the alert `after`; one more than `first` where there is."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _PAGE, context.tenant_id, after, wanted.is_open, wanted.kind, first + 1
            )
        return [_ALERT.read(row) for row in rows]

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Alert]:
        """The alerts that exist, by id."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: _ALERT.read(row) for row in rows}

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Count what is due of up to `limit` tenants; how many slots were counted."""
        async with self._database.worker() as session:
            due = [row["id"] for row in await session.fetch(_DUE, at, limit)]
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(tenant_id: uuid.UUID) -> int:
            async with places:
                try:
                    return await self._watch(tenant_id, at=at)
                except Exception as failure:
                    _log.warning("fraud_watch_failed", error=repr(failure))
                    return 0

        return sum(await asyncio.gather(*map(one, due)))

    async def _watch(self, tenant_id: uuid.UUID, *, at: datetime) -> int:
        """Count up to eight slots, each in a commit of its own."""
        counted = 0
        while counted < _SLOTS and await self._count_one(tenant_id, at=at):
            counted += 1
        return counted

    async def _count_one(self, tenant_id: uuid.UUID, *, at: datetime) -> bool:
        changed: list[tuple[str, str]] = []
        async with self._database.tenant(tenant_id) as session:
            begins_at = await session.fetchval(_CLAIM, tenant_id, at)
            if begins_at is None:
                await session.execute(_BEGIN, tenant_id, slot_of(at), at)
                return False
            # What lies further back than anything is compared with is passed over.
            begins_at = max(begins_at, slot_of(at - _KEPT))
            ends_at = begins_at + SLOT
            if ends_at + SETTLED_AFTER > at:
                await session.execute(_MOVED_ON, tenant_id, begins_at, ends_at + SETTLED_AFTER)
                return False
            slot = await count_slot(session, tenant_id, begins_at=begins_at, ends_at=ends_at)
            if slot is not None:
                await session.execute(_KEEP, tenant_id, begins_at, msgspec.to_builtins(slot))
            changed = await self._judge(session, tenant_id, at=ends_at)
            await session.execute(_MOVED_ON, tenant_id, ends_at, at)
        self.counts.update(changed)
        if changed:
            self._nudge()
        return True

    async def _judge(
        self, session: Session, tenant_id: uuid.UUID, *, at: datetime
    ) -> list[tuple[str, str]]:
        """Open and close what the readings at the end of a slot say; what was."""
        settings = await read_settings(session, tenant_id)
        oldest = await session.fetchval(_OLDEST, tenant_id)
        on_the_hour = at.minute == 0
        rows = await session.fetch(_SLOTS_OF, tenant_id, at - BASELINE - LONG, at)
        if on_the_hour:
            await session.execute(_FORGET, tenant_id, at - _KEPT)
        readings = judge(
            [msgspec.convert(row["document"], Slot) for row in rows],
            settings.alerts,
            at=at,
            oldest_waiting_s=(at - oldest).total_seconds() if oldest is not None else 0.0,
            with_shifts=on_the_hour,
        )
        alerts = [_ALERT.read(row) for row in await session.fetch(_OPEN, tenant_id)]
        return await _tell(session, tenant_id, alerts, readings, at=at)


async def _tell(
    session: Session,
    tenant_id: uuid.UUID,
    alerts: Sequence[Alert],
    readings: Sequence[Reading],
    *,
    at: datetime,
) -> list[tuple[str, str]]:
    changed: list[tuple[str, str]] = []
    is_open = {(each.kind, each.subject): each for each in alerts}
    for reading in readings:
        alert = is_open.pop((reading.kind, reading.subject), None)
        plain = msgspec.to_builtins(reading)
        if alert is None and reading.state == "raised":
            alert = Alert(
                id=new_id("fal"),
                kind=reading.kind,
                subject=reading.subject,
                reading=plain,
                opened_at=at,
                told_at=at,
            )
            await session.execute(_INSERT, tenant_id, *_ALERT.values(alert))
            await insert_event(session, tenant_id, _told("fraud.alert_opened", alert, at=at))
            changed.append((reading.kind, "opened"))
        elif alert is not None and reading.state != "untold":
            over = at if reading.state == "calm" else None
            await _rewrite(session, tenant_id, alert, plain, at=at, closed_at=over)
            changed += [(reading.kind, "closed")] if over else []
        elif alert is not None:
            is_open[alert.kind, alert.subject] = alert
    for alert in is_open.values():
        if at - alert.told_at >= _FORGOTTEN_AFTER:
            await _rewrite(session, tenant_id, alert, alert.reading, at=at, closed_at=at)
            changed.append((alert.kind, "closed"))
    return changed


async def _rewrite(
    session: Session,
    tenant_id: uuid.UUID,
    alert: Alert,
    reading: dict[str, Any],
    *,
    at: datetime,
    closed_at: datetime | None,
) -> None:
    await session.execute(_TELL, tenant_id, alert.id, reading, at, closed_at)
    if closed_at is not None:
        after = msgspec.structs.replace(alert, reading=reading, told_at=at, closed_at=closed_at)
        await insert_event(session, tenant_id, _told("fraud.alert_closed", after, at=at))


def _told(kind: str, alert: Alert, *, at: datetime) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type=kind,
        occurred_at=at,
        data={
            "id": alert.id,
            "kind": alert.kind,
            "subject": alert.subject,
            "opened_at": alert.opened_at.isoformat(),
            "reading": alert.reading,
        },
    )
