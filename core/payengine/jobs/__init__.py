"""What must happen later, exactly once?

async with database.tenant(tenant_id) as session:
    ...  # the row that needs the work
    await enqueue(session, tenant_id, kind="report.make", row_id=report.id, due_at=now)

A job is a wake-up: it names a row and says that it is time to look. Rooms register a `Handler` for
each kind and keep a poller of their own, which alone suffices; the row's unique keys are what makes
the effect happen once. Jobs lie in pgqueuer's tables, in the same PostgreSQL.
"""

from __future__ import annotations

from payengine.jobs.cron import Cron, CronTable
from payengine.jobs.desk import Depth, Job, JobDesk, JobFilter
from payengine.jobs.models import HOUSE, Handler
from payengine.jobs.queue import enqueue, fence
from payengine.jobs.runner import Runner

__all__ = [
    "HOUSE",
    "Cron",
    "CronTable",
    "Depth",
    "Handler",
    "Job",
    "JobDesk",
    "JobFilter",
    "Runner",
    "enqueue",
    "fence",
]
