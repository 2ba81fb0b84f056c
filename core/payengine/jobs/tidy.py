"""How long does the queue remember?

A week of what happened to each job, and ninety days of counts by the second, which pgqueuer's own
tools show. The work is done in small commits, and the rest waits for the next night.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from payengine.jobs.cron import Cron
from payengine.jobs.models import Handler
from payengine.jobs.shape import builder
from payengine.storage import Database

__all__ = ["NIGHTLY", "tidy_handler"]

_KIND = "queue.tidy"
NIGHTLY = Cron(_KIND, "17 3 * * *")

_KEEP_LOG = timedelta(days=7)
_KEEP_COUNTS = timedelta(days=90)
_AT_ONCE = 5_000
_TURNS = 200

_LOG = """
    DELETE FROM pgqueuer_log WHERE id IN
        (SELECT id FROM pgqueuer_log WHERE created < $1 AND aggregated ORDER BY created LIMIT $2)
"""

_COUNTS = """
    DELETE FROM pgqueuer_statistics WHERE id IN
        (SELECT id FROM pgqueuer_statistics WHERE created < $1 ORDER BY id LIMIT $2)
"""


def tidy_handler(database: Database) -> Handler:
    """The handler of the nightly job."""

    async def tidy(tenant_id: uuid.UUID, row_id: str) -> None:
        at = datetime.fromisoformat(row_id)
        async with database.worker() as session:
            await session.execute(
                builder().build_aggregate_log_data_to_statistics_query(advisory_lock=True)
            )
        for statement, keep in ((_LOG, _KEEP_LOG), (_COUNTS, _KEEP_COUNTS)):
            for _ in range(_TURNS):
                async with database.worker() as session:
                    tag = await session.execute(statement, at - keep, _AT_ONCE)
                if tag != f"DELETE {_AT_ONCE}":
                    break

    return Handler(_KIND, tidy, at_once=1, per_tenant=1, tries=5, deadline_s=600)
