"""How does what became known of a dispute reach the payment and the books?

Reports and steps are folded; where the fold moved, the dispute's operation moves with it, and
payment, ledger, events and evidence are written in the same transaction, under the payment's lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from payengine.context import TenantContext
from payengine.errors import NotFound, OperationInFlight
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.fraud.labels import write_label
from payengine.fraud.outcomes import disputed_label, labeled_event
from payengine.ids import new_id
from payengine.ledger import Posting, post
from payengine.ledger.templates import dispute_fee, dispute_fee_returned
from payengine.payments import store as payment_store
from payengine.payments.disputes import store
from payengine.payments.disputes.folding import contradicts, fold_dispute, operation_status
from payengine.payments.disputes.models import Dispute, Report, Step
from payengine.payments.findings import Finding, Source
from payengine.payments.fold import made_after
from payengine.payments.models import Operation, OperationStatus, Payment
from payengine.payments.settle import event_of, settle
from payengine.plugin import DisputeEvent
from payengine.storage import Session

__all__ = [
    "Ground",
    "dispute_event",
    "lock",
    "open_dispute",
    "refold",
    "report_of",
    "stand",
]


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """A payment under lock, with its operations, to which a dispute belongs."""

    payment: Payment
    operations: tuple[Operation, ...]

    def operation(self, operation_id: str) -> Operation:
        """The operation of this id."""
        return next(each for each in self.operations if each.id == operation_id)


async def lock(session: Session, context: TenantContext, payment_id: str) -> Ground:
    """The payment with its operations, which nobody else may move until the commit."""
    found = await payment_store.load(session, context.tenant_id, payment_id, lock=True)
    if found is None:
        raise NotFound("There is no such payment.")
    payment, operations = found
    return Ground(payment=payment, operations=tuple(operations))


async def stand(
    session: Session, context: TenantContext, dispute_id: str
) -> tuple[Ground, Dispute]:
    """The dispute as it stands under its payment's lock; raises `NotFound`."""
    dispute = await store.get(session, context.tenant_id, dispute_id)
    if dispute is None:
        raise NotFound("There is no such dispute.", path=("disputeId",))
    ground = await lock(session, context, dispute.payment_id)
    return ground, (await store.get(session, context.tenant_id, dispute_id)) or dispute


def report_of(event: DisputeEvent, dispute_id: str, *, at: datetime) -> Report:
    """The provider's words as a row."""
    told = event.dispute
    return Report(
        dispute_id=dispute_id,
        event_id=event.event_id,
        status=told.status,
        amount_minor=told.amount.minor,
        currency=told.amount.currency,
        reason=told.reason,
        fee_minor=told.fee_minor,
        fee_returned=told.fee_returned,
        evidence_due_at=told.evidence_due_at,
        occurred_at=event.occurred_at,
        received_at=at,
    )


def dispute_event(
    kind: str, ground: Ground, dispute: Dispute, *, at: datetime, step: Step | None = None
) -> NewEvent:
    """An event that carries the payment and the dispute as they now stand."""
    operation = ground.operation(dispute.id)
    event = event_of(kind, ground.payment, operation, at=at)
    event.data["dispute"] = _plain(dispute)
    if step is not None:
        event.data["step"] = {"id": step.id, "kind": step.kind, "status": step.status}
    return event


def _plain(dispute: Dispute) -> dict[str, object]:
    due = dispute.evidence_due_at
    return {
        "id": dispute.id,
        "status": dispute.status,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
        "fee_minor": dispute.fee_minor,
        "reason": dispute.reason,
        "gateway": dispute.gateway,
        "evidence_due_at": None if due is None else due.isoformat(),
    }


async def open_dispute(
    session: Session,
    context: TenantContext,
    ground: Ground,
    disputed: Operation,
    event: DisputeEvent,
    *,
    at: datetime,
) -> tuple[Ground, Dispute]:
    """A dispute that was never heard of, with its operation: the bank has taken the amount."""
    amount = event.dispute.amount
    dispute_id = new_id("dsp")
    operation = Operation(
        id=dispute_id,
        payment_id=ground.payment.id,
        attempt_id=disputed.attempt_id,
        kind="dispute",
        status="sending",
        amount_minor=amount.minor,
        currency=amount.currency,
        gateway=disputed.gateway,
        provider_key=dispute_id,
        provider_reference=event.dispute.reference,
        request={},
        resendable=False,
        sent_at=at,
        created_at=made_after(ground.operations, at=at),
        updated_at=at,
    )
    dispute = Dispute(
        id=dispute_id,
        payment_id=ground.payment.id,
        gateway=disputed.gateway,
        provider_reference=event.dispute.reference,
        status="NEEDS_RESPONSE",
        amount_minor=amount.minor,
        currency=amount.currency,
        created_at=at,
        updated_at=at,
    )
    await payment_store.insert_operation(session, context.tenant_id, operation)
    await store.insert_dispute(session, context.tenant_id, dispute)
    ground = Ground(payment=ground.payment, operations=(*ground.operations, operation))
    foreign = amount.currency != ground.payment.currency
    told = fold_dispute(dispute, [report_of(event, dispute_id, at=at)], ())
    ground = await _move(
        session, context, ground, told, "pending", source="webhook", doubt=foreign, at=at
    )
    return ground, dispute


async def refold(
    session: Session,
    context: TenantContext,
    ground: Ground,
    dispute: Dispute,
    *,
    source: Source,
    at: datetime,
    doubt: bool = False,
    is_new: bool = False,
) -> tuple[Ground, Dispute]:
    """Bring the dispute, its operation and the books to what is known now.

    `doubt` says that something was told that cannot be true, `is_new` that it has just been
    opened. Raises `OperationInFlight` where the
    payment has moved on, after which the transaction must be left.
    """
    reports, steps = await store.told_of(session, context.tenant_id, dispute.id)
    folded = fold_dispute(dispute, reports, steps)
    doubt = doubt or contradicts(folded, reports, steps)
    after = await store.rewrite_dispute(session, context.tenant_id, folded, at=at)
    ground = await _move(
        session, context, ground, after, operation_status(after), source=source, doubt=doubt, at=at
    )
    if after.currency == ground.payment.currency:
        postings = list(_fees(dispute, after))
        if postings:
            await post(session, context.tenant_id, postings, at=at)
    for kind in _news(dispute, after, is_new=is_new):
        event = dispute_event(kind, ground, after, at=at)
        await insert_event(session, context.tenant_id, event)
    await _learn(session, context, ground, dispute, after, is_new=is_new, at=at)
    if not after.is_open:
        await _abandon(session, context, steps, at=at)
    return ground, after


async def _learn(
    session: Session,
    context: TenantContext,
    ground: Ground,
    before: Dispute,
    after: Dispute,
    *,
    is_new: bool,
    at: datetime,
) -> None:
    """What the dispute's reason says of fraud counts from now on, never from the payment's time."""
    label = disputed_label(
        ground.payment.id,
        reason=after.reason,
        reason_before=None if is_new else before.reason,
        won=after.status == "WON" and before.status != "WON",
        at=at,
    )
    if label is not None:
        await write_label(session, context.tenant_id, label)
        event = labeled_event(label, customer_id=ground.payment.customer_id, at=at)
        await insert_event(session, context.tenant_id, event)


async def _move(
    session: Session,
    context: TenantContext,
    ground: Ground,
    dispute: Dispute,
    status: OperationStatus,
    *,
    source: Source,
    doubt: bool,
    at: datetime,
) -> Ground:
    """Move the dispute's operation, and with it payment and ledger, where there is news."""
    finding = Finding(status=status, source=source, reason=dispute.status.lower(), mismatch=doubt)
    change = settle(ground.payment, ground.operations, ground.operation(dispute.id), finding, at=at)
    if change is None:
        return ground
    for event in change.events:
        if event.operation_id == dispute.id:
            event.data["dispute"] = _plain(dispute)
    if not await payment_store.write_change(session, context.tenant_id, change):
        raise OperationInFlight
    moved = {change.operation.id: change.operation}
    return Ground(
        payment=change.payment,
        operations=tuple(moved.get(each.id, each) for each in ground.operations),
    )


def _fees(before: Dispute, after: Dispute) -> Iterator[Posting]:
    """The fee once it is known, and its way back once it is told."""
    if not after.fee_minor:
        return
    if not before.fee_minor:
        yield dispute_fee(
            dispute_id=after.id,
            payment_id=after.payment_id,
            gateway=after.gateway,
            amount_minor=after.fee_minor,
            currency=after.currency,
        )
    if after.fee_returned and not (before.fee_returned and before.fee_minor):
        yield dispute_fee_returned(
            dispute_id=after.id,
            payment_id=after.payment_id,
            gateway=after.gateway,
            amount_minor=after.fee_minor,
            currency=after.currency,
        )


def _news(before: Dispute, after: Dispute, *, is_new: bool) -> Iterator[str]:
    """What is to be told beside the operation's own move."""
    if after.status == "UNDER_REVIEW" and before.status == "NEEDS_RESPONSE":
        yield "dispute.under_review"
    told = ("reason", "fee_minor", "fee_returned", "evidence_due_at")
    if not is_new and any(getattr(before, name) != getattr(after, name) for name in told):
        yield "dispute.updated"


async def _abandon(
    session: Session, context: TenantContext, steps: Sequence[Step], *, at: datetime
) -> None:
    """Nobody waits any more for what was asked before the dispute ended."""
    for step in steps:
        if step.status in ("sending", "unknown"):
            ended = msgspec.structs.replace(
                step, status="abandoned", due_at=None, version=step.version + 1, updated_at=at
            )
            await store.rewrite_step(session, context.tenant_id, ended, before=step.version)
