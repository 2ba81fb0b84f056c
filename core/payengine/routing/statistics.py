"""What has this process learnt of the gateways, for each tenant by itself?

Whoever settles an operation tells its outcome. What was learnt before this process began is read
once from the tenant's latest operations, beside the requests. Nothing is shared between tenants.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, OrderedDict
from contextvars import Context
from typing import Literal

import msgspec
import structlog

from payengine.plugin import DECLINE_CODES
from payengine.routing.rates import Segment, TenantRates
from payengine.storage import Database

__all__ = ["Heard", "Statistics"]

_TENANTS = 4_096
_SEEDS = 500

_log = structlog.get_logger(__name__)

#: The latest authorizations whose outcome is known, each by the gateway that decided it.
_LATEST = """
    SELECT operation.gateway, operation.currency, operation.status, payment.method_kind
    FROM (
        SELECT tenant_id, id, payment_id, gateway, currency, status FROM operation
        WHERE tenant_id = $1 AND kind = 'authorize'
          AND status IN ('succeeded', 'declined', 'not_sent', 'unknown')
        ORDER BY id DESC LIMIT $2
    ) AS operation
    JOIN payment ON payment.tenant_id = $1 AND payment.id = operation.payment_id
    ORDER BY operation.id
"""

_FIRST_HEARD = frozenset({"created", "sending", "pending", "requires_action"})
_OUTCOMES = frozenset({"succeeded", "declined", "not_sent", "unknown"})


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an operation: its status before and after, and the provider's code."""

    gateway: str
    kind: Literal["authorize", "increment", "capture", "void", "refund", "dispute"]
    currency: str
    method: str
    was: str
    status: str
    decline_code: str | None = None
    raw_code: str | None = None


class Statistics:
    """The rates of all tenants that this process serves; the least used are forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tenants: OrderedDict[uuid.UUID, TenantRates] = OrderedDict()
        self._seeding: dict[uuid.UUID, asyncio.Task[None]] = {}
        #: Gateway → how many declines came with a code that its plugin does not map.
        self.unmapped: Counter[str] = Counter()

    def segment(self, tenant_id: uuid.UUID, *, currency: str, method: str) -> Segment:
        """The counts of one segment; those of before this process are read beside the request."""
        return self._of(tenant_id).segment(currency=currency, method=method)

    def hear(self, tenant_id: uuid.UUID, heard: Heard) -> None:
        """An operation has moved.

        An authorization counts once, when its first outcome is known. An unknown one counts as
        failed: whatever comes of it, the buyer has not paid yet.
        """
        if heard.status == "declined" and heard.was != "declined":
            self._count_code(heard)
        if (
            heard.kind == "authorize"
            and heard.was in _FIRST_HEARD
            and heard.status in _OUTCOMES
            and tenant_id in self._tenants
        ):
            segment = self.segment(tenant_id, currency=heard.currency, method=heard.method)
            segment.tell(heard.gateway, succeeded=heard.status == "succeeded")

    async def close(self) -> None:
        """Stop reading what was before."""
        for task in list(self._seeding.values()):
            task.cancel()
        await asyncio.gather(*self._seeding.values(), return_exceptions=True)

    async def seeded(self, tenant_id: uuid.UUID) -> None:
        """Wait until what was known before this process is known here too."""
        self._of(tenant_id)
        task = self._seeding.get(tenant_id)
        if task is not None:
            await asyncio.wait((task,))

    def _of(self, tenant_id: uuid.UUID) -> TenantRates:
        rates = self._tenants.get(tenant_id)
        if rates is None:
            rates = self._tenants[tenant_id] = TenantRates()
            while len(self._tenants) > _TENANTS:
                self._tenants.popitem(last=False)
            task = asyncio.create_task(self._seed(tenant_id, rates), context=Context())
            self._seeding[tenant_id] = task
        else:
            self._tenants.move_to_end(tenant_id)
        return rates

    async def _seed(self, tenant_id: uuid.UUID, rates: TenantRates) -> None:
        try:
            async with self._database.tenant(tenant_id) as session:
                rows = await session.fetch(_LATEST, tenant_id, _SEEDS)
            for row in rows:
                segment = rates.segment(currency=row["currency"], method=row["method_kind"] or "")
                segment.tell(row["gateway"], succeeded=row["status"] == "succeeded")
        except Exception as failure:
            _log.warning("routing_statistics_unread", error=repr(failure))
        finally:
            self._seeding.pop(tenant_id, None)

    def _count_code(self, heard: Heard) -> None:
        if heard.decline_code in DECLINE_CODES:
            return
        self.unmapped[heard.gateway] += 1
        _log.warning(
            "decline_code_unmapped",
            gateway=heard.gateway,
            raw_code=heard.raw_code,
            code=heard.decline_code,
        )
