"""What happens by the calendar?

An entry of the calendar is a row of pgqueuer's schedule. Whoever moves its next instant on adds the
job in the same transaction, so that each instant is answered by one job however many workers look;
the job itself then has leases, retries and a hold like any other. Where nobody was awake for a
while, the entry fires once, not once for each instant that was missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from payengine.jobs.models import HOUSE, check_kind
from payengine.jobs.queue import enqueue
from payengine.storage import Database

__all__ = ["Cron", "CronTable"]

_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)

_PLANNED = """
    INSERT INTO pgqueuer_schedules (entrypoint, expression, next_run)
    VALUES ($1, $2, $3)
    ON CONFLICT (expression, entrypoint) DO NOTHING
"""

_DUE = """
    SELECT id, entrypoint, expression, next_run FROM pgqueuer_schedules
    WHERE next_run <= $1 AND (entrypoint, expression) IN
          (SELECT * FROM unnest($2::text[], $3::text[]))
    ORDER BY id FOR UPDATE SKIP LOCKED
"""

_MOVED_ON = """
    UPDATE pgqueuer_schedules SET next_run = $2, last_run = $3, updated = $3, heartbeat = $3
    WHERE id = $1
"""


@dataclass(frozen=True, slots=True)
class Cron:
    """At the instants of `expression`, in UTC, a job of `kind` that belongs to the house.

    Its row id is the instant, in ISO 8601: a handler takes the time from there.
    """

    kind: str
    #: Five fields: minute, hour, day of month, month, day of week.
    expression: str

    def __post_init__(self) -> None:
        """Raises InputInvalid where the kind has not the form of one."""
        check_kind(self.kind)

    def following(self, at: datetime) -> datetime:
        """The first instant after `at`; raises ValueError where the expression is none."""
        from croniter import croniter  # where it is needed: it takes a while

        if len(self.expression.split()) != 5:
            raise ValueError(f"{self.expression!r} has not five fields")
        found: datetime = croniter(self.expression, start_time=at).get_next(datetime)
        return found


class CronTable:
    """The entries that this process knows."""

    def __init__(self, database: Database, entries: Sequence[Cron]) -> None:
        """Writes nothing before the first `run_once`; raises ValueError for an expression."""
        for entry in entries:
            entry.following(_SOME_DAY)
        self._database = database
        self._entries = {(entry.kind, entry.expression): entry for entry in entries}
        self._is_planned = False

    async def run_once(self, *, at: datetime) -> int:
        """Add the jobs of all entries whose instant has come; how many were added."""
        if not self._entries:
            return 0
        kinds = [kind for kind, _ in self._entries]
        expressions = [expression for _, expression in self._entries]
        added = 0
        async with self._database.worker() as session:
            if not self._is_planned:
                for (kind, expression), entry in self._entries.items():
                    await session.execute(_PLANNED, kind, expression, entry.following(at))
            for row in await session.fetch(_DUE, at, kinds, expressions):
                entry = self._entries[row["entrypoint"], row["expression"]]
                await session.execute(_MOVED_ON, row["id"], entry.following(at), at)
                await enqueue(
                    session,
                    HOUSE,
                    kind=entry.kind,
                    row_id=row["next_run"].isoformat(),
                    due_at=at,
                )
                added += 1
        self._is_planned = True
        return added
