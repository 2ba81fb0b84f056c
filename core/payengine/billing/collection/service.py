"""Who collects what is due?

`Collections` finds the invoices at which something is due, takes each under a lease, lets the
machine take its step, and sends the charges that the machine asks for. Everything that is sent was
written down before, under a key of its own: whoever is killed anywhere is followed by another who
asks the same under the same key, so that no charge is made twice. An outcome that nobody knows is
left to the payments' own reconciler, and nothing else is charged until it is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from payengine import faults
from payengine.billing.collection import rows, standing
from payengine.billing.collection.answers import Heard, hear_payment, next_look, waits_for_customer
from payengine.billing.collection.hearing import Resume, hear, lock_subscription
from payengine.billing.collection.preparing import Prepared, Refused, prepare, request_of
from payengine.billing.collection.rows import ChargeRow, CollectionRow
from payengine.billing.dunning_state import ENDED, OUT, DunningState, charge_key
from payengine.billing.dunning_words import (
    ChargeFailed,
    ChargeHeld,
    DunningEvent,
    InvoicePaid,
    InvoiceVoided,
    TimeCame,
)
from payengine.billing.wakeups import COLLECT, wake
from payengine.clock import Clock, wall_now
from payengine.context import TenantContext
from payengine.errors import (
    DatabaseUnavailable,
    IdempotencyConflict,
    NotFound,
    OperationInFlight,
    PayengineError,
    PaymentMethodInvalid,
    TransitionRefused,
)
from payengine.idempotency import claim
from payengine.payments import ConfirmPayment, PaymentResult, Payments, VoidPayment
from payengine.storage import Database, Session

__all__ = ["BATCH", "Collections", "next_due"]

#: How many invoices one round takes, and how many of them at once.
BATCH = 200
_AT_ONCE = 12
#: The steps of one invoice in one go; what is left is due again at once.
_MOST_STEPS = 12
#: The rounds of one tenant's test clock at one instant.
_MOST_ROUNDS = 1_000
#: Longer than a payment may take: its gateways share one deadline.
_LEASE = timedelta(seconds=45)

_log = structlog.get_logger(__name__)

#: In a world with a test clock, what is due is so by that clock.
_DUE = """
    SELECT tenant_id, invoice_id FROM (
        (SELECT tenant_id, invoice_id FROM collection
         WHERE due_at <= $1 AND (lease_until IS NULL OR lease_until <= $2)
           AND NOT EXISTS (SELECT FROM test_clock
                           WHERE test_clock.tenant_id = collection.tenant_id)
         ORDER BY due_at LIMIT $3)
        UNION ALL
        (SELECT collection.tenant_id, invoice_id
         FROM test_clock JOIN collection USING (tenant_id)
         WHERE due_at <= test_clock.now_at AND (lease_until IS NULL OR lease_until <= $2)
         ORDER BY due_at LIMIT $3)
        UNION ALL
        (SELECT tenant_id, invoice_id FROM collection_charge
         WHERE look_at <= $2 ORDER BY look_at LIMIT $3)
    ) AS due GROUP BY tenant_id, invoice_id
"""
_DUE_OF = """
    SELECT invoice_id FROM collection
    WHERE tenant_id = $1 AND due_at <= $2 AND (lease_until IS NULL OR lease_until <= $3)
    ORDER BY due_at, invoice_id LIMIT $4
"""
_NEXT_DUE = "SELECT min(due_at) FROM collection WHERE tenant_id = $1 AND due_at IS NOT NULL"

_MODE = "SELECT mode FROM tenant WHERE id = $1"
_CLAIM = f"""
    UPDATE collection SET lease_until = $3, fence = fence + 1
    WHERE tenant_id = $1 AND invoice_id = $2 AND (lease_until IS NULL OR lease_until <= $4)
    RETURNING {rows.COLLECTION.listed}
"""
_RELEASE = """
    UPDATE collection SET lease_until = NULL
    WHERE tenant_id = $1 AND invoice_id = $2 AND fence = $3
"""

_LOOK = """
    UPDATE collection_charge SET look_at = $4
    WHERE tenant_id = $1 AND invoice_id = $2 AND charge = $3 AND look_at > $4
"""


class _Job(msgspec.Struct, frozen=True):
    """An invoice under our lease: a charge to send or to look at, or, without one, its time."""

    context: TenantContext
    row: CollectionRow
    charge: ChargeRow | None = None
    refused: DunningEvent | None = None


async def next_due(session: Session, tenant_id: uuid.UUID) -> datetime | None:
    """The next instant of the tenant's time at which something is due in collection."""
    found: datetime | None = await session.fetchval(_NEXT_DUE, tenant_id)
    return found


class Collections:
    """The invoices in collection of all tenants."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        payments: Payments,
        nudge: Callable[[], None],
        resume: Resume | None = None,
    ) -> None:
        """`resume` begins a new period of a subscription that was unpaid and is paid now."""
        self._database = database
        self._clock = clock
        self._payments = payments
        self._nudge = nudge
        self._resume = resume

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Take up to `limit` invoices at which something is due at the wall's instant `at`."""
        async with self._database.worker() as session:
            due = await session.fetch(_DUE, at, at, limit)
        await self._work_all([(row["tenant_id"], row["invoice_id"]) for row in due], wall=at)
        return len(due)

    async def run_tenant(self, tenant_id: uuid.UUID, *, at: datetime) -> int:
        """Do all that is due for one tenant at its own instant `at`; how many invoices were taken.

        The tenant's clock already tells this instant.
        """
        taken = 0
        stuck: set[str] = set()
        for _ in range(_MOST_ROUNDS):
            wall = wall_now()
            async with self._database.tenant(tenant_id) as session:
                rows_due = await session.fetch(_DUE_OF, tenant_id, at, wall, BATCH)
            due = [row["invoice_id"] for row in rows_due if row["invoice_id"] not in stuck]
            if not due:
                break
            stuck |= await self._work_all([(tenant_id, each) for each in due], wall=wall)
            taken += len(due)
        return taken

    async def take_turn(self, tenant_id: uuid.UUID) -> int:
        """Take up to a batch of what is due for one tenant now; how many invoices there were.

        Where that was not all, a wake-up says so; not where nothing could be done with any.
        """
        wall = wall_now()
        async with self._database.tenant(tenant_id) as session:
            at = self._clock.now(tenant_id)
            rows_due = await session.fetch(_DUE_OF, tenant_id, at, wall, BATCH)
        due = [(tenant_id, row["invoice_id"]) for row in rows_due]
        stuck = await self._work_all(due, wall=wall)
        if len(due) == BATCH and len(stuck) < BATCH:
            async with self._database.tenant(tenant_id) as session:
                await wake(session, tenant_id, COLLECT)
        return len(due)

    async def work(self, tenant_id: uuid.UUID, invoice_id: str, *, wall: datetime) -> bool:
        """Take one invoice as far as it goes now; whether anything was done.

        Nothing is where somebody else has it, and where a payment has to be waited for.
        """
        for steps in range(_MOST_STEPS):
            job = await self._claim(tenant_id, invoice_id, wall=max(wall, wall_now()))
            if job is None:
                return steps > 0
            faults.point("dunning_claimed")
            goes_on = await self._do(job)
            self._nudge()
            if not goes_on:
                return steps > 0
        return True

    async def look_now(self, tenant_id: uuid.UUID, invoice_id: str) -> None:
        """Ask the gateway what a customer has done who was asked for something, and go on by it."""
        async with self._database.tenant(tenant_id) as session:
            found = await rows.charges_of(session, tenant_id, [invoice_id])
            context = await _context(session, tenant_id)
        open_still = [
            each
            for each in found.get(invoice_id, [])
            if each.look_at is not None and each.payment_id is not None
        ]
        for charge in open_still:
            asked = ConfirmPayment(
                idempotency_key=f"{charge_key(invoice_id, charge.charge)}_ask",
                payment_id=charge.payment_id or "",
            )
            with contextlib.suppress(PayengineError):
                await self._payments.confirm(context, asked)
            async with self._database.tenant(tenant_id) as session:
                await session.execute(_LOOK, tenant_id, invoice_id, charge.charge, wall_now())
        if open_still:
            await self.work(tenant_id, invoice_id, wall=wall_now())

    async def _work_all(self, due: list[tuple[uuid.UUID, str]], *, wall: datetime) -> set[str]:
        """Work on all of them; the invoices at which nothing could be done."""
        places = asyncio.Semaphore(_AT_ONCE)
        stuck: set[str] = set()

        async def one(tenant_id: uuid.UUID, invoice_id: str) -> None:
            async with places:
                try:
                    if await self.work(tenant_id, invoice_id, wall=wall):
                        return
                except Exception as failure:
                    _log.warning("collection_failed", invoice=invoice_id, error=repr(failure))
                stuck.add(invoice_id)

        await asyncio.gather(*(one(*each) for each in due))
        return stuck

    # -- the lease ---------------------------------------------------------------------------------

    async def _claim(self, tenant_id: uuid.UUID, invoice_id: str, *, wall: datetime) -> _Job | None:
        """Take the lease where something is due; a charge's request is written down with it."""
        at = self._clock.now(tenant_id)
        async with self._database.tenant(tenant_id) as session:
            claimed = await session.fetchrow(_CLAIM, tenant_id, invoice_id, wall + _LEASE, wall)
            if claimed is None:
                return None
            row = rows.COLLECTION.read(claimed)
            context = await _context(session, tenant_id)
            charges = (await rows.charges_of(session, tenant_id, [invoice_id]))[invoice_id]
            job = await self._job(session, context, row, charges, at=at, wall=wall)
            if job is None:
                await session.execute(_RELEASE, tenant_id, invoice_id, row.fence)
        return job

    async def _job(
        self,
        session: Session,
        context: TenantContext,
        row: CollectionRow,
        charges: list[ChargeRow],
        *,
        at: datetime,
        wall: datetime,
    ) -> _Job | None:
        is_due = row.due_at is not None and row.due_at <= at
        is_charged = is_due and row.phase in OUT
        for charge in charges:
            # Before another charge is made, nobody may be able to pay an earlier one any more.
            if charge.look_at is not None and (charge.look_at <= wall or is_charged):
                return _Job(context, row, charge)
        if not is_charged:
            return _Job(context, row) if is_due else None
        charge = charges[-1]
        prepared = await prepare(session, context.tenant_id, row, charge, at=at)
        if isinstance(prepared, Refused):
            return _Job(context, row, prepared.charge, prepared.event)
        return _Job(context, row, await self._write_down(session, context, row, prepared, wall))

    async def _write_down(
        self,
        session: Session,
        context: TenantContext,
        row: CollectionRow,
        prepared: Prepared,
        wall: datetime,
    ) -> ChargeRow:
        """The charge's request, which never changes from now on."""
        charge = msgspec.structs.replace(prepared.charge, look_at=wall + _LEASE)
        await rows.rewrite_charge(session, context.tenant_id, charge)
        state = rows.state_of(row)
        if charge.charge == 0 and state.policy.tries_other_methods and state.kind != "first":
            state = msgspec.structs.replace(state, other_methods=prepared.others)
        # It is due no more by the tenant's time: until it is answered, the wall's time counts.
        await rows.rewrite(
            session,
            context.tenant_id,
            row,
            state,
            due_at=None,
            at=row.updated_at,
            lease_until=row.lease_until,
        )
        return charge

    # -- the work ----------------------------------------------------------------------------------

    async def _do(self, job: _Job) -> bool:
        """Send or look at the charge, or let time come; False where something is waited for."""
        if job.charge is None:
            await self._record(job, lambda state, at, others: (None, TimeCame()))
            return True
        if job.refused is not None:
            await self._refuse(job, job.charge, job.refused)
            return True
        faults.point("collection_charge_prepared")
        event: DunningEvent = ChargeFailed(charge=job.charge.charge)
        try:
            result = await self._ask(job, job.charge)
        except (DatabaseUnavailable, asyncio.CancelledError):
            raise
        except (OperationInFlight, IdempotencyConflict):
            await self._look_later(job, job.charge)
            return False
        except (NotFound, PaymentMethodInvalid):
            # It was detached meanwhile.
            event = ChargeHeld(charge=job.charge.charge)
        except PayengineError as refused:
            _log.warning("charge_refused", invoice=job.row.invoice_id, code=refused.code)
        else:
            faults.point("after_collection_charge_before_record")
            return await self._hear(job, job.charge, result)
        await self._refuse(job, job.charge, event)
        return True

    async def _ask(self, job: _Job, charge: ChargeRow) -> PaymentResult:
        """The charge's payment as it now stands: its key makes it once, and finds it ever after."""
        request = request_of(charge)
        result = await self._payments.create(job.context, request)
        state = rows.state_of(job.row)
        is_passed = state.charge > charge.charge or state.phase in ENDED
        if is_passed and waits_for_customer(result):
            # Nobody shall pay it any more: the collection has gone on without it.
            void = VoidPayment(
                idempotency_key=f"{request.idempotency_key}_void", payment_id=result.payment.id
            )
            with contextlib.suppress(TransitionRefused):  # it has ended just now: read it below
                await self._payments.void(job.context, void)
            result = await self._payments.create(job.context, request)
        return result

    async def _hear(self, job: _Job, charge: ChargeRow, result: PaymentResult) -> bool:
        """Record what the payment says of the charge; False where it is still open."""
        open_still = False

        def heard_by(
            state: DunningState, at: datetime, others: int
        ) -> tuple[ChargeRow, DunningEvent | None]:
            nonlocal open_still
            heard: Heard = hear_payment(charge, result, at=at, others_open=others)
            open_still = not heard.is_over and heard.event is None
            look_at = None if heard.is_over else next_look(charge, wall=wall_now())
            looked = msgspec.structs.replace(heard.charge, look_at=look_at, looks=charge.looks + 1)
            return looked, heard.event

        await self._record(job, heard_by, payment_id=result.payment.id)
        return not open_still

    async def _refuse(self, job: _Job, charge: ChargeRow, event: DunningEvent) -> None:
        """Nothing was sent, and nothing ever will be under this charge's key."""

        def refused_by(
            state: DunningState, at: datetime, others: int
        ) -> tuple[ChargeRow, DunningEvent | None]:
            told = event
            if isinstance(told, InvoicePaid | InvoiceVoided):
                told = msgspec.structs.replace(told, others_open=others)
            outcome = {ChargeHeld: "held", ChargeFailed: "failed"}.get(type(event), "canceled")
            ended = msgspec.structs.replace(charge, outcome=outcome, look_at=None, answered_at=at)
            return ended, told

        await self._record(job, refused_by, spends=charge.request is not None)

    async def _look_later(self, job: _Job, charge: ChargeRow) -> None:
        later = msgspec.structs.replace(
            charge, look_at=next_look(charge, wall=wall_now()), looks=charge.looks + 1
        )
        await self._record(job, lambda state, at, others: (later, None))

    async def _record(
        self,
        job: _Job,
        of: Callable[[DunningState, datetime, int], tuple[ChargeRow | None, DunningEvent | None]],
        *,
        payment_id: str | None = None,
        spends: bool = False,
    ) -> None:
        """Write down what became of it and let the machine hear it, if the lease is still ours.

        `spends`: the charge's key is used up first, so that somebody who was frozen with it sends
        nothing when thawed; where it was used already, its payment is to be looked at instead.
        """
        tenant_id, held = job.context.tenant_id, job.row
        at = self._clock.now(tenant_id)
        async with self._database.tenant(tenant_id) as session:
            await lock_subscription(session, tenant_id, held.subscription_id)
            row = await rows.lock(session, tenant_id, held.invoice_id)
            if row is None or row.fence != held.fence:
                return  # somebody else has it by now, and finds the same under the same key
            others = await standing.others_open(
                session, tenant_id, row.subscription_id, row.invoice_id
            )
            charge, event = of(rows.state_of(row), at, others)
            if spends and charge is not None and not await _spend(session, job, charge, at=at):
                return
            if charge is not None:
                await rows.rewrite_charge(session, tenant_id, charge)
            if event is not None:
                await hear(
                    session,
                    tenant_id,
                    row,
                    event,
                    at=at,
                    resume=self._resume,
                    payment_id=payment_id,
                )
            await session.execute(_RELEASE, tenant_id, row.invoice_id, row.fence)
            faults.point("collection_charge_recorded")


async def _context(session: Session, tenant_id: uuid.UUID) -> TenantContext:
    mode = await session.fetchval(_MODE, tenant_id)
    return TenantContext(tenant_id, mode, "collections", frozenset({"payments:write"}))


async def _spend(session: Session, job: _Job, charge: ChargeRow, *, at: datetime) -> bool:
    """Use the charge's key up; False where it was used."""
    try:
        return None is await claim(
            session,
            job.context.tenant_id,
            key=charge_key(charge.invoice_id, charge.charge),
            mutation="collect",
            fingerprint=b"spent",
            resource_id=charge.invoice_id,
            at=at,
        )
    except IdempotencyConflict:
        return False
