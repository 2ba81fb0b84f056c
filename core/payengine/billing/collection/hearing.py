"""What does the machine make of what happened, and who is told of it?

Each function works in the caller's transaction and takes its locks in one order: the subscription,
its collections by their invoices, the invoice. Whoever moves an invoice or a subscription calls it
before locking the invoice. What is to be charged is written down here, and sent by nobody but
`Collections`.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from payengine.billing.collection import rows, standing
from payengine.billing.collection.notices import put_notice
from payengine.billing.collection.reviews import open_review
from payengine.billing.collection.rows import ChargeRow, CollectionRow
from payengine.billing.dunning import step
from payengine.billing.dunning_state import OUT, DunningState, next_due
from payengine.billing.dunning_words import (
    Action,
    ChargeCustomer,
    CustomerAuthenticated,
    CustomerCanceled,
    DunningEvent,
    InvoicePaid,
    InvoiceVoided,
    MethodUpdated,
    MoveAccess,
    MoveInvoice,
    MoveSubscription,
    NotifyCustomer,
    OpenReview,
)
from payengine.storage import Session

__all__ = [
    "Resume",
    "customer_authenticated",
    "hear",
    "invoice_paid",
    "invoice_voided",
    "invoice_written_off",
    "lock_subscription",
    "method_updated",
    "subscription_canceled",
]

#: Begins a new period of a subscription that was unpaid, in the same transaction.
Resume: TypeAlias = Callable[[Session, uuid.UUID, str, datetime], Awaitable[None]]

_LOCK_SUBSCRIPTION = "SELECT 1 FROM subscription WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
_SUBSCRIPTION_OF = "SELECT subscription_id FROM invoice WHERE tenant_id = $1 AND id = $2"


async def lock_subscription(
    session: Session, tenant_id: uuid.UUID, subscription_id: str | None
) -> None:
    """Take the first lock of the order, where there is a subscription."""
    if subscription_id is not None:
        await session.fetchval(_LOCK_SUBSCRIPTION, tenant_id, subscription_id)


async def hear(
    session: Session,
    tenant_id: uuid.UUID,
    row: CollectionRow,
    event: DunningEvent,
    *,
    at: datetime,
    resume: Resume | None = None,
    return_url: str | None = None,
    payment_id: str | None = None,
) -> DunningState:
    """Let the machine take one step, carry out what needs no gateway, and write it all down.

    The row and its subscription are locked by this transaction. The lease of whoever sends a charge
    just now stays as it is. `payment_id` is the payment that the event tells of.
    """
    before = rows.state_of(row)
    after, actions = step(before, event, at)
    if after == before and not actions:
        return before
    hand = _Hand(
        session,
        tenant_id,
        row,
        at=at,
        resume=resume,
        return_url=return_url,
        payment_id=payment_id,
    )
    for action in actions:
        await hand.carry_out(action, after)
    if after.attempts > before.attempts:
        await standing.invoice_event(
            session,
            tenant_id,
            row.invoice_id,
            "invoice.payment_failed",
            at=at,
            charge=before.charge,
            attempt=after.attempts,
            stopped_by=after.stopped_by,
        )
    if after.phase == "settled" and before.phase != "settled":
        await hand.recover()
    is_charged = any(isinstance(action, ChargeCustomer) for action in actions)
    waits = row.due_at if after.phase in OUT else next_due(after)
    await rows.rewrite(
        session,
        tenant_id,
        row,
        after,
        due_at=at if is_charged else waits,
        at=at,
        lease_until=row.lease_until,
    )
    return after


async def invoice_paid(
    session: Session,
    tenant_id: uuid.UUID,
    invoice_id: str,
    *,
    at: datetime,
    payment_id: str | None = None,
    resume: Resume | None = None,
) -> None:
    """The invoice was settled otherwise: by a transfer, a credit note or a payment of its own.

    Nothing is charged for it any more; a charge that is out and takes money opens a review.
    """
    row = await _locked(session, tenant_id, invoice_id)
    await standing.mark_paid(session, tenant_id, invoice_id, at=at, payment_id=payment_id)
    if row is not None:
        others = await standing.others_open(session, tenant_id, row.subscription_id, invoice_id)
        heard = InvoicePaid(others_open=others)
        await hear(session, tenant_id, row, heard, at=at, resume=resume)


async def invoice_voided(
    session: Session,
    tenant_id: uuid.UUID,
    invoice_id: str,
    *,
    at: datetime,
    resume: Resume | None = None,
) -> None:
    """The invoice is owed no more, and nothing is charged for it."""
    row = await _locked(session, tenant_id, invoice_id)
    await standing.mark_void(session, tenant_id, invoice_id, at=at)
    if row is not None:
        others = await standing.others_open(session, tenant_id, row.subscription_id, invoice_id)
        heard = InvoiceVoided(others_open=others)
        await hear(session, tenant_id, row, heard, at=at, resume=resume)


async def invoice_written_off(
    session: Session,
    tenant_id: uuid.UUID,
    invoice_id: str,
    *,
    at: datetime,
    resume: Resume | None = None,
) -> None:
    """Nobody hopes to be paid any more, and nothing is charged for it.

    As with a void one the subscription is then in good standing, if no other invoice is open.
    """
    row = await _locked(session, tenant_id, invoice_id)
    await standing.mark_uncollectible(session, tenant_id, invoice_id, at=at)
    if row is not None:
        others = await standing.others_open(session, tenant_id, row.subscription_id, invoice_id)
        heard = InvoiceVoided(others_open=others, written_off=True)
        await hear(session, tenant_id, row, heard, at=at, resume=resume)


async def subscription_canceled(
    session: Session, tenant_id: uuid.UUID, subscription_id: str, *, at: datetime
) -> None:
    """The subscription has ended: nothing of it is charged any more, and its access ends."""
    await lock_subscription(session, tenant_id, subscription_id)
    for row in await rows.siblings(session, tenant_id, subscription_id):
        await hear(session, tenant_id, row, CustomerCanceled(), at=at)
    await standing.move_access(session, tenant_id, subscription_id, "ended", at=at)


async def method_updated(
    session: Session,
    tenant_id: uuid.UUID,
    subscription_id: str,
    method_id: str | None,
    *,
    at: datetime,
) -> list[str]:
    """The subscription has another method: what is owed is charged with it at once.

    Answers with the invoices whose collection goes on by it. An invoice whose first charge has not
    been answered yet waits for that answer.
    """
    await lock_subscription(session, tenant_id, subscription_id)
    moved = []
    for row in await rows.siblings(session, tenant_id, subscription_id):
        await hear(session, tenant_id, row, MethodUpdated(method=method_id), at=at)
        moved.append(row.invoice_id)
    return moved


async def customer_authenticated(
    session: Session,
    tenant_id: uuid.UUID,
    invoice_id: str,
    *,
    at: datetime,
    return_url: str | None = None,
) -> bool:
    """The customer has come to pay: charge at once; False where nothing is collected."""
    row = await _locked(session, tenant_id, invoice_id)
    if row is None:
        return False
    before = row.version
    await hear(session, tenant_id, row, CustomerAuthenticated(), at=at, return_url=return_url)
    now = await rows.lock(session, tenant_id, invoice_id)
    return now is not None and now.version != before


async def _locked(session: Session, tenant_id: uuid.UUID, invoice_id: str) -> CollectionRow | None:
    """The invoice's collection, locked behind its subscription; None where it has none."""
    subscription_id = await session.fetchval(_SUBSCRIPTION_OF, tenant_id, invoice_id)
    await lock_subscription(session, tenant_id, subscription_id)
    return await rows.lock(session, tenant_id, invoice_id)


class _Hand:
    """Carries out the actions of one step that need nobody outside of the database."""

    def __init__(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        row: CollectionRow,
        *,
        at: datetime,
        resume: Resume | None,
        return_url: str | None,
        payment_id: str | None,
    ) -> None:
        self._session = session
        self._tenant_id = tenant_id
        self._row = row
        self._at = at
        self._resume = resume
        self._return_url = return_url
        self._payment_id = payment_id

    async def carry_out(self, action: Action, after: DunningState) -> None:
        """One action; to reconcile is what the charge's own looks do."""
        session, tenant_id, row, at = self._session, self._tenant_id, self._row, self._at
        match action:
            case ChargeCustomer():
                charge = ChargeRow(
                    invoice_id=row.invoice_id,
                    charge=action.charge,
                    trigger=action.trigger,
                    attempt=after.attempts,
                    asked_method_id=action.method,
                    avoid_gateways=action.avoid_gateways,
                    made_at=at,
                    return_url=self._return_url,
                )
                await rows.insert_charge(session, tenant_id, charge)
            case MoveInvoice(status="paid"):
                await standing.mark_paid(
                    session, tenant_id, row.invoice_id, at=at, payment_id=self._payment_id
                )
            case MoveInvoice(status="void"):
                await standing.mark_void(session, tenant_id, row.invoice_id, at=at)
            case MoveInvoice():
                await standing.mark_uncollectible(session, tenant_id, row.invoice_id, at=at)
            case MoveSubscription():
                await self._move_subscription(action)
            case MoveAccess() if row.subscription_id is not None:
                await standing.move_access(
                    session, tenant_id, row.subscription_id, action.access, at=at
                )
            case NotifyCustomer():
                await put_notice(session, tenant_id, row, action, at=at)
            case OpenReview():
                await open_review(session, tenant_id, row, action, at=at)
            case _:
                pass

    async def recover(self) -> None:
        """Nothing more is owed on this invoice: nor on any other, the subscription recovers.

        The machine knows its own invoice only; another one may have brought the subscription down.
        """
        row = self._row
        if row.subscription_id is None:
            return
        open_still = await standing.others_open(
            self._session, self._tenant_id, row.subscription_id, row.invoice_id
        )
        if open_still == 0:
            await self._move_subscription(MoveSubscription("active"))
            await standing.restore_access(
                self._session, self._tenant_id, row.subscription_id, at=self._at
            )

    async def _move_subscription(self, action: MoveSubscription) -> None:
        session, tenant_id, row, at = self._session, self._tenant_id, self._row, self._at
        if row.subscription_id is None:
            return
        before = await standing.move_subscription(
            session, tenant_id, row.subscription_id, action.status, at=at, invoice_id=row.invoice_id
        )
        if before == "unpaid" and action.status == "active" and self._resume is not None:
            await self._resume(session, tenant_id, row.subscription_id, at)
        if before is not None and action.status == "canceled":
            # Its other invoices are charged no more either.
            for other in await rows.siblings(session, tenant_id, row.subscription_id):
                if other.invoice_id != row.invoice_id:
                    await hear(session, tenant_id, other, CustomerCanceled(), at=at)
