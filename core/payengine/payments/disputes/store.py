"""How do disputes stand in the database?"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from payengine.payments.disputes.models import Dispute, Evidence, Report, Step
from payengine.payments.models import Operation
from payengine.payments.store import OPERATION
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "DISPUTE",
    "EVIDENCE",
    "REPORT",
    "STEP",
    "disputed_operation",
    "evidence_of",
    "find",
    "get",
    "insert_dispute",
    "insert_report",
    "insert_step",
    "rewrite_dispute",
    "rewrite_step",
    "told_of",
]

DISPUTE = Columns(Dispute)
EVIDENCE = Columns(Evidence)
REPORT = Columns(Report)
STEP = Columns(Step)

#: The most reports of one dispute that count, and the most steps.
_MOST = 1_000

_FIND = f"""
    SELECT {DISPUTE.listed} FROM dispute
    WHERE tenant_id = $1 AND gateway = $2 AND provider_reference = $3
"""

_GET = f"SELECT {DISPUTE.listed} FROM dispute WHERE tenant_id = $1 AND id = $2"

_BY_KEY = f"""
    SELECT {OPERATION.listed} FROM operation
    WHERE tenant_id = $1 AND id = $2 AND gateway = $3 AND kind <> 'dispute'
"""

_BY_REFERENCE = f"""
    SELECT {OPERATION.listed} FROM operation
    WHERE tenant_id = $1 AND provider_reference = $2 AND gateway = $3 AND kind <> 'dispute'
    ORDER BY created_at LIMIT 1
"""

_INSERT = f"INSERT INTO dispute (tenant_id, {DISPUTE.listed}) VALUES ($1, {DISPUTE.parameters(2)})"

_INSERT_REPORT = f"""
    INSERT INTO dispute_report (tenant_id, {REPORT.listed}) VALUES ($1, {REPORT.parameters(2)})
    ON CONFLICT (tenant_id, dispute_id, event_id) DO NOTHING
    RETURNING event_id
"""

_INSERT_STEP = (
    f"INSERT INTO dispute_step (tenant_id, {STEP.listed}) VALUES ($1, {STEP.parameters(2)})"
)

_MOVES = (
    "status",
    "reason",
    "fee_minor",
    "fee_returned",
    "evidence_due_at",
    "remind_at",
    "version",
    "updated_at",
)
_REWRITE = f"""
    UPDATE dispute SET {DISPUTE.assignments(_MOVES, 4)}
    WHERE tenant_id = $1 AND id = $2 AND version = $3
"""

_STEP_MOVES = ("status", "raw_code", "raw_text", "due_at", "version", "updated_at")
_REWRITE_STEP = f"""
    UPDATE dispute_step SET {STEP.assignments(_STEP_MOVES, 4)}
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING id
"""

_REPORTS = f"""
    SELECT {REPORT.listed} FROM dispute_report
    WHERE tenant_id = $1 AND dispute_id = $2 ORDER BY occurred_at, event_id LIMIT {_MOST}
"""

_STEPS = f"""
    SELECT {STEP.listed} FROM dispute_step
    WHERE tenant_id = $1 AND dispute_id = $2 ORDER BY id LIMIT {_MOST}
"""

_EVIDENCE_OF = f"""
    SELECT {EVIDENCE.listed} FROM dispute_evidence
    WHERE tenant_id = $1 AND dispute_id = $2 ORDER BY id
"""


async def find(
    session: Session, tenant_id: uuid.UUID, *, gateway: str, reference: str
) -> Dispute | None:
    """The dispute that the provider calls so."""
    row = await session.fetchrow(_FIND, tenant_id, gateway, reference)
    return None if row is None else DISPUTE.read(row)


async def get(session: Session, tenant_id: uuid.UUID, dispute_id: str) -> Dispute | None:
    """The dispute as it stands."""
    row = await session.fetchrow(_GET, tenant_id, dispute_id)
    return None if row is None else DISPUTE.read(row)


async def disputed_operation(
    session: Session, tenant_id: uuid.UUID, *, gateway: str, key: str | None, reference: str | None
) -> Operation | None:
    """The operation at the gateway that was sent with `key`, else the one it calls `reference`."""
    row = None
    if key is not None:
        row = await session.fetchrow(_BY_KEY, tenant_id, key, gateway)
    if row is None and reference is not None:
        row = await session.fetchrow(_BY_REFERENCE, tenant_id, reference, gateway)
    return None if row is None else OPERATION.read(row)


async def insert_dispute(session: Session, tenant_id: uuid.UUID, dispute: Dispute) -> None:
    """Write a new dispute, whose operation exists."""
    await session.execute(_INSERT, tenant_id, *DISPUTE.values(dispute))


async def insert_report(session: Session, tenant_id: uuid.UUID, report: Report) -> bool:
    """Write what the provider told; False where it told the same event before."""
    return (await session.fetchval(_INSERT_REPORT, tenant_id, *REPORT.values(report))) is not None


async def insert_step(session: Session, tenant_id: uuid.UUID, step: Step) -> None:
    """Write a step that will be sent."""
    await session.execute(_INSERT_STEP, tenant_id, *STEP.values(step))


async def rewrite_dispute(
    session: Session, tenant_id: uuid.UUID, dispute: Dispute, *, at: datetime
) -> Dispute:
    """Write what may change of a dispute whose payment this transaction has locked."""
    version = dispute.version + 1
    values = [getattr(dispute, name) for name in _MOVES[:-2]]
    await session.execute(_REWRITE, tenant_id, dispute.id, dispute.version, *values, version, at)
    return (await get(session, tenant_id, dispute.id)) or dispute


async def rewrite_step(session: Session, tenant_id: uuid.UUID, step: Step, *, before: int) -> bool:
    """Write what became of a step; False where it has moved on from the version `before`."""
    values = [getattr(step, name) for name in _STEP_MOVES]
    found = await session.fetchval(_REWRITE_STEP, tenant_id, step.id, before, *values)
    return found is not None


async def told_of(
    session: Session, tenant_id: uuid.UUID, dispute_id: str
) -> tuple[list[Report], list[Step]]:
    """What the provider told and what it was asked, oldest first."""
    reports = await session.fetch(_REPORTS, tenant_id, dispute_id)
    steps = await session.fetch(_STEPS, tenant_id, dispute_id)
    return [REPORT.read(row) for row in reports], [STEP.read(row) for row in steps]


async def evidence_of(
    session: Session, tenant_id: uuid.UUID, dispute_id: str
) -> Sequence[Evidence]:
    """The dispute's evidence without its content, oldest first."""
    rows = await session.fetch(_EVIDENCE_OF, tenant_id, dispute_id)
    return [EVIDENCE.read(row) for row in rows]
