"""How does an invoice in collection stand in the database?

The machine's state is one document; beside it stand the columns by which it is found. A charge's
request never changes once it is written down.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.billing.dunning_state import DunningState
from payengine.billing.dunning_words import CollectionPhase, Trigger
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "CHARGE",
    "COLLECTION",
    "ChargeOutcome",
    "ChargeRow",
    "CollectionRow",
    "charges_of",
    "insert_charge",
    "lock",
    "plain_state",
    "read",
    "rewrite",
    "rewrite_charge",
    "siblings",
    "state_of",
]

#: `canceled`: it waited for the customer and was called off before another charge was made.
ChargeOutcome = Literal["succeeded", "declined", "failed", "held", "canceled"]


class CollectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in collection, as one row.

    `due_at` is the tenant's own time, `lease_until` the wall's; `fence` rises with each lease, so
    that who held one and lost it writes nothing.
    """

    invoice_id: str
    subscription_id: str | None
    customer_id: str
    state: dict[str, Any]
    phase: CollectionPhase
    due_at: datetime | None
    lease_until: datetime | None
    fence: int
    version: int
    created_at: datetime
    updated_at: datetime


class ChargeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One charge: why it is made, what is asked of the payments room, and what became of it.

    `look_at` is when, by the wall, its payment is looked at next; None where it has come to its
    end. One with an outcome may still be looked at: it waits for the customer, who may yet come.
    With a `return_url` the customer is there, and can be asked to authenticate.
    """

    invoice_id: str
    charge: int
    trigger: Trigger
    attempt: int
    asked_method_id: str | None
    avoid_gateways: tuple[str, ...]
    made_at: datetime
    return_url: str | None = None
    payment_method_id: str | None = None
    network: str | None = None
    request: dict[str, Any] | None = None
    payment_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    outcome: ChargeOutcome | None = None
    decline_code: str | None = None
    decline_class: str | None = None
    gateway: str | None = None
    look_at: datetime | None = None
    looks: int = 0
    answered_at: datetime | None = None


COLLECTION = Columns(CollectionRow)
CHARGE = Columns(ChargeRow)

_LOCK = f"""
    SELECT {COLLECTION.listed} FROM collection
    WHERE tenant_id = $1 AND invoice_id = $2 FOR UPDATE
"""
_READ = f"""
    SELECT {COLLECTION.listed} FROM collection WHERE tenant_id = $1 AND invoice_id = $2
"""
_SIBLINGS = f"""
    SELECT {COLLECTION.listed} FROM collection
    WHERE tenant_id = $1 AND subscription_id = $2
      AND phase NOT IN ('settled', 'canceled', 'expired')
    ORDER BY invoice_id FOR UPDATE
"""
_REWRITE = """
    UPDATE collection SET state = $3, phase = $4, due_at = $5, lease_until = $6,
        version = version + 1, updated_at = $7
    WHERE tenant_id = $1 AND invoice_id = $2
"""

_INSERT_CHARGE = f"""
    INSERT INTO collection_charge (tenant_id, {CHARGE.listed}) VALUES ($1, {CHARGE.parameters(2)})
    ON CONFLICT (tenant_id, invoice_id, charge) DO NOTHING
"""
_MOVES = (
    "payment_method_id",
    "network",
    "request",
    "payment_id",
    "amount_minor",
    "currency",
    "outcome",
    "decline_code",
    "decline_class",
    "gateway",
    "attempt",
    "look_at",
    "looks",
    "answered_at",
)
_REWRITE_CHARGE = f"""
    UPDATE collection_charge SET {CHARGE.assignments(_MOVES, 4)}
    WHERE tenant_id = $1 AND invoice_id = $2 AND charge = $3
"""
_CHARGES = f"""
    SELECT {CHARGE.listed} FROM collection_charge
    WHERE tenant_id = $1 AND invoice_id = ANY ($2) ORDER BY invoice_id, charge
"""


def state_of(row: CollectionRow) -> DunningState:
    """The machine's state that the row keeps."""
    return msgspec.convert(row.state, DunningState)


def plain_state(state: DunningState) -> dict[str, Any]:
    """The state as it is kept."""
    plain: dict[str, Any] = msgspec.to_builtins(state)
    return plain


async def lock(session: Session, tenant_id: uuid.UUID, invoice_id: str) -> CollectionRow | None:
    """The row, which nobody else may change until the commit."""
    row = await session.fetchrow(_LOCK, tenant_id, invoice_id)
    return None if row is None else COLLECTION.read(row)


async def read(session: Session, tenant_id: uuid.UUID, invoice_id: str) -> CollectionRow | None:
    """The row as it stands."""
    row = await session.fetchrow(_READ, tenant_id, invoice_id)
    return None if row is None else COLLECTION.read(row)


async def siblings(
    session: Session, tenant_id: uuid.UUID, subscription_id: str
) -> list[CollectionRow]:
    """The subscription's rows that have not ended, locked in the order of their invoices."""
    rows = await session.fetch(_SIBLINGS, tenant_id, subscription_id)
    return [COLLECTION.read(row) for row in rows]


async def rewrite(
    session: Session,
    tenant_id: uuid.UUID,
    row: CollectionRow,
    state: DunningState,
    *,
    due_at: datetime | None,
    at: datetime,
    lease_until: datetime | None = None,
) -> None:
    """Write the state of a row that this transaction has locked; its version rises."""
    await session.execute(
        _REWRITE,
        tenant_id,
        row.invoice_id,
        plain_state(state),
        state.phase,
        due_at,
        lease_until,
        at,
    )


async def insert_charge(session: Session, tenant_id: uuid.UUID, charge: ChargeRow) -> None:
    """Write a new charge down; one that is there already stays as it is."""
    await session.execute(_INSERT_CHARGE, tenant_id, *CHARGE.values(charge))


async def rewrite_charge(session: Session, tenant_id: uuid.UUID, charge: ChargeRow) -> None:
    """Write what may change of a charge whose collection this transaction has locked."""
    values = [getattr(charge, name) for name in _MOVES]
    await session.execute(_REWRITE_CHARGE, tenant_id, charge.invoice_id, charge.charge, *values)


async def charges_of(
    session: Session, tenant_id: uuid.UUID, invoice_ids: Sequence[str]
) -> dict[str, list[ChargeRow]]:
    """Each invoice's charges, the first one first."""
    found: dict[str, list[ChargeRow]] = {}
    for row in await session.fetch(_CHARGES, tenant_id, list(invoice_ids)):
        found.setdefault(row["invoice_id"], []).append(CHARGE.read(row))
    return found
