"""What has the tenant chosen, and what did it choose before?"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import structlog

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.fraud.desk.words import check_reason
from payengine.fraud.rulebook import ask_backfill
from payengine.fraud.settings import FraudSettings, SavedSettings, parse_fraud_settings
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.storage import Database, Session
from payengine.storage.columns import Columns

__all__ = ["Choices", "ConfigureFraud", "read_settings"]

_MOST_VERSIONS = 10_000

_SAVED = Columns(SavedSettings)

#: Versions are numbered without gaps: one writer of a tenant at a time.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_NEWEST = f"""
    SELECT {_SAVED.listed} FROM fraud_setting
    WHERE tenant_id = $1 ORDER BY version DESC LIMIT $2
"""

_ONE = f"SELECT {_SAVED.listed} FROM fraud_setting WHERE tenant_id = $1 AND version = $2"

_SAVE = f"""
    INSERT INTO fraud_setting (tenant_id, {_SAVED.listed}) VALUES ($1, {_SAVED.parameters(2)})
"""

_log = structlog.get_logger(__name__)


class ConfigureFraud(msgspec.Struct, frozen=True, kw_only=True):
    """Save the tenant's settings of fraud, all of them."""

    idempotency_key: str
    settings: object
    reason: str


async def read_settings(session: Session, tenant_id: uuid.UUID) -> FraudSettings:
    """What holds; the defaults where nothing was saved, or what was cannot be read any more."""
    return _parsed(await session.fetchrow(_NEWEST, tenant_id, 1))


def _parsed(row: Any) -> FraudSettings:
    if row is None:
        return FraudSettings()
    try:
        return parse_fraud_settings(row["document"])
    except InputInvalid as problem:
        _log.error("fraud_settings_unreadable", error=problem.message)
        return FraudSettings()


class Choices:
    """The settings of fraud of all tenants."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        nudge: Callable[[], None],
        changed: Callable[[uuid.UUID], None],
    ) -> None:
        """`changed` is told the tenant whose settings have."""
        self._database = database
        self._clock = clock
        self._nudge = nudge
        self._changed = changed

    async def saved(self, context: TenantContext, *, first: int) -> list[SavedSettings]:
        """The last `first` versions, the newest first: it holds."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_NEWEST, context.tenant_id, first)
        return [_SAVED.read(row) for row in rows]

    async def settings(self, context: TenantContext) -> FraudSettings:
        """What holds."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await read_settings(session, context.tenant_id)

    async def save(self, context: TenantContext, request: ConfigureFraud) -> SavedSettings:
        """Add a version, which holds from now on; raises `InputInvalid`, `Conflict` at 10,000.

        A payment that is held already keeps its time.
        """
        context.require("fraud:write")
        check_key(request.idempotency_key)
        check_reason(request.reason)
        parsed = parse_fraud_settings(request.settings)
        now = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            await session.execute(_LOCK, f"fraud settings {context.tenant_id}")
            last = await session.fetchrow(_NEWEST, context.tenant_id, 1)
            version = 1 + (last["version"] if last is not None else 0)
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="configureFraud",
                fingerprint=fingerprint("configureFraud", request),
                resource_id=str(version),
                at=now,
            )
            if earlier is not None:
                row = await session.fetchrow(_ONE, context.tenant_id, int(earlier))
                assert row is not None
                return _SAVED.read(row)
            before = _parsed(last)
            if version > _MOST_VERSIONS:
                raise Conflict(f"A tenant has at most {_MOST_VERSIONS} versions.")
            saved = SavedSettings(
                version=version,
                document=msgspec.to_builtins(parsed),
                reason=request.reason,
                actor=context.actor,
                created_at=now,
            )
            await session.execute(_SAVE, context.tenant_id, *_SAVED.values(saved))
            if parsed.base_currency != before.base_currency:
                await ask_backfill(session, context.tenant_id)
            await insert_event(session, context.tenant_id, _told(saved, at=now))
        self._changed(context.tenant_id)
        self._nudge()
        return saved


def _told(saved: SavedSettings, *, at: datetime) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type="fraud.configured",
        occurred_at=at,
        data={"version": saved.version, "settings": saved.document, "reason": saved.reason},
    )
