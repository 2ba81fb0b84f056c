"""How do payouts stand in the database?"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from payengine.ledger import balances
from payengine.marketplace.postings import vendor_account
from payengine.marketplace.standing import pending_minor
from payengine.marketplace.treasury.models import (
    Destination,
    Payout,
    PayoutBatch,
    PayoutEvidence,
    PayoutFilter,
    PayoutHold,
    StoredSchedule,
)
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "BATCH",
    "DESTINATION",
    "EVIDENCE",
    "HOLD",
    "PAYOUT",
    "SCHEDULE",
    "account_status",
    "available",
    "destination_of",
    "fee_of",
    "get",
    "hold_on",
    "insert_batch",
    "insert_evidence",
    "insert_payout",
    "of_batch",
    "page",
    "rewrite",
    "rewrite_batch",
]

PAYOUT = Columns(Payout)
BATCH = Columns(PayoutBatch)
EVIDENCE = Columns(PayoutEvidence)
DESTINATION = Columns(Destination)
SCHEDULE = Columns(StoredSchedule)
HOLD = Columns(PayoutHold)

_ACCOUNT = "SELECT status FROM connected_account WHERE tenant_id = $1 AND id = $2"

_HOLD = f"""
    SELECT {HOLD.listed} FROM payout_hold
    WHERE tenant_id = $1 AND account_id = $2 AND released_at IS NULL ORDER BY id LIMIT 1
"""

_DESTINATION = f"""
    SELECT {DESTINATION.listed} FROM payout_destination
    WHERE tenant_id = $1 AND account_id = $2 AND currency = $3 AND status <> 'replaced'
"""

_FEE = """
    SELECT fee_minor FROM payout_schedule
    WHERE tenant_id = $1 AND account_id = $2 AND currency = $3
"""

_GET = f"SELECT {PAYOUT.listed} FROM payout WHERE tenant_id = $1 AND id = $2"
_INSERT = f"INSERT INTO payout (tenant_id, {PAYOUT.listed}) VALUES ($1, {PAYOUT.parameters(2)})"
_INSERT_BATCH = (
    f"INSERT INTO payout_batch (tenant_id, {BATCH.listed}) VALUES ($1, {BATCH.parameters(2)})"
)
_INSERT_EVIDENCE = (
    f"INSERT INTO payout_evidence (tenant_id, {EVIDENCE.listed})"
    f" VALUES ($1, {EVIDENCE.parameters(2)})"
)

_MOVES = (
    "status",
    "updated_at",
    "batch_id",
    "held_because",
    "failure_code",
    "failure_text",
    "provider_reference",
    "screened",
    "needs_review",
    "due_at",
    "sent_at",
    "ended_at",
)
_REWRITE = f"""
    UPDATE payout SET {PAYOUT.assignments(_MOVES, 4)}, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING {PAYOUT.listed}
"""

_BATCH_MOVES = ("status", "sent_at", "due_at", "tries")
_REWRITE_BATCH = f"""
    UPDATE payout_batch SET {BATCH.assignments(_BATCH_MOVES, 4)}, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING {BATCH.listed}
"""

#: Locked in the order of their ids, as everybody locks several.
_OF_BATCH = f"""
    SELECT {PAYOUT.listed} FROM payout
    WHERE tenant_id = $1 AND batch_id = $2 ORDER BY id FOR UPDATE
"""

_PAGE = f"""
    SELECT {PAYOUT.listed} FROM payout
    WHERE tenant_id = $1 AND id < coalesce($2, '~')
      AND ($3::text IS NULL OR account_id = $3) AND ($4::text IS NULL OR status = $4)
      AND ($5::text IS NULL OR batch_id = $5) AND ($6::boolean IS NULL OR needs_review = $6)
    ORDER BY id DESC LIMIT $7
"""


async def account_status(session: Session, tenant_id: uuid.UUID, account_id: str) -> str | None:
    """The connected account's onboarding status, or None where there is no such account."""
    found: str | None = await session.fetchval(_ACCOUNT, tenant_id, account_id)
    return found


async def hold_on(session: Session, tenant_id: uuid.UUID, account_id: str) -> PayoutHold | None:
    """The oldest hold that stands on the account's payouts."""
    row = await session.fetchrow(_HOLD, tenant_id, account_id)
    return None if row is None else HOLD.read(row)


async def destination_of(
    session: Session, tenant_id: uuid.UUID, account_id: str, *, currency: str
) -> Destination | None:
    """Where the account's money of the currency goes."""
    row = await session.fetchrow(_DESTINATION, tenant_id, account_id, currency)
    return None if row is None else DESTINATION.read(row)


async def fee_of(session: Session, tenant_id: uuid.UUID, account_id: str, *, currency: str) -> int:
    """The minor units that the account pays for a payout of the currency."""
    found: int | None = await session.fetchval(_FEE, tenant_id, account_id, currency)
    return found or 0


async def available(
    session: Session, tenant_id: uuid.UUID, account_id: str, *, currency: str, at: datetime
) -> int:
    """Minor units that may be paid out: what stands there less what is not available yet."""
    standing = await balances(session, tenant_id, account=vendor_account(account_id))
    there = sum(each.available for each in standing if each.currency == currency)
    return there - await pending_minor(session, tenant_id, account_id, currency, at=at)


async def get(
    session: Session, tenant_id: uuid.UUID, payout_id: str, *, lock: bool = False
) -> Payout | None:
    """The payout as it stands."""
    row = await session.fetchrow(_GET + (" FOR UPDATE" if lock else ""), tenant_id, payout_id)
    return None if row is None else PAYOUT.read(row)


async def of_batch(session: Session, tenant_id: uuid.UUID, batch_id: str) -> list[Payout]:
    """The batch's payouts in the order of their ids, locked."""
    return [PAYOUT.read(row) for row in await session.fetch(_OF_BATCH, tenant_id, batch_id)]


async def page(
    session: Session,
    tenant_id: uuid.UUID,
    wanted: PayoutFilter,
    *,
    first: int,
    after: str | None,
) -> list[Payout]:
    """Newest first, after the payout `after`; one more than `first` where there is."""
    rows = await session.fetch(
        _PAGE,
        tenant_id,
        after,
        wanted.account_id,
        wanted.status,
        wanted.batch_id,
        wanted.needs_review,
        first + 1,
    )
    return [PAYOUT.read(row) for row in rows]


async def insert_payout(session: Session, tenant_id: uuid.UUID, payout: Payout) -> None:
    """Write a new payout."""
    await session.execute(_INSERT, tenant_id, *PAYOUT.values(payout))


async def insert_batch(session: Session, tenant_id: uuid.UUID, batch: PayoutBatch) -> None:
    """Write a new batch."""
    await session.execute(_INSERT_BATCH, tenant_id, *BATCH.values(batch))


async def insert_evidence(
    session: Session, tenant_id: uuid.UUID, evidence: Sequence[PayoutEvidence]
) -> None:
    """Write why things are believed."""
    for one in evidence:
        await session.execute(_INSERT_EVIDENCE, tenant_id, *EVIDENCE.values(one))


async def rewrite(session: Session, tenant_id: uuid.UUID, payout: Payout) -> Payout | None:
    """Write what has changed under the version that was read; None where it has moved on."""
    values = [getattr(payout, name) for name in _MOVES]
    row = await session.fetchrow(_REWRITE, tenant_id, payout.id, payout.version, *values)
    return None if row is None else PAYOUT.read(row)


async def rewrite_batch(
    session: Session, tenant_id: uuid.UUID, batch: PayoutBatch
) -> PayoutBatch | None:
    """Write what has changed under the version that was read; None where the lease was lost."""
    values = [getattr(batch, name) for name in _BATCH_MOVES]
    row = await session.fetchrow(_REWRITE_BATCH, tenant_id, batch.id, batch.version, *values)
    return None if row is None else BATCH.read(row)
