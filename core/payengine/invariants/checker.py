"""Is everything as it must be?

Each tenant is checked inside its own scope: the gateway's books against ours, payments against
their operations, accounts against their transfers, events against movements, and nothing open past
its time. What moves while it is looked at is left out: only what had settled before counts.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from payengine import ledger
from payengine.context import SCOPES, TenantContext
from payengine.engine import Engine
from payengine.errors import PayengineError
from payengine.invariants.owners import misplaced, unshared
from payengine.invariants.rules import broken_payment, differing_movements, unreleased
from payengine.payments.models import Operation
from payengine.payments.store import OPERATION, PAYMENT
from payengine.storage import Session

__all__ = ["Breach", "Report", "verify"]

_PAGE = 1_000
_PATIENCE = timedelta(seconds=60)
_MOVEMENTS_DEADLINE_MS = 60_000
_MOST_BREACHES = 1_000

_PAYMENTS = f"""
    SELECT {PAYMENT.listed} FROM payment WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3
"""

_OPERATIONS = f"""
    SELECT {OPERATION.listed} FROM operation
    WHERE tenant_id = $1 AND payment_id = ANY ($2) ORDER BY created_at, id
"""

_OVERDUE = """
    SELECT id, 'its next look was due at ' || due_at AS what FROM operation
    WHERE tenant_id = $1 AND due_at < $2
    UNION ALL
    SELECT id, 'its hold ended at ' || hold_expires_at FROM payment
    WHERE tenant_id = $1 AND hold_expires_at < $2
    UNION ALL
    SELECT id, 'it was not published' FROM event
    WHERE tenant_id = $1 AND position IS NULL AND occurred_at < $2
    UNION ALL
    SELECT id, 'it was to be applied at ' || due_at FROM received_webhook
    WHERE tenant_id = $1 AND due_at < $2
    UNION ALL
    SELECT id, 'it was to be sent again at ' || due_at FROM dispute_step
    WHERE tenant_id = $1 AND due_at < $2
    LIMIT 100
"""

#: Every transfer of a payment belongs to an operation that some event tells of.
_UNTOLD = """
    SELECT DISTINCT split_part(transaction_id, ':', 1) AS operation_id
    FROM ledger_transfer t
    WHERE tenant_id = $1 AND payment_id IS NOT NULL
      AND split_part(transaction_id, ':', 1) NOT IN (
        SELECT operation_id FROM event WHERE tenant_id = $1 AND operation_id IS NOT NULL)
    LIMIT 100
"""

_GAPS = """
    SELECT count(position) AS n, coalesce(max(position), 0) AS last FROM event
    WHERE tenant_id = $1
"""

_UNBOOKED = """
    SELECT o.id, o.amount_minor, booked.minor FROM operation o
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount_minor), 0)::bigint AS minor FROM ledger_transfer t
        WHERE t.tenant_id = $1 AND t.phase IN ('posted', 'post') AND t.currency = o.currency
          AND t.transaction_id = o.id
              || CASE o.kind WHEN 'refund' THEN ':refund_succeeded' ELSE ':captured' END
    ) AS booked
    WHERE o.tenant_id = $1 AND o.status = 'succeeded'
      AND (o.kind IN ('capture', 'refund') OR (o.kind = 'authorize' AND o.capture))
      AND booked.minor <> o.amount_minor
    LIMIT 100
"""

#: An open dispute is set aside in the ledger, an ended one no longer; one in another currency than
#: the payment's cannot be booked.
_UNDISPUTED = """
    SELECT d.id, d.status, d.amount_minor, booked.taken, booked.ended
    FROM dispute d JOIN payment p ON p.tenant_id = d.tenant_id AND p.id = d.payment_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount_minor) FILTER (
                   WHERE t.kind IN ('dispute.opened', 'dispute.reopened')), 0)::bigint AS taken,
               coalesce(sum(t.amount_minor) FILTER (
                   WHERE t.kind IN ('dispute.won', 'dispute.lost')), 0)::bigint AS ended
        FROM ledger_transfer t
        WHERE t.tenant_id = $1 AND t.payment_id = d.payment_id AND t.currency = d.currency
          AND split_part(t.transaction_id, ':', 1) = d.id
          AND (starts_with(t.debit_account, 'dispute_hold:')
               OR starts_with(t.credit_account, 'dispute_hold:'))
    ) AS booked
    WHERE d.tenant_id = $1 AND p.currency = d.currency
      AND booked.taken - booked.ended <>
          CASE WHEN d.status IN ('WON', 'LOST') THEN 0 ELSE d.amount_minor END
    LIMIT 100
"""

#: What a payment holds is what the ledger reserves for it.
_MISHELD = """
    SELECT p.id, greatest(p.authorized_minor - p.captured_minor - p.voided_minor, 0) AS held,
           open.minor
    FROM payment p
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount_minor), 0)::bigint AS minor FROM ledger_transfer t
        WHERE t.tenant_id = $1 AND t.payment_id = p.id AND t.phase = 'pending'
          AND NOT EXISTS (
            SELECT FROM ledger_transfer r
            WHERE r.tenant_id = $1 AND r.pending_transaction_id = t.transaction_id
              AND r.pending_line = t.line)
    ) AS open
    WHERE p.tenant_id = $1
      AND open.minor <> greatest(p.authorized_minor - p.captured_minor - p.voided_minor, 0)
    LIMIT 100
"""

_BOOKED_FEES = """
    SELECT split_part(transaction_id, ':', 1) AS id, amount_minor FROM ledger_transfer
    WHERE tenant_id = $1 AND kind = 'processor.fee'
"""

_MODE = "SELECT mode FROM tenant WHERE id = $1"


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be."""

    tenant_id: str
    check: str
    subject: str
    message: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at and what is broken."""

    ok: bool
    tenants: int
    payments: int
    movements: int
    broken: tuple[Breach, ...]


async def verify(
    engine: Engine,
    *,
    told: Callable[[int, int], None] | None = None,
    tenant_ids: Sequence[uuid.UUID] | None = None,
) -> Report:
    """Check every invariant of every tenant, or of `tenant_ids`.

    `told(done, of)` hears of the progress.
    """
    if tenant_ids is None:
        tenant_ids = await engine.database.tenant_ids()
    breaches: list[Breach] = []
    payments = movements = 0
    for done, tenant_id in enumerate(tenant_ids):
        if told is not None:
            told(done, len(tenant_ids))
        async with engine.database.tenant(tenant_id) as session:
            mode = await session.fetchval(_MODE, tenant_id)
        context = TenantContext(tenant_id, mode, "verify", frozenset(SCOPES))
        look = _Look(engine, context)
        await look.run()
        breaches += look.breaches
        payments += look.payments
        movements += look.movements
    return Report(
        ok=not breaches,
        tenants=len(tenant_ids),
        payments=payments,
        movements=movements,
        broken=tuple(breaches[:_MOST_BREACHES]),
    )


class _Look:
    """One look at one tenant."""

    def __init__(self, engine: Engine, context: TenantContext) -> None:
        self._engine = engine
        self._context = context
        self._settled_before = datetime.now(UTC)
        self.breaches: list[Breach] = []
        self.payments = 0
        self.movements = 0

    def _add(self, check: str, subject: str, message: str) -> None:
        self.breaches.append(
            Breach(
                tenant_id=str(self._context.tenant_id),
                check=check,
                subject=subject,
                message=message,
            )
        )

    async def run(self) -> None:
        tenant_id = self._context.tenant_id
        operations: dict[str, Operation] = {}
        async with self._engine.database.tenant(tenant_id) as session:
            # One snapshot: a payment that moves between two statements is no contradiction.
            await session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            async for payment, own in self._each_payment(session):
                self.payments += 1
                for message in broken_payment(payment, own):
                    self._add("payment_is_fold_of_operations", payment.id, message)
                for subject, message in unreleased(own):
                    self._add("orphans_are_released", subject, message)
                operations |= {operation.id: operation for operation in own}
            for message in await ledger.broken(session, tenant_id):
                self._add("ledger", "", message)
            before = self._settled_before - _PATIENCE
            for row in await session.fetch(_OVERDUE, tenant_id, before):
                self._add("nothing_open_past_its_deadline", row["id"], row["what"])
            for row in await session.fetch(_UNTOLD, tenant_id):
                self._add("events_tell_all_movements", row["operation_id"], "no event tells of it")
            for row in await session.fetch(_UNBOOKED, tenant_id):
                self._add(
                    "ledger_books_all_movements",
                    row["id"],
                    f"it moved {row['amount_minor']}, the ledger has {row['minor']}",
                )
            for row in await session.fetch(_UNDISPUTED, tenant_id):
                self._add(
                    "ledger_books_all_disputes",
                    row["id"],
                    f"it is {row['status']} over {row['amount_minor']}, and the ledger has"
                    f" {row['taken']} taken and {row['ended']} ended",
                )
            for row in await session.fetch(_MISHELD, tenant_id):
                self._add(
                    "ledger_reserves_what_is_held",
                    row["id"],
                    f"it holds {row['held']}, the ledger reserves {row['minor']}",
                )
            for subject, message in await unshared(session, tenant_id, before=before):
                self._add("owners_have_their_shares", subject, message)
            for subject, message in await misplaced(session, tenant_id):
                self._add("held_money_is_where_it_is_said", subject, message)
            gaps = await session.fetchrow(_GAPS, tenant_id)
            if gaps is not None and gaps["n"] != gaps["last"]:
                self._add("positions_are_dense", "", f"{gaps['n']} events up to {gaps['last']}")
            fees = {
                row["id"]: row["amount_minor"]
                for row in await session.fetch(_BOOKED_FEES, tenant_id)
            }
        await self._compare_with_gateways(operations, fees)

    async def _each_payment(
        self, session: Session
    ) -> AsyncIterator[tuple[Any, Sequence[Operation]]]:
        after = ""
        while True:
            rows = await session.fetch(_PAYMENTS, self._context.tenant_id, after, _PAGE)
            payments = [PAYMENT.read(row) for row in rows]
            found: dict[str, list[Operation]] = {payment.id: [] for payment in payments}
            for row in await session.fetch(_OPERATIONS, self._context.tenant_id, list(found)):
                found[row["payment_id"]].append(OPERATION.read(row))
            for payment in payments:
                yield payment, found[payment.id]
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]

    async def _compare_with_gateways(
        self, operations: dict[str, Operation], fees: dict[str, int]
    ) -> None:
        for name, gateway in self._engine.registry.installed.gateways.items():
            own = {each.id: each for each in operations.values() if each.gateway == name}
            if not own or not gateway.manifest.movements:
                continue
            try:
                movements = await self._engine.registry.movements(
                    self._context,
                    name,
                    since=datetime(2000, 1, 1, tzinfo=UTC),
                    until=self._settled_before,
                    deadline_ms=_MOVEMENTS_DEADLINE_MS,
                )
            except PayengineError as failure:
                self._add("gateway_equals_ledger", name, f"its books cannot be read: {failure}")
                continue
            self.movements += len(movements)
            for subject, message in differing_movements(
                movements, own, fees, settled_before=self._settled_before
            ):
                self._add("gateway_equals_ledger", subject, message)
