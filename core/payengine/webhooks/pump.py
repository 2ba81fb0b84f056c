"""Which endpoints have a turn now?

Each endpoint that has something to hear gets a lane of its own, so a slow one delays nobody. Lanes
are bounded in all and for each tenant; once half of them are taken, a tenant may add only to few,
so that no tenant's slow endpoints leave the others without.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import datetime

import structlog

from payengine.webhooks.lanes import Lane
from payengine.webhooks.means import Means

__all__ = ["BATCH", "Pump"]

#: How many endpoints one look takes up.
BATCH = 100
_LANES = 256
_LANES_OF_TENANT = 8
_LANES_OF_TENANT_WHEN_TIGHT = 2
_STOP_S = 4.0

_log = structlog.get_logger(__name__)

#: The first endpoint of every tenant comes before the second of any; then whoever waits longest.
_DUE = """
    SELECT tenant_id, id FROM (
        SELECT endpoint.tenant_id, endpoint.id, served_at,
               row_number() OVER (PARTITION BY endpoint.tenant_id
                                  ORDER BY served_at NULLS FIRST, endpoint.id) AS place
        FROM webhook_endpoint AS endpoint
        LEFT JOIN event_stream AS stream ON stream.tenant_id = endpoint.tenant_id
        WHERE status = 'enabled' AND (leased_until IS NULL OR leased_until <= $1)
          AND (redeliver_at <= $1
               OR stream.position > endpoint.position AND (retry_at IS NULL OR retry_at <= $1))
          AND endpoint.tenant_id <> ALL ($4::uuid[])
    ) AS due
    WHERE place <= $2 ORDER BY place, served_at NULLS FIRST LIMIT $3
"""


class Pump:
    """The lanes of one process."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._lanes: dict[tuple[uuid.UUID, str], tuple[Lane, asyncio.Task[None]]] = {}
        self._of_tenant: Counter[uuid.UUID] = Counter()
        self._is_closed = False

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Begin a turn of up to `limit` endpoints that have something to hear; how many began.

        Waits for none of them: `idle` does.
        """
        free = min(limit, _LANES - len(self._lanes))
        if self._is_closed or free <= 0:
            return 0
        full = [tenant_id for tenant_id, n in self._of_tenant.items() if n >= self._most()]
        async with self._means.database.worker() as session:
            rows = await session.fetch(_DUE, at, _LANES_OF_TENANT, free, full)
        begun = 0
        for row in rows:
            tenant_id, endpoint_id = row["tenant_id"], row["id"]
            is_full = self._of_tenant[tenant_id] >= self._most()
            if self._is_closed or is_full or (tenant_id, endpoint_id) in self._lanes:
                continue
            self._begin(tenant_id, endpoint_id, at=at)
            begun += 1
        return begun

    async def idle(self) -> None:
        """Wait until no lane is at work."""
        while self._lanes:
            await asyncio.wait([task for _, task in self._lanes.values()])
            await asyncio.sleep(0)  # the tasks' own endings run first

    async def close(self) -> None:
        """Let the exchanges under way end, then cut off what is left; begin no more."""
        self._is_closed = True
        lanes = list(self._lanes.values())
        for lane, _ in lanes:
            lane.stop()
        if lanes:
            await asyncio.wait([task for _, task in lanes], timeout=_STOP_S)
        left = [task for _, task in lanes if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _most(self) -> int:
        is_tight = len(self._lanes) >= _LANES // 2
        return _LANES_OF_TENANT_WHEN_TIGHT if is_tight else _LANES_OF_TENANT

    def _begin(self, tenant_id: uuid.UUID, endpoint_id: str, *, at: datetime) -> None:
        lane = Lane(self._means, tenant_id, endpoint_id, at=at)
        task = asyncio.create_task(_guarded(lane, endpoint_id))
        self._lanes[tenant_id, endpoint_id] = lane, task
        self._of_tenant[tenant_id] += 1

        def end(_: asyncio.Task[None]) -> None:
            del self._lanes[tenant_id, endpoint_id]
            self._of_tenant[tenant_id] -= 1
            if not self._of_tenant[tenant_id]:
                del self._of_tenant[tenant_id]

        task.add_done_callback(end)


async def _guarded(lane: Lane, endpoint_id: str) -> None:
    """A lane that fails keeps its lease until that runs out: it is not tried again in a hurry."""
    try:
        await lane.run()
    except Exception as failure:
        _log.warning("webhook_lane_failed", endpoint=endpoint_id, error=repr(failure))
