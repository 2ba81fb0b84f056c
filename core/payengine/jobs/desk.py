"""What waits, what is held, and what does a person do about it?"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.jobs.models import kind_of
from payengine.jobs.shape import builder
from payengine.storage import Database

__all__ = ["MOST", "Depth", "Job", "JobDesk", "JobFilter", "State"]

#: The most jobs that one call lists, retries or drops.
MOST = 1_000

State = Literal["waiting", "running", "held"]
_STATUSES: dict[State, str] = {"waiting": "queued", "running": "picked", "held": "failed"}
_STATES = {status: state for state, status in _STATUSES.items()}

_CHOSEN = """
    ($1::uuid IS NULL OR job.tenant_id = $1)
    AND ($2::text IS NULL OR split_part(job.entrypoint, ':', 1) = $2)
    AND ($3::text IS NULL OR job.status = $3::text::pgqueuer_status)
    AND ($4::bigint[] IS NULL OR job.id = ANY ($4))
"""

_LIST = f"""
    SELECT job.id, job.tenant_id, job.entrypoint, job.status::text AS status, job.payload,
           job.attempts, job.created, job.execute_after, failure.traceback
    FROM pgqueuer AS job
    LEFT JOIN LATERAL (
        SELECT traceback FROM pgqueuer_log AS entry
        WHERE entry.job_id = job.id AND entry.traceback IS NOT NULL
        ORDER BY entry.created DESC, entry.id DESC LIMIT 1
    ) AS failure ON true
    WHERE {_CHOSEN} ORDER BY job.id LIMIT $5
"""

_IDS = f"""
    SELECT job.id FROM pgqueuer AS job WHERE {_CHOSEN}
    ORDER BY job.id LIMIT $5 FOR UPDATE SKIP LOCKED
"""

_DROP = """
    WITH dropped AS (
        DELETE FROM pgqueuer WHERE id = ANY ($1) AND status <> 'picked'
        RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
    SELECT id, 'deleted', entrypoint, priority FROM dropped
    RETURNING job_id
"""

_DEPTH = """
    SELECT split_part(entrypoint, ':', 1) AS kind, status::text AS status, count(*) AS jobs,
           min(execute_after) FILTER (WHERE execute_after <= $1) AS oldest
    FROM pgqueuer GROUP BY 1, 2 ORDER BY 1, 2
"""


class Job(msgspec.Struct, frozen=True):
    """A job as it lies in the queue."""

    id: int
    state: State
    kind: str
    tenant_id: uuid.UUID
    row_id: str
    #: How often it was tried, the present try and the last one before a hold included.
    tries: int
    due_at: datetime
    created_at: datetime
    #: The class of the last failure.
    error: str | None


class Depth(msgspec.Struct, frozen=True):
    """How many jobs of a kind are in a state."""

    kind: str
    state: State
    jobs: int
    #: How long the one that is due the longest has been due; 0 where none is.
    oldest_s: float


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant; None and the empty sequence leave the choice open."""

    tenant_id: uuid.UUID | None = None
    kind: str | None = None
    state: State | None = None
    ids: Sequence[int] = ()


class JobDesk:
    """For operators: it sees the jobs of all tenants, and of none more than whose and which row."""

    def __init__(self, database: Database) -> None:
        """The desk on this database."""
        self._database = database

    async def find(self, chosen: JobFilter, *, limit: int = 50) -> list[Job]:
        """The jobs that are meant, oldest first, at most `limit` and MOST."""
        async with self._database.worker() as session:
            rows = await session.fetch(_LIST, *_arguments(chosen), min(limit, MOST))
        return [_job(row) for row in rows]

    async def retry(self, chosen: JobFilter) -> list[int]:
        """Let jobs that are held be tried again from the beginning, at most MOST; their ids."""
        held = JobFilter(chosen.tenant_id, chosen.kind, "held", chosen.ids)
        async with self._database.worker() as session:
            rows = await session.fetch(_IDS, *_arguments(held), MOST)
            ids = [row["id"] for row in rows]
            if ids:
                await session.execute(builder().build_requeue_jobs_query(), ids)
        return ids

    async def drop(self, chosen: JobFilter) -> list[int]:
        """Forget jobs, at most MOST; their ids. One that is being done is left alone."""
        async with self._database.worker() as session:
            rows = await session.fetch(_IDS, *_arguments(chosen), MOST)
            dropped = await session.fetch(_DROP, [row["id"] for row in rows])
        return sorted(row["job_id"] for row in dropped)

    async def depth(self, *, at: datetime) -> Sequence[Depth]:
        """What there is, by kind and state."""
        async with self._database.worker() as session:
            rows = await session.fetch(_DEPTH, at)
        return [
            Depth(
                row["kind"],
                _STATES[row["status"]],
                row["jobs"],
                0.0 if row["oldest"] is None else (at - row["oldest"]).total_seconds(),
            )
            for row in rows
        ]


def _arguments(chosen: JobFilter) -> tuple[Any, ...]:
    status = None if chosen.state is None else _STATUSES[chosen.state]
    return chosen.tenant_id, chosen.kind, status, list(chosen.ids) or None


def _job(row: Any) -> Job:
    state = _STATES[row["status"]]
    return Job(
        id=row["id"],
        state=state,
        kind=kind_of(row["entrypoint"]),
        tenant_id=row["tenant_id"],
        row_id=_row_id(row["payload"]),
        tries=row["attempts"] + (state != "waiting"),
        due_at=row["execute_after"],
        created_at=row["created"],
        error=(row["traceback"] or {}).get("exception_type"),
    )


class _RowId(msgspec.Struct):
    row_id: str


def _row_id(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_RowId).row_id
    except msgspec.DecodeError:
        return "?"
