"""How is a renewed subscription written, and one that could not be renewed?

Few statements for a whole batch. The rows are locked by whoever calls.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.billing.invoices.due import DueSubscription
from payengine.billing.renewing import Renewable, RenewalFailure, next_due_of
from payengine.events import NewEvent
from payengine.events.writing import EVENT, INSERT_EVENT
from payengine.ids import new_id
from payengine.storage import Session

__all__ = ["Advanced", "advance", "retry_failed", "set_aside"]

#: A renewal that succeeds settles what failed before.
_ADVANCE = """
    WITH settled AS (
        UPDATE renewal_failure SET resolved_at = $2::timestamptz
        WHERE tenant_id = $1 AND subscription_id = ANY ($3) AND resolved_at IS NULL
    )
    UPDATE subscription SET status = given.status,
        anchor = given.anchor, anchor_day = given.anchor_day, period_start = given.period_start,
        period_end = given.period_end, pause_at_period_end = given.pauses, due_at = given.due_at,
        canceled_at = CASE WHEN given.status = 'canceled'
                           THEN coalesce(canceled_at, $2::timestamptz) ELSE canceled_at END,
        ended_at = CASE WHEN given.status = 'canceled' THEN given.period_end ELSE ended_at END,
        version = version + 1
    FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::integer[], $7::timestamptz[],
                $8::timestamptz[], $9::boolean[], $10::timestamptz[])
        AS given (id, status, anchor, anchor_day, period_start, period_end, pauses, due_at)
    WHERE tenant_id = $1 AND subscription.id = given.id
    RETURNING subscription.id, customer_id, subscription.status, access,
              subscription.period_start, subscription.period_end
"""

#: Tried again after a minute, two, four and so on, at last every six hours; never forgotten.
_SET_ASIDE = """
    WITH failed AS (
        INSERT INTO renewal_failure AS known (tenant_id, subscription_id, attempts, code, message,
                                              first_at, failed_at, retry_at)
        SELECT $1::uuid, id, 1, code, message, $2::timestamptz, $2::timestamptz,
               $2::timestamptz + interval '1 minute'
        FROM unnest($3::text[], $4::text[], $5::text[]) AS told (id, code, message)
        ON CONFLICT (tenant_id, subscription_id) DO UPDATE SET
            attempts = CASE WHEN known.resolved_at IS NULL THEN known.attempts + 1 ELSE 1 END,
            code = excluded.code, message = excluded.message, failed_at = $2,
            first_at = CASE WHEN known.resolved_at IS NULL THEN known.first_at ELSE $2 END,
            retry_at = $2::timestamptz + CASE
                WHEN known.resolved_at IS NOT NULL THEN interval '1 minute'
                ELSE least(interval '1 minute' * 2 ^ least(known.attempts, 20),
                           interval '6 hours') END,
            resolved_at = NULL
        RETURNING subscription_id, attempts, code, message, retry_at
    )
    UPDATE subscription SET due_at = failed.retry_at FROM failed
    WHERE tenant_id = $1 AND id = failed.subscription_id AND due_at <= $2
    RETURNING id, customer_id, status, access, period_start, period_end, attempts, code, message,
              retry_at
"""

_RETRY_FAILED = """
    UPDATE subscription SET due_at = $2
    FROM renewal_failure AS failure
    WHERE subscription.tenant_id = $1 AND failure.tenant_id = $1
      AND failure.subscription_id = subscription.id AND failure.resolved_at IS NULL
      AND subscription.due_at = failure.retry_at AND subscription.due_at > $2
      AND ($3::text IS NULL OR subscription.customer_id = $3)
"""

_TELL = f"""
    {INSERT_EVENT}
    SELECT $1, {EVENT.listed}
    FROM unnest($2::text[], $3::text[], $4::jsonb[], $5::timestamptz[], $6::text[], $7::text[],
                $8::text[])
        AS news ({EVENT.listed})
"""

_TYPES: dict[str, str] = {
    "canceled": "subscription.canceled",
    "paused": "subscription.paused",
    "needs_operator": "subscription.needs_operator",
}


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it was claimed, and as it is to be."""

    before: DueSubscription
    after: Renewable


async def advance(
    session: Session, tenant_id: uuid.UUID, at: datetime, advanced: Sequence[Advanced]
) -> None:
    """Write the subscriptions as they are after their boundaries, and tell of each."""
    if not advanced:
        return
    after = [each.after for each in advanced]
    rows = await session.fetch(
        _ADVANCE,
        tenant_id,
        at,
        [each.id for each in after],
        [each.status for each in after],
        [each.cadence.anchor for each in after],
        [each.cadence.anchor_day for each in after],
        [each.period_start for each in after],
        [each.period_end for each in after],
        [each.pause_at_period_end for each in after],
        [_due_at(each) for each in advanced],
    )
    await _tell(
        session,
        tenant_id,
        [_event(_TYPES.get(row["status"], "subscription.renewed"), row, at=at) for row in rows],
    )


async def set_aside(
    session: Session, tenant_id: uuid.UUID, at: datetime, failed: Sequence[RenewalFailure]
) -> None:
    """Keep why each could not be renewed, tell it, and put off the next try."""
    if not failed:
        return
    rows = await session.fetch(
        _SET_ASIDE,
        tenant_id,
        at,
        [each.subscription_id for each in failed],
        [each.code for each in failed],
        [each.message[:500] for each in failed],
    )
    news = []
    for row in rows:
        why = {name: row[name] for name in ("code", "message", "attempts")}
        why["retry_at"] = row["retry_at"].isoformat()
        news.append(_event("subscription.renewal_failed", row, at=at, **why))
    await _tell(session, tenant_id, news)


async def retry_failed(
    session: Session, tenant_id: uuid.UUID, at: datetime, *, customer_id: str | None = None
) -> None:
    """Let what could not be renewed be tried at the instant; of one customer, or of all."""
    await session.execute(_RETRY_FAILED, tenant_id, at, customer_id)


def _due_at(each: Advanced) -> datetime | None:
    if each.after.status == "canceled":
        return None
    return next_due_of(
        each.after.status,
        period_end=each.after.period_end,
        change_at=each.before.change_at,
        notice_at=each.before.notice_at,
    )


def _event(kind: str, row: Mapping[str, Any], *, at: datetime, **more: Any) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type=kind,
        customer_id=row["customer_id"],
        data={
            "subscription_id": row["id"],
            "status": row["status"],
            "access": row["access"],
            "period_start": row["period_start"].isoformat(),
            "period_end": row["period_end"].isoformat(),
            **more,
        },
        occurred_at=at,
    )


async def _tell(session: Session, tenant_id: uuid.UUID, news: Sequence[NewEvent]) -> None:
    columns = zip(*(EVENT.values(each) for each in news), strict=True)
    if news:
        await session.execute(_TELL, tenant_id, *(list(column) for column in columns))
