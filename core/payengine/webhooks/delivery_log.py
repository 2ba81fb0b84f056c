"""What became of each message?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from payengine.context import TenantContext
from payengine.webhooks.means import Means
from payengine.webhooks.models import Attempt, Delivery, DeliveryFilter, Redelivery
from payengine.webhooks.store import ATTEMPT, DELIVERY, REDELIVERY

__all__ = ["DeliveryLog"]

_PAGE = f"""
    SELECT {DELIVERY.listed} FROM webhook_delivery
    WHERE tenant_id = $1 AND endpoint_id = $2 AND id < coalesce($3, '~')
      AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR event_id = $5)
    ORDER BY id DESC LIMIT $6
"""

_BY_ID = f"SELECT {DELIVERY.listed} FROM webhook_delivery WHERE tenant_id = $1 AND id = ANY ($2)"

_ATTEMPTS = f"""
    SELECT {ATTEMPT.listed} FROM webhook_attempt
    WHERE tenant_id = $1 AND delivery_id = ANY ($2) ORDER BY delivery_id, number
"""

_REDELIVERIES = f"""
    SELECT {REDELIVERY.listed} FROM webhook_redelivery WHERE tenant_id = $1 AND id = ANY ($2)
"""


class DeliveryLog:
    """Reads the log."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def page(
        self,
        context: TenantContext,
        wanted: DeliveryFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[Delivery]:
        """An endpoint's deliveries, the newest first, after the delivery `after`; one more than
        `first` where there is. None for an endpoint of nobody."""
        context.require("webhooks:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _PAGE,
                context.tenant_id,
                wanted.endpoint_id,
                after,
                wanted.status,
                wanted.event_id,
                first + 1,
            )
        return [DELIVERY.read(row) for row in rows]

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Delivery]:
        """The deliveries that exist, by id."""
        context.require("webhooks:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: DELIVERY.read(row) for row in rows}

    async def attempts_of(
        self, context: TenantContext, delivery_ids: Sequence[str]
    ) -> dict[str, list[Attempt]]:
        """Each delivery's attempts, in their order."""
        context.require("webhooks:read")
        found: dict[str, list[Attempt]] = defaultdict(list)
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_ATTEMPTS, context.tenant_id, list(delivery_ids))
        for row in rows:
            found[row["delivery_id"]].append(ATTEMPT.read(row))
        return found

    async def redeliveries(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, Redelivery]:
        """The redeliveries that exist, by id."""
        context.require("webhooks:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_REDELIVERIES, context.tenant_id, list(ids))
        return {row["id"]: REDELIVERY.read(row) for row in rows}
