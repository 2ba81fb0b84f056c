"""Who holds which job, and until when?

As the worker role, over all tenants. A claim stamps its jobs with a token of its own, which is the
fence: whatever is written about a job afterwards, by us or by the job's own work, asks for the
token. A lease is kept by heartbeats; one that has run out is taken back, and counts as a try, as
the job may be what killed its worker. Losing a commit of these loses nothing but time, so they do
not wait for the disk.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg
import msgspec

from payengine import faults
from payengine.jobs.models import Claim, Handler, Payload, kind_of
from payengine.jobs.shape import builder
from payengine.jobs.turns import Load, Waiting, share
from payengine.storage import Database, Session

__all__ = ["Leases", "Outcome"]

#: How many entrypoints with due jobs one look takes into account.
_IN_SIGHT = 200
#: How many leases that have run out one look takes back.
_TAKEN_BACK_AT_ONCE = 100
#: pgqueuer would hand a stale job on without counting the try: `_RUN_OUT` is before it.
_NEVER = timedelta(days=36_500)

#: Plans are kept, and are made when the queue is short: they must be those of a long one.
_MANNER = """
    SET LOCAL synchronous_commit = off;
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off
"""

#: Steps from one entrypoint to the next over the index, however long each one's queue is.
_IN_TURN = """
    WITH RECURSIVE turn (entrypoint) AS (
        (SELECT entrypoint FROM pgqueuer
         WHERE status = 'queued' AND entrypoint > $1 ORDER BY entrypoint LIMIT 1)
        UNION ALL
        SELECT (SELECT following.entrypoint FROM pgqueuer AS following
                WHERE following.status = 'queued' AND following.entrypoint > turn.entrypoint
                ORDER BY following.entrypoint LIMIT 1)
        FROM turn WHERE turn.entrypoint IS NOT NULL
    )
    SELECT entrypoint,
           (SELECT count(*) FROM pgqueuer AS held
            WHERE held.entrypoint = turn.entrypoint AND held.status = 'picked'
              AND held.slot IS NOT NULL) AS under_way
    FROM turn
    WHERE entrypoint IS NOT NULL AND split_part(entrypoint, ':', 1) = ANY ($2)
      AND (SELECT true FROM pgqueuer AS due
           WHERE due.entrypoint = turn.entrypoint AND due.status = 'queued'
             AND due.execute_after < statement_timestamp() LIMIT 1)
    LIMIT $3
"""

#: A wish that is being granted does not stand in the way of the next one.
_FORGET_NAMES = "UPDATE pgqueuer SET dedupe_key = NULL WHERE id = ANY ($1)"

_BEAT = """
    UPDATE pgqueuer AS job SET heartbeat = statement_timestamp()
    FROM unnest($1::bigint[], $2::uuid[]) AS mine (id, token)
    WHERE job.id = mine.id AND job.queue_manager_id = mine.token AND job.status = 'picked'
    RETURNING job.id
"""

_STILL_MINE = """
    SELECT job.id FROM pgqueuer AS job
    JOIN unnest($1::bigint[], $2::uuid[]) AS mine (id, token)
      ON job.id = mine.id AND job.queue_manager_id = mine.token AND job.status = 'picked'
    ORDER BY job.id FOR UPDATE OF job
"""

_GIVE_BACK = """
    UPDATE pgqueuer
    SET status = 'queued', execute_after = statement_timestamp(), updated = statement_timestamp(),
        queue_manager_id = NULL, slot = NULL
    WHERE id = ANY ($1)
"""

_RUN_OUT = """
    WITH bound AS (
        SELECT * FROM unnest($1::text[], $2::integer[]) AS known (kind, tries)
    ), lapsed AS (
        SELECT job.id, job.attempts + 1 >= bound.tries AS was_last
        FROM pgqueuer AS job JOIN bound ON bound.kind = split_part(job.entrypoint, ':', 1)
        WHERE job.status = 'picked' AND job.heartbeat < statement_timestamp() - $3::interval
        ORDER BY job.heartbeat LIMIT $4 FOR UPDATE OF job SKIP LOCKED
    ), taken AS (
        UPDATE pgqueuer AS job
        SET status = (CASE WHEN was_last THEN 'failed' ELSE 'queued' END)::pgqueuer_status,
            attempts = job.attempts + (NOT was_last)::integer,
            execute_after = statement_timestamp(), updated = statement_timestamp(),
            queue_manager_id = NULL, slot = NULL
        FROM lapsed WHERE job.id = lapsed.id
        RETURNING job.id, job.status, job.entrypoint, job.priority, job.updated
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, status, entrypoint, priority, jsonb_build_object(
        'job_id', id, 'timestamp', updated, 'exception_type', 'LeaseRanOut',
        'exception_message', '', 'traceback', '', 'additional_context', NULL)
    FROM taken
    RETURNING status::text AS status
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the doing of a job ended."""

    claim: Claim
    #: `back`: it was interrupted and is as it was.
    kind: Literal["done", "again", "held", "back"]
    #: The class of what was raised. Never its text, which may tell what a queue must not know.
    error: str | None = None
    after: timedelta = timedelta()


class Leases:
    """The queue as the workers see it."""

    def __init__(
        self, database: Database, handlers: Mapping[str, Handler], *, lease: timedelta
    ) -> None:
        """Only the kinds in `handlers` are touched."""
        self._database = database
        self._handlers = handlers
        self._lease = lease
        self._last = ""

    async def claim(self, load: Load) -> list[Claim]:
        """Take what is due and has its turn; empty where nothing is, or another was quicker."""
        token = uuid.uuid4()
        try:
            async with self._transaction() as session:
                rows = await self._dequeue(session, load, token)
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            return []  # another process took the slots that we had seen free
        if rows:
            faults.point("job_claimed")
        claims = [_claim(row, token) for row in rows]
        broken = [row["id"] for row, claim in zip(rows, claims, strict=True) if claim is None]
        if broken:
            await self._hold_broken(broken, token)
        return [claim for claim in claims if claim is not None]

    async def _dequeue(
        self, session: Session, load: Load, token: uuid.UUID
    ) -> list[asyncpg.Record]:
        shares = share(await self._waiting(session), load, self._handlers)
        if not shares:
            return []
        self._last = [*shares][-1].entrypoint
        bounds = {
            each.entrypoint: min(each.under_way + places, self._handlers[each.kind].per_tenant)
            for each, places in shares.items()
        }
        query = builder().build_dequeue_query(
            batch_size=sum(shares.values()),
            entrypoints=[*bounds],  # type: ignore[list-item]  # a NewType of str
            concurrency_limits=[*bounds.values()],
            queue_manager_id=token,  # type: ignore[arg-type]  # a NewType of UUID
            global_concurrency_limit=None,
            heartbeat_timeout=_NEVER,
        )
        rows = await self._within(session, shares, await session.fetch(query.sql, *query.args))
        named = [row["id"] for row in rows if row["dedupe_key"] is not None]
        if named:
            await session.execute(_FORGET_NAMES, named)
        return rows

    async def _within(
        self, session: Session, shares: Mapping[Waiting, int], rows: list[asyncpg.Record]
    ) -> list[asyncpg.Record]:
        """What of the rows is ours to take; the rest goes back.

        Jobs that ended since we counted make room under a bound, which is told by entrypoint, for
        more than the share: one tenant would get the places that were another's.
        """
        left = {each.entrypoint: places for each, places in shares.items()}
        kept: list[asyncpg.Record] = []
        beyond: list[int] = []
        for row in rows:
            left[row["entrypoint"]] -= 1
            if left[row["entrypoint"]] >= 0:
                kept.append(row)
            else:
                beyond.append(row["id"])
        if beyond:
            await session.execute(_GIVE_BACK, beyond)
        return kept

    async def _waiting(self, session: Session) -> list[Waiting]:
        """What waits, beginning behind the one that had its turn last."""
        kinds = [*self._handlers]
        rows = await session.fetch(_IN_TURN, self._last, kinds, _IN_SIGHT)
        if len(rows) < _IN_SIGHT and self._last:
            seen = {row["entrypoint"] for row in rows}
            again = await session.fetch(_IN_TURN, "", kinds, _IN_SIGHT)
            rows += [row for row in again if row["entrypoint"] not in seen]
        if not rows:
            self._last = ""
        return [
            Waiting(
                kind_of(row["entrypoint"]),
                uuid.UUID(row["entrypoint"].partition(":")[2]),
                row["under_way"],
            )
            for row in rows
        ]

    async def beat(self, claims: Collection[Claim]) -> set[int]:
        """Keep these leases; the ids of those that are ours still."""
        async with self._transaction() as session:
            rows = await session.fetch(_BEAT, *_named(claims))
        return {row["id"] for row in rows}

    async def take_back(self) -> int:
        """Let others have what leases have run out of; how many jobs these were."""
        kinds = [*self._handlers]
        tries = [handler.tries for handler in self._handlers.values()]
        async with self._transaction() as session:
            rows = await session.fetch(_RUN_OUT, kinds, tries, self._lease, _TAKEN_BACK_AT_ONCE)
        return len(rows)

    async def settle(self, outcomes: Sequence[Outcome]) -> set[int]:
        """Write down how these jobs ended; the ids of those that were ours to write about."""
        async with self._transaction() as session:
            rows = await session.fetch(_STILL_MINE, *_named(each.claim for each in outcomes))
            mine = {row["id"] for row in rows}
            await self._write(session, [each for each in outcomes if each.claim.id in mine])
        return mine

    async def _write(self, session: Session, outcomes: Sequence[Outcome]) -> None:
        ended = [each for each in outcomes if each.kind in ("done", "held")]
        if ended:
            await session.execute(
                builder().build_log_job_query(),
                [each.claim.id for each in ended],
                ["successful" if each.kind == "done" else "failed" for each in ended],
                [_traceback(each) for each in ended],
            )
        for each in outcomes:
            if each.kind == "again":
                await session.execute(
                    builder().build_retry_job_query(), each.claim.id, each.after, _traceback(each)
                )
        back = [each.claim.id for each in outcomes if each.kind == "back"]
        if back:
            await session.execute(_GIVE_BACK, back)

    async def _hold_broken(self, ids: list[int], token: uuid.UUID) -> None:
        """A row that nobody could have written by `enqueue` waits for a person."""
        nobody = uuid.UUID(int=0)
        await self.settle(
            [Outcome(Claim(id, token, nobody, "", "", 0), "held", "PayloadBroken") for id in ids]
        )

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Session]:
        async with self._database.worker() as session:
            await session.execute(_MANNER)
            yield session


def _named(claims: Iterable[Claim]) -> tuple[list[int], list[uuid.UUID]]:
    each = [*claims]
    return [claim.id for claim in each], [claim.token for claim in each]


def _claim(row: Any, token: uuid.UUID) -> Claim | None:
    try:
        payload = msgspec.json.decode(row["payload"], type=Payload)
    except Exception:
        return None
    if (payload.kind, payload.tenant_id) != (kind_of(row["entrypoint"]), row["tenant_id"]):
        return None
    return Claim(row["id"], token, payload.tenant_id, payload.kind, payload.row_id, row["attempts"])


def _traceback(outcome: Outcome) -> dict[str, Any] | None:
    """As pgqueuer's own tools read it, without what might be payload."""
    if outcome.error is None:
        return None
    return {
        "job_id": outcome.claim.id,
        "timestamp": datetime.now(UTC),
        "exception_type": outcome.error,
        "exception_message": "",
        "traceback": "",
        "additional_context": None,
    }
