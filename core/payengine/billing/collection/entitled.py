"""What may this customer use now, and who is told when that changes?

What a customer may use is computed from the items of the subscriptions that give access. What was
last told is kept, so that each change is told once, in the transaction that causes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from payengine.billing.catalogue import features_of
from payengine.billing.decimals import parse_decimal
from payengine.billing.entitlements import (
    Entitlement,
    EntitlementChange,
    ItemAccess,
    entitlement_changes,
    entitlements_at,
)
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import NotFound
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.storage import Database, Session
from payengine.texts import check_id

__all__ = ["Entitlements", "tell_entitlements"]

_ITEMS = """
    SELECT subscription.customer_id, item.quantity, item.starts_at, item.ended_at,
           subscription.status, subscription.access, product.features
    FROM subscription
    JOIN subscription_item AS item
        ON item.tenant_id = $1 AND item.subscription_id = subscription.id
    JOIN price ON price.tenant_id = $1 AND price.id = item.price_id
    JOIN product ON product.tenant_id = $1 AND product.id = price.product_id
    WHERE subscription.tenant_id = $1 AND subscription.customer_id = ANY ($2)
      AND subscription.access IN ('granted', 'suspended')
"""

#: Where nothing was told yet, there was nothing.
_KEEP = """
    INSERT INTO entitlement (tenant_id, customer_id, features, version, updated_at)
    VALUES ($1, $2, '{}', 0, $3) ON CONFLICT (tenant_id, customer_id) DO NOTHING
"""
_TOLD = "SELECT features FROM entitlement WHERE tenant_id = $1 AND customer_id = $2 FOR UPDATE"
_TELL = """
    UPDATE entitlement SET features = $3, version = version + 1, updated_at = $4
    WHERE tenant_id = $1 AND customer_id = $2
"""
_EXISTS = "SELECT 1 FROM customer WHERE tenant_id = $1 AND id = $2"


class Entitlements:
    """What the customers of all tenants may use."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def of(self, context: TenantContext, customer_id: str) -> list[Entitlement]:
        """What the customer may use at the tenant's present instant, by feature.

        Raises `NotFound` for a customer who is not the tenant's.
        """
        context.require("billing:read")
        check_id(customer_id, "cus", field="customerId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            if await session.fetchval(_EXISTS, context.tenant_id, customer_id) is None:
                raise NotFound("There is no such customer.", path=("customerId",))
            found = await _now(session, context.tenant_id, [customer_id], at)
        return list(found.get(customer_id, {}).values())


async def tell_entitlements(
    session: Session, tenant_id: uuid.UUID, customer_id: str, at: datetime
) -> list[EntitlementChange]:
    """Write `entitlement.changed` where the customer may use something else than was last told.

    Call it in the transaction that changed the customer's subscriptions, behind the change.
    """
    now = (await _now(session, tenant_id, [customer_id], at)).get(customer_id, {})
    await session.execute(_KEEP, tenant_id, customer_id, at)
    told = _read(await session.fetchval(_TOLD, tenant_id, customer_id))
    changes = entitlement_changes(told, now)
    if changes:
        plain = {name: {"limit": each.limit} for name, each in now.items()}
        await session.execute(_TELL, tenant_id, customer_id, plain, at)
        await insert_event(session, tenant_id, _event(customer_id, changes, at=at))
    return changes


async def _now(
    session: Session, tenant_id: uuid.UUID, customer_ids: Sequence[str], at: datetime
) -> dict[str, dict[str, Entitlement]]:
    items: dict[str, list[ItemAccess]] = {}
    for row in await session.fetch(_ITEMS, tenant_id, list(customer_ids)):
        items.setdefault(row["customer_id"], []).append(_access(row))
    return {customer_id: entitlements_at(each, at) for customer_id, each in items.items()}


def _access(row: Mapping[str, Any]) -> ItemAccess:
    """A part of a unit gives nothing of its own: what is granted per unit is so for whole ones."""
    return ItemAccess(
        grants=features_of(row["features"]),
        starts_at=row["starts_at"],
        ends_at=row["ended_at"],
        quantity=int(Fraction(parse_decimal(row["quantity"]))),
        suspended=row["access"] != "granted" or row["status"] == "paused",
    )


def _read(features: Mapping[str, Any]) -> dict[str, Entitlement]:
    return {
        name: Entitlement(feature=name, limit=words["limit"]) for name, words in features.items()
    }


def _event(customer_id: str, changes: Sequence[EntitlementChange], *, at: datetime) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type="entitlement.changed",
        customer_id=customer_id,
        data={
            "changes": [
                {
                    "feature": change.feature,
                    "kind": change.kind,
                    "before": None if change.before is None else {"limit": change.before.limit},
                    "after": None if change.after is None else {"limit": change.after.limit},
                }
                for change in changes
            ]
        },
        occurred_at=at,
    )
