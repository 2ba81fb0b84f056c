"""How do endpoints and their log stand in the database?

The statements of a reader at work. Whoever raised `fence` last holds the endpoint: every write of
a reader names its fence, so what a reader writes that was frozen past its lease changes nothing.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import msgspec

from payengine.context import Mode
from payengine.storage import Session
from payengine.storage.columns import Columns
from payengine.vault import Vault
from payengine.webhooks.models import (
    Attempt,
    Delivery,
    Endpoint,
    Redelivery,
    Secret,
)

__all__ = [
    "ATTEMPT",
    "DELIVERY",
    "ENDPOINT",
    "REDELIVERY",
    "SECRET",
    "Held",
    "adopt_epoch",
    "claim_endpoint",
    "live_secrets",
    "move_on",
    "move_redelivery",
    "no_redelivery_left",
    "open_redelivery",
    "release",
    "renew",
    "seal_secret",
    "switch_off",
    "write_attempt",
    "write_delivery",
]

ENDPOINT = Columns(Endpoint)
SECRET = Columns(Secret)
DELIVERY = Columns(Delivery)
ATTEMPT = Columns(Attempt)
REDELIVERY = Columns(Redelivery)

_CLAIM = f"""
    UPDATE webhook_endpoint SET fence = fence + 1, leased_until = $4
    WHERE tenant_id = $1 AND id = $2 AND status = 'enabled'
      AND (leased_until IS NULL OR leased_until <= $3)
    RETURNING {ENDPOINT.listed}, fence, redeliver_at, leased_until
"""

_MODE = "SELECT mode FROM tenant WHERE id = $1"

_RENEW = """
    UPDATE webhook_endpoint SET leased_until = $4
    WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND status = 'enabled'
    RETURNING version
"""

_RELEASE = """
    UPDATE webhook_endpoint SET leased_until = NULL, position = $4, served_at = $5
    WHERE tenant_id = $1 AND id = $2 AND fence = $3
"""

_ADOPT_EPOCH = """
    UPDATE webhook_endpoint SET epoch = $4, position = least(position, $5)
    WHERE tenant_id = $1 AND id = $2 AND fence = $3
    RETURNING position
"""

_MOVE_ON = """
    UPDATE webhook_endpoint
    SET position = $4, tries = $5, first_tried_at = $6, retry_at = $7, leased_until = $8
    WHERE tenant_id = $1 AND id = $2 AND fence = $3
    RETURNING version
"""

_SWITCH_OFF = """
    UPDATE webhook_endpoint
    SET status = 'disabled', disabled_reason = $4, disabled_at = $5, retry_at = NULL,
        updated_at = $5, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND status = 'enabled'
    RETURNING id
"""

_OPEN_REDELIVERY = f"""
    SELECT {REDELIVERY.listed} FROM webhook_redelivery
    WHERE tenant_id = $1 AND endpoint_id = $2 AND status = 'open' ORDER BY id LIMIT 1
"""

#: Whoever asks for a redelivery raises the version, so none is overlooked.
_NO_REDELIVERY_LEFT = """
    UPDATE webhook_endpoint SET redeliver_at = NULL
    WHERE tenant_id = $1 AND id = $2 AND fence = $3 AND version = $4
"""

_MOVE_REDELIVERY = """
    WITH moved AS (
        UPDATE webhook_endpoint SET redeliver_at = $5, leased_until = $6
        WHERE tenant_id = $1 AND id = $2 AND fence = $3
        RETURNING version
    ), gone_on AS (
        UPDATE webhook_redelivery
        SET position = $7, status = $8, delivered = $9, tries = $10, first_tried_at = $11
        FROM moved WHERE tenant_id = $1 AND id = $4
    )
    SELECT version FROM moved
"""

_WRITE_DELIVERY = f"""
    INSERT INTO webhook_delivery AS known (tenant_id, {DELIVERY.listed})
    VALUES ($1, {DELIVERY.parameters(2)})
    ON CONFLICT (tenant_id, endpoint_id, event_id) DO UPDATE
    SET status = excluded.status, tries = known.tries + 1,
        next_attempt_at = excluded.next_attempt_at, updated_at = excluded.updated_at,
        delivered_at = coalesce(excluded.delivered_at, known.delivered_at)
    RETURNING {DELIVERY.listed}
"""

_WRITE_ATTEMPT = f"""
    INSERT INTO webhook_attempt (tenant_id, {ATTEMPT.listed}) VALUES ($1, {ATTEMPT.parameters(2)})
"""

_LIVE_SECRETS = """
    SELECT id, sealed FROM webhook_secret
    WHERE tenant_id = $1 AND endpoint_id = $2 AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY id DESC
"""


class Held(msgspec.Struct, kw_only=True):
    """An endpoint in the hands of one reader."""

    endpoint: Endpoint
    mode: Mode
    secrets: list[str]
    fence: int
    leased_until: datetime
    redeliver_at: datetime | None


async def claim_endpoint(
    session: Session,
    vault: Vault,
    tenant_id: uuid.UUID,
    endpoint_id: str,
    *,
    at: datetime,
    until: datetime,
    business_at: datetime,
) -> Held | None:
    """Take the endpoint until then; None where it is held, or is not enabled."""
    row = await session.fetchrow(_CLAIM, tenant_id, endpoint_id, at, until)
    if row is None:
        return None
    return Held(
        endpoint=ENDPOINT.read(row),
        mode=await session.fetchval(_MODE, tenant_id),
        secrets=await live_secrets(session, vault, tenant_id, endpoint_id, at=business_at),
        fence=row["fence"],
        leased_until=row["leased_until"],
        redeliver_at=row["redeliver_at"],
    )


async def live_secrets(
    session: Session, vault: Vault, tenant_id: uuid.UUID, endpoint_id: str, *, at: datetime
) -> list[str]:
    """The secrets that sign at that instant, the newest first."""
    rows = await session.fetch(_LIVE_SECRETS, tenant_id, endpoint_id, at)
    return [
        await vault.open(
            session,
            tenant_id,
            row["sealed"],
            table="webhook_secret",
            row=row["id"],
            column="sealed",
        )
        for row in rows
    ]


async def seal_secret(
    session: Session, vault: Vault, tenant_id: uuid.UUID, *, secret_id: str, secret: str
) -> bytes:
    """The secret sealed for its own cell."""
    return await vault.seal(
        session, tenant_id, secret, table="webhook_secret", row=secret_id, column="sealed"
    )


async def renew(
    session: Session, tenant_id: uuid.UUID, held: Held, *, until: datetime
) -> int | None:
    """Hold the endpoint until then; its version, or None where it is ours no more."""
    found: int | None = await session.fetchval(
        _RENEW, tenant_id, held.endpoint.id, held.fence, until
    )
    return found


async def release(
    session: Session, tenant_id: uuid.UUID, held: Held, *, position: int, at: datetime
) -> None:
    """Let go of the endpoint, all events up to `position` dealt with."""
    await session.execute(_RELEASE, tenant_id, held.endpoint.id, held.fence, position, at)


async def adopt_epoch(
    session: Session, tenant_id: uuid.UUID, held: Held, *, epoch: int, head: int
) -> int | None:
    """Go on in the log as it is after a restore: at the position that the same restore gave."""
    found: int | None = await session.fetchval(
        _ADOPT_EPOCH, tenant_id, held.endpoint.id, held.fence, epoch, head
    )
    return found


async def move_on(
    session: Session, tenant_id: uuid.UUID, held: Held, moved: Endpoint, *, until: datetime
) -> int | None:
    """Write where the reader stands; the endpoint's version, or None where it is ours no more."""
    found: int | None = await session.fetchval(
        _MOVE_ON,
        tenant_id,
        moved.id,
        held.fence,
        moved.position,
        moved.tries,
        moved.first_tried_at,
        moved.retry_at,
        until,
    )
    return found


async def switch_off(
    session: Session, tenant_id: uuid.UUID, held: Held, *, reason: str, at: datetime
) -> bool:
    """Disable the endpoint; False where somebody else did."""
    found = await session.fetchval(_SWITCH_OFF, tenant_id, held.endpoint.id, held.fence, reason, at)
    return found is not None


async def open_redelivery(
    session: Session, tenant_id: uuid.UUID, endpoint_id: str
) -> Redelivery | None:
    """The oldest redelivery that is not done."""
    row = await session.fetchrow(_OPEN_REDELIVERY, tenant_id, endpoint_id)
    return REDELIVERY.read(row) if row else None


async def no_redelivery_left(session: Session, tenant_id: uuid.UUID, held: Held) -> None:
    """Look for no redelivery until one is asked for."""
    endpoint = held.endpoint
    await session.execute(_NO_REDELIVERY_LEFT, tenant_id, endpoint.id, held.fence, endpoint.version)


async def move_redelivery(
    session: Session,
    tenant_id: uuid.UUID,
    held: Held,
    moved: Redelivery,
    *,
    look_at: datetime,
    until: datetime,
) -> int | None:
    """Write where the redelivery stands; the endpoint's version, or None if it is ours no more."""
    found: int | None = await session.fetchval(
        _MOVE_REDELIVERY,
        tenant_id,
        moved.endpoint_id,
        held.fence,
        moved.id,
        look_at,
        until,
        moved.position,
        moved.status,
        moved.delivered,
        moved.tries,
        moved.first_tried_at,
    )
    return found


async def write_delivery(session: Session, tenant_id: uuid.UUID, delivery: Delivery) -> Delivery:
    """Log one more try of the event at this endpoint; the delivery as it stands."""
    row = await session.fetchrow(_WRITE_DELIVERY, tenant_id, *DELIVERY.values(delivery))
    assert row is not None
    return DELIVERY.read(row)


async def write_attempt(session: Session, tenant_id: uuid.UUID, attempt: Attempt) -> None:
    """Log what came of the try."""
    await session.execute(_WRITE_ATTEMPT, tenant_id, *ATTEMPT.values(attempt))
