"""Which operation does a webhook speak of?

By the key that we gave the provider, which is the operation's id; else by the provider's own
reference, where exactly one operation of this kind at the plugin's gateways has it. What names
nothing of ours is left unmatched: nothing is guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from payengine.payments import store
from payengine.payments.models import Operation
from payengine.plugin import WebhookEvent
from payengine.storage import Session

__all__ = ["Match", "match"]

_BY_KEY = f"SELECT {store.OPERATION.listed} FROM operation WHERE tenant_id = $1 AND id = $2"

#: Two are enough to know that the reference alone does not tell which is meant.
_BY_REFERENCE = f"""
    SELECT {store.OPERATION.listed} FROM operation
    WHERE tenant_id = $1 AND provider_reference = $2 AND kind = $3 AND gateway = ANY ($4)
    LIMIT 2
"""


class Match(NamedTuple):
    """The operation that is meant, or why none is."""

    operation: Operation | None
    problem: str = ""


async def match(
    session: Session, tenant_id: uuid.UUID, event: WebhookEvent, *, gateways: Sequence[str]
) -> Match:
    """Find the operation that `event` speaks of, among those of the plugin's `gateways`."""
    if event.key is not None:
        row = await session.fetchrow(_BY_KEY, tenant_id, event.key)
        if row is not None:
            return _checked(store.OPERATION.read(row), event, gateways)
    if event.provider_reference is None:
        return Match(None, "no operation has this key")
    rows = await session.fetch(
        _BY_REFERENCE, tenant_id, event.provider_reference, event.kind, list(gateways)
    )
    if len(rows) > 1:
        return Match(None, "several operations have this reference")
    if not rows:
        return Match(None, "no operation has this key or this reference")
    return Match(store.OPERATION.read(rows[0]))


def _checked(operation: Operation, event: WebhookEvent, gateways: Sequence[str]) -> Match:
    if operation.gateway not in gateways:
        return Match(None, "the operation with this key was sent to another gateway")
    if operation.kind != event.kind:
        return Match(None, f"the operation with this key is of the kind {operation.kind}")
    return Match(operation)
