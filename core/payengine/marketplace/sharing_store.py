"""How do splits stand in the database?

One statement for each purpose. Whoever changes anything of a payment's split holds the row in
`payment_split` until the commit; the escrow's row is taken after it, and the vendors' after that.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.marketplace.sharing_models import (
    EscrowHold,
    Part,
    Reserve,
    Source,
    Split,
    SplitRule,
    Step,
)
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "ESCROW",
    "PART",
    "RESERVE",
    "RULE",
    "SPLIT",
    "escrow_of",
    "insert_asked",
    "insert_escrow",
    "insert_parts",
    "insert_reserves",
    "insert_split",
    "insert_steps",
    "lock_split",
    "parts_of",
    "sources_of",
    "steps_of",
    "update_parts",
    "update_split",
    "write_escrow",
]

SPLIT = Columns(Split)
PART = Columns(Part)
ESCROW = Columns(EscrowHold)
RULE = Columns(SplitRule)
RESERVE = Columns(Reserve)

#: The most operations, disputes and steps of one payment that are looked at.
_MOST = 10_000

_INSERT_SPLIT = (
    f"INSERT INTO payment_split (tenant_id, {SPLIT.listed}) VALUES ($1, {SPLIT.parameters(2)})"
)
#: From where on the tenant's events are looked at: what came before had nothing to share.
_INSERT_CURSOR = """
    INSERT INTO split_cursor (tenant_id, position)
    SELECT $1, coalesce((SELECT position FROM event_stream WHERE tenant_id = $1), 0)
    ON CONFLICT (tenant_id) DO NOTHING
"""
_SPLIT = f"SELECT {SPLIT.listed} FROM payment_split WHERE tenant_id = $1 AND payment_id = $2"
_SPLIT_MOVES = ("settled_minor", "fee_minor", "fee_shared", "sold_at", "due_at", "tries")
_UPDATE_SPLIT = f"""
    UPDATE payment_split SET {SPLIT.assignments(_SPLIT_MOVES, 3)}
    WHERE tenant_id = $1 AND payment_id = $2
"""

_INSERT_PART = (
    f"INSERT INTO payment_part (tenant_id, {PART.listed}) VALUES ($1, {PART.parameters(2)})"
)
_PARTS = f"""
    SELECT {PART.listed} FROM payment_part
    WHERE tenant_id = $1 AND payment_id = ANY ($2) ORDER BY payment_id, number
"""
_UPDATE_PARTS = """
    UPDATE payment_part p
    SET planned_minor = n.planned, captured_minor = n.captured, refundable_minor = n.refundable,
        escrowed_minor = n.escrowed
    FROM unnest($3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
        AS n (number, planned, captured, refundable, escrowed)
    WHERE p.tenant_id = $1 AND p.payment_id = $2 AND p.number = n.number
"""

_INSERT_ASKED = """
    INSERT INTO operation_split
        (tenant_id, operation_id, payment_id, number, account_id, amount_minor)
    SELECT $1, $2, $3, p.number, p.account_id, n.amount
    FROM unnest($4::integer[], $5::bigint[]) AS n (number, amount)
    JOIN payment_part p ON p.tenant_id = $1 AND p.payment_id = $3 AND p.number = n.number
"""
_ASKED = """
    SELECT operation_id, number, amount_minor FROM operation_split
    WHERE tenant_id = $1 AND payment_id = $2
"""

_INSERT_STEP = """
    INSERT INTO split_step (tenant_id, operation_id, phase, round, payment_id, attempt_id,
                            amount_minor, refundable, moved, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_STEPS = f"""
    SELECT operation_id, phase, round, payment_id, attempt_id, amount_minor, refundable, moved,
           created_at
    FROM split_step
    WHERE tenant_id = $1 AND payment_id = ANY ($2)
    ORDER BY payment_id, created_at, operation_id, round LIMIT {_MOST}
"""

_INSERT_ESCROW = (
    f"INSERT INTO escrow_hold (tenant_id, {ESCROW.listed}) VALUES ($1, {ESCROW.parameters(2)})"
)
_ESCROW = f"SELECT {ESCROW.listed} FROM escrow_hold WHERE tenant_id = $1 AND payment_id = $2"
_ESCROW_MOVES = (
    "status",
    "progress",
    "captured_at",
    "delivered_at",
    "approved_at",
    "milestone_at",
    "captured_minor",
    "held_minor",
    "released_minor",
    "is_frozen",
    "due_at",
    "updated_at",
    "version",
)
_UPDATE_ESCROW = f"""
    UPDATE escrow_hold SET {ESCROW.assignments(_ESCROW_MOVES, 3)} WHERE tenant_id = $1 AND id = $2
"""
_INSERT_RESERVE = (
    f"INSERT INTO reserve_hold (tenant_id, {RESERVE.listed}) VALUES ($1, {RESERVE.parameters(2)})"
)

#: What should by now have been shared of each operation: a refund that is under way is taken
#: already, and one that a person found to be of another amount is of that.
_OPERATIONS = f"""
    SELECT o.id, o.attempt_id, o.kind, o.status, o.amount_minor, o.currency, o.capture, o.fee_minor,
           coalesce((o.request -> 'amount' ->> 'minor')::bigint, o.amount_minor) AS asked_minor,
           (SELECT t.created_at FROM ledger_transfer t
            WHERE t.tenant_id = $1 AND t.transaction_id = o.id || ':captured' AND t.line = 1)
           AS captured_at
    FROM operation o WHERE o.tenant_id = $1 AND o.payment_id = $2
    ORDER BY o.created_at, o.id LIMIT {_MOST}
"""
_DISPUTES = f"""
    SELECT id, amount_minor, currency, fee_minor, fee_returned
    FROM dispute WHERE tenant_id = $1 AND payment_id = $2 LIMIT {_MOST}
"""
_NEVER = frozenset({"declined", "not_sent", "canceled", "expired"})


async def lock_split(
    session: Session, tenant_id: uuid.UUID, payment_id: str, *, wait: bool = True
) -> Split | None:
    """The payment's split, which nobody else may move until the commit; None without one.

    Without `wait`, None too where somebody else holds it.
    """
    lock = " FOR UPDATE" if wait else " FOR UPDATE SKIP LOCKED"
    row = await session.fetchrow(_SPLIT + lock, tenant_id, payment_id)
    return None if row is None else SPLIT.read(row)


async def insert_split(session: Session, tenant_id: uuid.UUID, split: Split) -> None:
    """Write a new payment's split, and begin to look at the tenant's events."""
    await session.execute(_INSERT_SPLIT, tenant_id, *SPLIT.values(split))
    await session.execute(_INSERT_CURSOR, tenant_id)


async def update_split(session: Session, tenant_id: uuid.UUID, split: Split) -> None:
    """Write what may change of a split that this transaction has locked."""
    values = [getattr(split, name) for name in _SPLIT_MOVES]
    await session.execute(_UPDATE_SPLIT, tenant_id, split.payment_id, *values)


async def insert_parts(session: Session, tenant_id: uuid.UUID, parts: Iterable[Part]) -> None:
    """Write new parts."""
    for part in parts:
        await session.execute(_INSERT_PART, tenant_id, *PART.values(part))


async def parts_of(
    session: Session, tenant_id: uuid.UUID, payment_ids: Sequence[str]
) -> dict[str, list[Part]]:
    """The parts of each payment, by their numbers."""
    rows = await session.fetch(_PARTS, tenant_id, list(payment_ids))
    found: dict[str, list[Part]] = {}
    for row in rows:
        found.setdefault(row["payment_id"], []).append(PART.read(row))
    return found


async def update_parts(
    session: Session, tenant_id: uuid.UUID, payment_id: str, parts: Sequence[Part]
) -> None:
    """Write the amounts of a payment's parts."""
    await session.execute(
        _UPDATE_PARTS,
        tenant_id,
        payment_id,
        [part.number for part in parts],
        [part.planned_minor for part in parts],
        [part.captured_minor for part in parts],
        [part.refundable_minor for part in parts],
        [part.escrowed_minor for part in parts],
    )


async def insert_asked(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    operation_id: str,
    payment_id: str,
    amounts: Mapping[int, int],
) -> None:
    """Write how one capture or refund is to be divided: part's number → minor units."""
    await session.execute(
        _INSERT_ASKED,
        tenant_id,
        operation_id,
        payment_id,
        list(amounts),
        list(amounts.values()),
    )


async def steps_of(
    session: Session, tenant_id: uuid.UUID, payment_ids: Sequence[str]
) -> dict[str, list[Step]]:
    """What was shared of each payment, oldest first."""
    rows = await session.fetch(_STEPS, tenant_id, list(payment_ids))
    found: dict[str, list[Step]] = {}
    for row in rows:
        step = msgspec.convert(dict(row), Step)
        found.setdefault(row["payment_id"], []).append(step)
    return found


async def insert_steps(session: Session, tenant_id: uuid.UUID, steps: Iterable[Step]) -> None:
    """Write what was shared; a step that exists fails the transaction."""
    for step in steps:
        await session.execute(
            _INSERT_STEP,
            tenant_id,
            step.operation_id,
            step.phase,
            step.round,
            step.payment_id,
            step.attempt_id,
            step.amount_minor,
            step.refundable,
            step.moved,
            step.created_at,
        )


async def insert_escrow(session: Session, tenant_id: uuid.UUID, escrow: EscrowHold) -> None:
    """Write a new escrow."""
    await session.execute(_INSERT_ESCROW, tenant_id, *ESCROW.values(escrow))


async def escrow_of(session: Session, tenant_id: uuid.UUID, payment_id: str) -> EscrowHold | None:
    """The payment's escrow, locked; its split has been locked before."""
    row = await session.fetchrow(_ESCROW + " FOR UPDATE", tenant_id, payment_id)
    return None if row is None else ESCROW.read(row)


async def write_escrow(
    session: Session, tenant_id: uuid.UUID, escrow: EscrowHold, *, at: datetime
) -> EscrowHold:
    """Write what may change of an escrow that this transaction has locked."""
    escrow = msgspec.structs.replace(escrow, updated_at=at, version=escrow.version + 1)
    values = [getattr(escrow, name) for name in _ESCROW_MOVES]
    await session.execute(_UPDATE_ESCROW, tenant_id, escrow.id, *values)
    return escrow


async def insert_reserves(
    session: Session, tenant_id: uuid.UUID, reserves: Iterable[Reserve]
) -> None:
    """Write what is kept back of sales."""
    for each in reserves:
        await session.execute(_INSERT_RESERVE, tenant_id, *RESERVE.values(each))


async def sources_of(session: Session, tenant_id: uuid.UUID, split: Split) -> list[Source]:
    """What should by now have been shared, in the order in which it happened.

    What is disputed in another currency is for a person: no account could tell its worth.
    """
    asked: dict[str, dict[int, int]] = {}
    for row in await session.fetch(_ASKED, tenant_id, split.payment_id):
        asked.setdefault(row["operation_id"], {})[row["number"]] = row["amount_minor"]
    fees = {row["id"]: row for row in await session.fetch(_DISPUTES, tenant_id, split.payment_id)}
    sources: list[Source] = []
    for row in await session.fetch(_OPERATIONS, tenant_id, split.payment_id):
        if row["currency"] != split.currency:
            continue
        found = _source(row, asked.get(row["id"], {}))
        if found is not None:
            sources.append(found)
        fee = fees.get(row["id"])
        if fee is not None and fee["currency"] == split.currency:
            sources.append(
                Source(
                    operation_id=row["id"],
                    attempt_id=row["attempt_id"],
                    kind="dispute_fee",
                    amount_minor=0 if fee["fee_returned"] else fee["fee_minor"],
                    disputed_minor=fee["amount_minor"],
                )
            )
    return sources


def _source(row: Mapping[str, Any], asked: dict[int, int]) -> Source | None:
    kind, status = row["kind"], row["status"]
    succeeded = status == "succeeded"
    amount = row["amount_minor"]
    named: Literal["capture", "refund", "dispute"]
    if kind == "capture" or (kind == "authorize" and row["capture"]):
        named, due = "capture", amount if succeeded else 0
    elif kind == "refund":
        named = "refund"
        due = amount if succeeded else 0 if status in _NEVER else row["asked_minor"]
    elif kind == "dispute":
        named, due = "dispute", amount if status in ("pending", "succeeded") else 0
    else:
        return None
    return Source(
        operation_id=row["id"],
        attempt_id=row["attempt_id"],
        kind=named,
        amount_minor=due,
        fee_minor=row["fee_minor"] if succeeded else 0,
        asked=asked,
        captured_at=row["captured_at"] if named == "capture" else None,
    )
