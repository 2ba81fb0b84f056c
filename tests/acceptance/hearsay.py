"""How does the provider tell a shop of what it has really done?

Its own records, read from the books of the sandbox in this process, are sent in as webhooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from payengine.payments import Operation
from payengine_sandbox.local import provider_at, store_path
from payengine_sandbox.wire import show

from tests.engines import Shop
from tests.notices import Doorbell, dispute_notice, drain, notice

__all__ = ["dispute", "tell"]


def _records(shop: Shop, operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """What the provider knows of the operations; those that it never saw are left out."""
    engine = provider_at(store_path()).engine
    account = str(shop.context.tenant_id)
    found = (engine.find(account=account, key=each.id) for each in operations)
    return [msgspec.to_builtins(show(each, base_url="")) for each in found if each is not None]


async def tell(shop: Shop, bell: Doorbell, payment_id: str, *, times: int) -> None:
    """Tell everything that the provider knows of a payment, newest first, each so many times."""
    records = _records(shop, await shop.operations(payment_id))
    for record in reversed(records):
        call = notice(shop.context, record)
        for _ in range(times):
            await bell.ring(call)
    await drain(shop.engine)


async def dispute(shop: Shop, bell: Doorbell, payment_id: str, told: Mapping[str, Any]) -> None:
    """Let the buyer's bank take back a part of a payment, or end that."""
    charge = next(
        each
        for each in await shop.operations(payment_id)
        if each.status == "succeeded" and (each.kind == "capture" or each.capture)
    )
    await bell.ring(dispute_notice(shop.context, charge.id, **told))
    await drain(shop.engine)
