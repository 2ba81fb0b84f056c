"""How long are records kept that only explain what happened?

A job of the calendar takes away what is older than the operator chose, tenant by tenant and in
small commits; what it does not get done waits for the next night. Money's own records stay.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from payengine.jobs import Cron, Handler
from payengine.payments.inbound.forgetting import forget_requests
from payengine.settings import Settings
from payengine.storage import Database, Session
from payengine.webhooks.forgetting import forget_deliveries

__all__ = ["FORGETTING", "retention_handler"]

_KIND = "records.forget"
FORGETTING = Cron(_KIND, "47 3 * * *")

_AT_ONCE = 1_000
#: How many commits one night makes for one tenant's records of one kind.
_TURNS = 500

_Forget = Callable[[Session, uuid.UUID, datetime], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class _Rule:
    """Records that go after `keep`; `forget` takes some away and says how many."""

    keep: timedelta
    forget: _Forget


def retention_handler(
    database: Database, settings: Settings, *, at_once: int = _AT_ONCE
) -> Handler:
    """The handler of the nightly job; the job's row id is its instant."""

    async def forget(tenant_id: uuid.UUID, row_id: str) -> None:
        at = datetime.fromisoformat(row_id)
        rules = _rules(settings, at=at, at_once=at_once)
        for each in await database.tenant_ids():
            for rule in rules:
                await _apply(database, each, rule, before=at - rule.keep, at_once=at_once)

    return Handler(_KIND, forget, at_once=1, per_tenant=1, tries=5, deadline_s=3_600)


def _rules(settings: Settings, *, at: datetime, at_once: int) -> tuple[_Rule, ...]:
    async def deliveries(session: Session, tenant_id: uuid.UUID, before: datetime) -> int:
        return await forget_deliveries(session, tenant_id, before=before, limit=at_once)

    async def requests(session: Session, tenant_id: uuid.UUID, before: datetime) -> int:
        return await forget_requests(session, tenant_id, before=before, at=at, limit=at_once)

    return (
        _Rule(timedelta(days=settings.delivery_log_days), deliveries),
        _Rule(timedelta(days=settings.inbound_raw_days), requests),
    )


async def _apply(
    database: Database, tenant_id: uuid.UUID, rule: _Rule, *, before: datetime, at_once: int
) -> None:
    for _ in range(_TURNS):
        async with database.tenant(tenant_id) as session:
            gone = await rule.forget(session, tenant_id, before)
        if gone < at_once:
            return
