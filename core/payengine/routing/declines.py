"""Which codes do this tenant's gateways refuse with, and does the taxonomy know them?"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import InputInvalid
from payengine.plugin import DECLINE_CODES
from payengine.routing.models import DeclineCount
from payengine.storage import Database

__all__ = ["MOST_DECLINES", "DeclineReport"]

#: So many of the latest declines are looked at.
MOST_DECLINES = 50_000
_AT_ONCE = 2
_USUAL = timedelta(days=30)
_LONGEST = timedelta(days=366)

_COUNTS = """
    SELECT gateway, raw_code, coalesce(decline_code, '') AS code, count(*) AS count,
           min(created_at) AS first_seen_at, max(created_at) AS last_seen_at
    FROM (
        SELECT gateway, raw_code, decline_code, created_at FROM operation
        WHERE tenant_id = $1 AND raw_code IS NOT NULL AND created_at >= $2
        ORDER BY created_at DESC LIMIT $3
    ) AS declined
    GROUP BY gateway, raw_code, code
    ORDER BY count(*) DESC, gateway, raw_code, code
"""


class DeclineReport:
    """Counts the declines of a tenant by the provider's own codes."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def codes(
        self,
        context: TenantContext,
        *,
        since: datetime | None = None,
        unmapped_only: bool = False,
        first: int = 100,
    ) -> list[DeclineCount]:
        """The `first` codes, the most frequent first, of operations made since (30 days ago).

        Of more than 50,000 declines the latest are counted. Raises `InputInvalid`.
        """
        context.require("payments:read")
        now = self._clock.now(context.tenant_id)
        begin = now - _USUAL if since is None else since
        if begin < now - _LONGEST:
            raise InputInvalid("Declines are counted for at most 366 days.", path=("since",))
        async with self._places, self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_COUNTS, context.tenant_id, begin, MOST_DECLINES)
        counts = [DeclineCount(**row, mapped=row["code"] in DECLINE_CODES) for row in rows]
        return [each for each in counts if not (unmapped_only and each.mapped)][:first]
