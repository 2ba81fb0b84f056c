"""How was this payment divided, and what was shared of it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from payengine.context import TenantContext
from payengine.marketplace import sharing_store as store
from payengine.marketplace.sharing_models import Part, Split, Step
from payengine.marketplace.sharing_store import SPLIT
from payengine.storage import Database

__all__ = ["Divided", "Splits"]

_SPLITS = f"""
    SELECT {SPLIT.listed} FROM payment_split WHERE tenant_id = $1 AND payment_id = ANY ($2)
"""


class Divided(msgspec.Struct, frozen=True, kw_only=True):
    """A payment's split with its parts and everything that was shared, oldest first."""

    split: Split
    parts: tuple[Part, ...]
    steps: tuple[Step, ...]


class Splits:
    """Reads; each method needs the scope `accounts:read`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_payments(
        self, context: TenantContext, payment_ids: Sequence[str]
    ) -> Mapping[str, Divided]:
        """The split of each payment that has one."""
        context.require("accounts:read")
        ids, tenant_id = list(payment_ids), context.tenant_id
        async with self._database.tenant(tenant_id) as session:
            rows = await session.fetch(_SPLITS, tenant_id, ids)
            found = [row["payment_id"] for row in rows]
            parts = await store.parts_of(session, tenant_id, found) if found else {}
            steps = await store.steps_of(session, tenant_id, found) if found else {}
        return {
            row["payment_id"]: Divided(
                split=SPLIT.read(row),
                parts=tuple(parts.get(row["payment_id"], ())),
                steps=tuple(steps.get(row["payment_id"], ())),
            )
            for row in rows
        }
