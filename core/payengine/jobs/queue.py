"""How does a room ask for something to happen later?

In the transaction that makes it necessary: where that is rolled back, nobody was asked. The row is
written in the form that pgqueuer reads, by the app role, which may do no more to the queue than add
to it and confirm that it still holds a job.
"""

from __future__ import annotations

import hashlib
import uuid
from contextvars import ContextVar
from datetime import datetime

import msgspec

from payengine.errors import LeaseLost
from payengine.jobs.models import Claim, Payload, entrypoint_of
from payengine.storage import Session

__all__ = ["CURRENT", "enqueue", "fence"]

#: The job that this task does.
CURRENT: ContextVar[Claim | None] = ContextVar("current_job", default=None)

_ENQUEUE = """
    INSERT INTO pgqueuer
        (tenant_id, entrypoint, payload, execute_after, dedupe_key, priority, status)
    VALUES ($1, $2, $3, $4, $5, 0, 'queued')
    ON CONFLICT DO NOTHING
    RETURNING id
"""

#: The row lock keeps the lease ours until the transaction has ended.
_FENCE = """
    UPDATE pgqueuer SET heartbeat = statement_timestamp()
    WHERE id = $1 AND queue_manager_id = $2 AND status = 'picked'
    RETURNING id
"""


async def enqueue(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    kind: str,
    row_id: str,
    due_at: datetime,
    dedupe: str | None = None,
) -> int | None:
    """Ask for `kind` to be done for the row from `due_at` on; returns the job's id.

    `dedupe` names the wish: while a job with the same name waits, another is not added and None is
    returned. One that is being done counts no longer, as it may have read the row before. Raises
    InputInvalid for a kind or an id that cannot be one.
    """
    payload = Payload(tenant_id, kind, row_id)
    found: int | None = await session.fetchval(
        _ENQUEUE,
        tenant_id,
        entrypoint_of(kind, tenant_id),
        msgspec.json.encode(payload),
        due_at,
        None if dedupe is None else _dedupe_key(payload, dedupe),
    )
    return found


def _dedupe_key(payload: Payload, name: str) -> str:
    """pgqueuer's key is one for all tenants: the hash keeps them apart, and the name unread."""
    named = f"{payload.tenant_id}\0{payload.kind}\0{name}"
    return hashlib.sha256(named.encode()).hexdigest()


async def fence(session: Session) -> None:
    """Confirm, in the transaction that writes, that the job at hand is still ours.

    Raises LeaseLost where another worker has it by now: the transaction must not commit. Outside a
    job it does nothing, so that a room's poller may take the same way. `session` is of the job's
    tenant, or the worker's where the job is the house's own.
    """
    claim = CURRENT.get()
    if claim is not None and await session.fetchval(_FENCE, claim.id, claim.token) is None:
        raise LeaseLost
