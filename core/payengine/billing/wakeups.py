"""Who is told at once that there is something to do?

A wake-up names a tenant, and promises nothing: whoever hears it asks the indexes that the pollers
ask, each second, anyway. What is due by time alone needs none. There is one where something became
due by what was done just now: an invoice was issued, and is to be charged; or a tenant's turn is
over, and more of its subscriptions are due. Lost, it delays by a second; heard twice, the second
hearer finds nothing, because rows are locked, leases held, and keys unique.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from payengine.clock import wall_now
from payengine.jobs import Handler, enqueue
from payengine.storage import Session

__all__ = ["COLLECT", "RENEW", "wake", "wake_handlers"]

COLLECT = "billing.collect"
RENEW = "billing.renew"

#: While one waits for a tenant, another would say the same.
_WISH = "due"
#: A turn of charges may meet gateways that answer as late as they may.
_DEADLINE_S = 300.0

Turn = Callable[[uuid.UUID], Awaitable[int]]


async def wake(session: Session, tenant_id: uuid.UUID, kind: str) -> None:
    """Say, in the transaction that makes it so, that something of the tenant is due now."""
    await enqueue(
        session, tenant_id, kind=kind, row_id=str(tenant_id), due_at=wall_now(), dedupe=_WISH
    )


def wake_handlers(*, renew: Turn, collect: Turn) -> list[Handler]:
    """What hears them: each lets a tenant have one turn."""
    return [_handler(RENEW, renew), _handler(COLLECT, collect)]


def _handler(kind: str, turn: Turn) -> Handler:
    async def handle(tenant_id: uuid.UUID, _: str) -> None:
        await turn(tenant_id)

    return Handler(kind, handle, at_once=4, per_tenant=2, tries=3, deadline_s=_DEADLINE_S)
