"""How do payments stand in the database?

The statements of the payment's way through the house, one for each purpose. Every one names the
tenant, though the policies would hide other tenants' rows anyway: each layer holds alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from payengine.errors import NotFound, OperationInFlight
from payengine.events.models import NewEvent
from payengine.events.writing import EVENT, INSERT_EVENT
from payengine.idempotency import CLAIM, claimed
from payengine.ledger import insert_transfers_from, ledger_error, transfer_arrays
from payengine.payments.models import Attempt, Evidence, Operation, Payment, PaymentStatus
from payengine.payments.settle import Change
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = [
    "ATTEMPT",
    "EVIDENCE",
    "OPERATION",
    "PAYMENT",
    "claim_payment",
    "insert_operation",
    "load",
    "operations_of",
    "payment_row",
    "record_intent",
    "record_step",
    "reopen",
    "reserve",
    "write_change",
]

PAYMENT = Columns(Payment)
ATTEMPT = Columns(Attempt)
OPERATION = Columns(Operation)
EVIDENCE = Columns(Evidence)

_CLAIM_PAYMENT = f"""
    WITH claimed AS ({CLAIM})
    INSERT INTO payment (tenant_id, {PAYMENT.listed})
    SELECT $1, {PAYMENT.parameters(7)} FROM claimed
    RETURNING id
"""

_INTENT = f"""
    WITH tried AS (
        INSERT INTO attempt (tenant_id, {ATTEMPT.listed}) VALUES ($1, {ATTEMPT.parameters(2)})
    ), asked AS (
        INSERT INTO operation (tenant_id, {OPERATION.listed})
        VALUES ($1, {OPERATION.parameters(2 + len(ATTEMPT.names))})
    )
    {INSERT_EVENT}
    VALUES ($1, {EVENT.parameters(2 + len(ATTEMPT.names) + len(OPERATION.names))})
"""

_INSERT_OPERATION = f"""
    INSERT INTO operation (tenant_id, {OPERATION.listed}) VALUES ($1, {OPERATION.parameters(2)})
"""

_STEP = f"""
    WITH asked AS ({_INSERT_OPERATION})
    {INSERT_EVENT}
    VALUES ($1, {EVENT.parameters(2 + len(OPERATION.names))})
"""

#: Another attempt begins; a payment that has moved on since is left alone.
_REOPEN = f"""
    UPDATE payment
    SET status = 'PROCESSING', decline_code = NULL, saved_payment_method_id = $4,
        method_kind = $5, gateway = $6, version = version + 1, updated_at = $7
    WHERE tenant_id = $1 AND id = $2 AND version = $3
    RETURNING {PAYMENT.listed}
"""

#: What is asked is guarded here, before the gateway hears of it: the amounts are reserved by one
#: conditional UPDATE, which waits for whoever holds the row and then looks again.
_RESERVE = f"""
    UPDATE payment
    SET capture_reserved_minor = capture_reserved_minor + $3::bigint,
        void_reserved_minor = void_reserved_minor + $4::bigint,
        refund_reserved_minor = refund_reserved_minor + $5::bigint,
        version = version + 1, updated_at = $6
    WHERE tenant_id = $1 AND id = $2 AND status = ANY ($7::text[])
      AND ($3::bigint + $4::bigint = 0
           OR $3::bigint + $4::bigint <= authorized_minor - captured_minor - voided_minor
                                         - capture_reserved_minor - void_reserved_minor)
      AND ($5::bigint = 0 OR $5::bigint <= captured_minor - refunded_minor - charged_back_minor
                           - refund_reserved_minor)
    RETURNING {PAYMENT.listed}
"""

_PAYMENT = f"SELECT {PAYMENT.listed} FROM payment WHERE tenant_id = $1 AND id = $2"

_OPERATIONS = f"""
    SELECT {OPERATION.listed} FROM operation
    WHERE tenant_id = $1 AND payment_id = $2 ORDER BY created_at, id
"""

#: The columns that a finding may change.
_OPERATION_MOVES = (
    "status",
    "amount_minor",
    "final",
    "provider_reference",
    "decline_code",
    "raw_code",
    "raw_text",
    "raw_status",
    "next_action_url",
    "bank_details",
    "fee_minor",
    "hold_expires_at",
    "anomaly",
    "released_minor",
    "due_at",
    "version",
    "updated_at",
)
_PAYMENT_MOVES = (
    "status",
    "authorized_minor",
    "captured_minor",
    "voided_minor",
    "refunded_minor",
    "charged_back_minor",
    "capture_reserved_minor",
    "void_reserved_minor",
    "refund_reserved_minor",
    "next_action_url",
    "decline_code",
    "anomalies",
    "needs_review",
    "conflicted",
    "hold_expires_at",
    "version",
    "updated_at",
)
_P = 5 + len(_OPERATION_MOVES)
_E = _P + len(_PAYMENT_MOVES)
_L = _E + 1

#: One statement: operation, payment, events and transfers, or nothing at all where either row
#: has moved on since it was read.
_CHANGE = f"""
    WITH moved AS (
        UPDATE operation SET {OPERATION.assignments(_OPERATION_MOVES, 5)}
        WHERE tenant_id = $1 AND id = $2 AND version = $3
        RETURNING payment_id
    ), paid AS (
        UPDATE payment SET {PAYMENT.assignments(_PAYMENT_MOVES, _P)}
        WHERE tenant_id = $1 AND id = (SELECT payment_id FROM moved) AND version = $4
        RETURNING id, customer_id
    ), told AS (
        INSERT INTO event
            (tenant_id, id, type, data, occurred_at, payment_id, operation_id, customer_id)
        SELECT $1, e ->> 0, e ->> 1, e -> 2, ${_P + len(_PAYMENT_MOVES) - 1}, paid.id, $2,
               paid.customer_id
        FROM paid, jsonb_array_elements(${_E}::jsonb) e
    )
    {insert_transfers_from(source="paid", first=_L)}
    SELECT count(*) FROM paid
"""

_CANCEL_OPERATION = """
    UPDATE operation SET status = $4, due_at = NULL, version = version + 1, updated_at = $5
    WHERE tenant_id = $1 AND id = $2 AND version = $3
"""

_EVIDENCE = f"""
    INSERT INTO evidence (tenant_id, {EVIDENCE.listed}) VALUES ($1, {EVIDENCE.parameters(2)})
"""


async def claim_payment(
    session: Session, tenant_id: uuid.UUID, payment: Payment, *, key: str, fingerprint: bytes
) -> str | None:
    """Claim the key and insert the payment; the earlier payment's id where the key is taken.

    Raises `IdempotencyConflict` where it is taken by another input, `NotFound` where the tenant
    has no such customer.
    """
    try:
        made = await session.fetchval(
            _CLAIM_PAYMENT,
            tenant_id,
            key,
            "createPayment",
            fingerprint,
            payment.id,
            payment.created_at,
            *PAYMENT.values(payment),
        )
    except asyncpg.ForeignKeyViolationError:
        # A look-up before the insert would cost every payment a statement.
        raise NotFound("There is no such customer.", path=("customerId",)) from None
    if made is not None:
        return None
    return await claimed(session, tenant_id, key=key, fingerprint=fingerprint)


async def record_intent(
    session: Session,
    tenant_id: uuid.UUID,
    attempt: Attempt,
    operation: Operation,
    event: NewEvent,
) -> None:
    """Write the attempt with its gateway, the operation that will be sent, and the event."""
    await session.execute(
        _INTENT,
        tenant_id,
        *ATTEMPT.values(attempt),
        *OPERATION.values(operation),
        *EVENT.values(event),
    )


async def record_step(
    session: Session, tenant_id: uuid.UUID, operation: Operation, event: NewEvent
) -> None:
    """Write a further operation of an attempt, and its event."""
    await session.execute(_STEP, tenant_id, *OPERATION.values(operation), *EVENT.values(event))


async def insert_operation(session: Session, tenant_id: uuid.UUID, operation: Operation) -> None:
    """Write an operation that is sent to nobody; its outcome follows in the same transaction."""
    await session.execute(_INSERT_OPERATION, tenant_id, *OPERATION.values(operation))


async def reopen(
    session: Session,
    tenant_id: uuid.UUID,
    payment: Payment,
    *,
    saved_payment_method_id: str | None,
    method_kind: str,
    gateway: str,
    at: datetime,
) -> Payment:
    """Begin another attempt of a payment that this transaction has locked."""
    row = await session.fetchrow(
        _REOPEN,
        tenant_id,
        payment.id,
        payment.version,
        saved_payment_method_id,
        method_kind,
        gateway,
        at,
    )
    if row is None:
        raise OperationInFlight
    return PAYMENT.read(row)


async def reserve(
    session: Session,
    tenant_id: uuid.UUID,
    payment_id: str,
    *,
    capture_minor: int = 0,
    void_minor: int = 0,
    refund_minor: int = 0,
    statuses: Sequence[PaymentStatus],
    at: datetime,
) -> Payment | None:
    """Reserve amounts of a payment in one of `statuses`; None where they do not suffice."""
    row = await session.fetchrow(
        _RESERVE,
        tenant_id,
        payment_id,
        capture_minor,
        void_minor,
        refund_minor,
        at,
        list(statuses),
    )
    return None if row is None else PAYMENT.read(row)


async def payment_row(
    session: Session, tenant_id: uuid.UUID, payment_id: str, *, lock: bool = False
) -> Payment | None:
    """The payment as it stands; with `lock`, nobody else may move it until the commit."""
    row = await session.fetchrow(_PAYMENT + (" FOR UPDATE" if lock else ""), tenant_id, payment_id)
    return None if row is None else PAYMENT.read(row)


async def operations_of(session: Session, tenant_id: uuid.UUID, payment_id: str) -> list[Operation]:
    """The payment's operations in the order in which they were made."""
    rows = await session.fetch(_OPERATIONS, tenant_id, payment_id)
    return [OPERATION.read(row) for row in rows]


async def load(
    session: Session, tenant_id: uuid.UUID, payment_id: str, *, lock: bool = False
) -> tuple[Payment, list[Operation]] | None:
    """The payment with its operations."""
    payment = await payment_row(session, tenant_id, payment_id, lock=lock)
    if payment is None:
        return None
    return payment, await operations_of(session, tenant_id, payment_id)


def _pick(record: msgspec.Struct, names: Sequence[str]) -> list[Any]:
    return [getattr(record, name) for name in names]


async def write_change(session: Session, tenant_id: uuid.UUID, change: Change) -> bool:
    """Write a finding's change; False, and nothing written, where a row has moved on.

    Raises the ledger's typed errors, after which the transaction must be left.
    """
    try:
        written = await session.fetchval(
            _CHANGE,
            tenant_id,
            change.operation.id,
            change.operation_before.version,
            change.payment_before.version,
            *_pick(change.operation, _OPERATION_MOVES),
            *_pick(change.payment, _PAYMENT_MOVES),
            [(event.id, event.type, event.data) for event in change.events],
            *transfer_arrays(change.postings, at=change.payment.updated_at),
        )
    except asyncpg.IntegrityConstraintViolationError as violation:
        if str(violation.as_dict().get("constraint_name", "")).startswith("ledger_"):
            raise ledger_error(violation) from None
        raise
    if not written:
        return False
    if change.canceled is not None:
        await session.execute(
            _CANCEL_OPERATION,
            tenant_id,
            change.canceled.id,
            change.canceled.version - 1,
            change.canceled.status,
            change.canceled.updated_at,
        )
    if change.evidence is not None:
        await session.execute(_EVIDENCE, tenant_id, *EVIDENCE.values(change.evidence))
    return True
