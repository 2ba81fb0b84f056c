"""What of pgqueuer do we use?

Its tables, and the statements that its query builder spells for them: the claim, with its bounds
across processes, the end of a job with its line in the log, the retry, the release of what was
held, and the statistics. Its loop is not used: see decision 0008.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
    from pgqueuer.domain.settings import DBSettings

__all__ = ["builder", "names"]


@cache
def names() -> DBSettings:
    """What its tables are called; given in full, so that no variable of the environment counts."""
    # Imported where jobs are done or looked at: it takes a fifth of a second.
    from pgqueuer.domain.settings import DBSettings, Durability
    from pgqueuer.domain.types import Channel

    return DBSettings(
        prefix="",
        db_schema=None,
        channel=Channel("ch_pgqueuer"),
        function="fn_pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
        durability=Durability.durable,
        widen_id=True,
    )


@cache
def builder() -> QueryQueueBuilder:
    """Its statements about the queue."""
    from pgqueuer.adapters.persistence.qb import QueryQueueBuilder

    return QueryQueueBuilder(names())
