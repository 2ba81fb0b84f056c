"""May a payment that is held for suspicion go on?

A person decides, or, where nobody has in time, the tenant's default. The decision is committed
first and carried out then; one whose process died in between is carried out by whoever comes next,
under keys that are made of the review, so that nothing is done twice.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from payengine import faults
from payengine.clock import wall_now
from payengine.context import SCOPES, TenantContext
from payengine.errors import InputInvalid, NotFound, PayengineError, TransitionRefused
from payengine.events.writing import insert_event
from payengine.fraud.desk.choices import read_settings
from payengine.fraud.labels import write_label
from payengine.payments import store as payment_store
from payengine.payments.desk import Payments
from payengine.payments.inputs import VoidPayment
from payengine.payments.means import Means
from payengine.payments.models import Payment
from payengine.payments.review import store
from payengine.payments.review.models import DecideReview, Decision, Review
from payengine.payments.review.taking import (
    check_request,
    done_before,
    get_review,
    take,
    unclaimed,
)
from payengine.payments.settle import event_of
from payengine.plugin import Label
from payengine.storage import Session

__all__ = ["BATCH", "Deciding"]

#: How many due decisions one round takes.
BATCH = 50
_AT_ONCE = 4
#: How long whoever carries a decision out has it for themselves.
_LEASE = timedelta(minutes=1)
_DEFAULTS: dict[str, Decision] = {"approve": "approved", "reject": "rejected"}

_log = structlog.get_logger(__name__)

_DUE = "SELECT tenant_id, id FROM review WHERE decide_by <= $1 ORDER BY decide_by LIMIT $2"

_CLAIM = f"""
    UPDATE review SET decide_by = $3, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND decide_by <= $4
    RETURNING {store.REVIEW.listed}
"""

_DONE = """
    UPDATE review SET decide_by = NULL, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND decision IS NOT NULL
"""

_BY_ID = f"SELECT {store.REVIEW.listed} FROM review WHERE tenant_id = $1 AND id = $2"
_MODE = "SELECT mode FROM tenant WHERE id = $1"


class Deciding:
    """Decisions on what is held, by people and by time."""

    def __init__(self, means: Means, payments: Payments) -> None:
        self._means = means
        self._payments = payments

    async def decide(self, context: TenantContext, request: DecideReview) -> Review:
        """Say whether the payment may go on; the review as it then stands.

        Approved, the payment goes on to its gateway, whose refusal is a result; rejected, it is
        canceled and nothing was taken. Raises `ReviewClaimed`, `ReviewSettled` where it is closed,
        `TransitionRefused` where nothing is held, `NotFound`.
        """
        check_request(context, request)
        if request.decision not in ("approved", "rejected"):
            raise InputInvalid("A decision is APPROVED or REJECTED.", path=("decision",))
        return await self._means.to_its_end(self._decide(context, request))

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Decide by default what nobody has decided in time, and carry out what was left."""
        async with self._means.database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Any) -> None:
            async with places:
                try:
                    await self._overdue(row["tenant_id"], row["id"], at=at)
                except Exception as failure:
                    _log.warning("decision_failed", review=row["id"], error=repr(failure))

        await asyncio.gather(*map(one, due))
        return len(due)

    async def _decide(self, context: TenantContext, request: DecideReview) -> Review:
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            again = await done_before(self._means, session, context, "decideReview", request)
            if again:
                return await get_review(session, context, request.review_id)
            # In the order in which everybody locks: the payment first.
            review = await get_review(session, context, request.review_id)
            payment = await _lock(session, context, review.payment_id)
            review = await take(session, context, request, at=now)
            if review.kind != "fraud" or payment.status != "IN_REVIEW":
                raise TransitionRefused("This payment is not held: there is nothing to decide.")
            if request.is_fraud is not None:
                label = Label(
                    payment_id=payment.id,
                    is_fraud=request.is_fraud,
                    observed_at=now,
                    source="review",
                )
                await write_label(session, context.tenant_id, label)
            review = await _settle(
                session,
                context,
                review,
                payment,
                decision=request.decision,
                person=request.person,
                reason=request.reason,
                at=now,
            )
        faults.point("after_commit")
        return await self._carry_out(context, review)

    async def _overdue(self, tenant_id: uuid.UUID, review_id: str, *, at: datetime) -> None:
        async with self._means.database.tenant(tenant_id) as session:
            mode = await session.fetchval(_MODE, tenant_id)
            context = TenantContext(tenant_id, mode, "engine", frozenset(SCOPES))
            found = await session.fetchrow(_BY_ID, tenant_id, review_id)
            if found is None:
                return
            payment = await _lock(session, context, found["payment_id"])
            row = await session.fetchrow(_CLAIM, tenant_id, review_id, at + _LEASE, at)
            if row is None:
                return
            review = store.REVIEW.read(row)
            if review.decision is None:
                settings = await read_settings(session, tenant_id)
                review = await _settle(
                    session,
                    context,
                    review,
                    payment,
                    decision=_DEFAULTS[settings.review_default],
                    person="engine",
                    reason="Nobody decided in time.",
                    at=self._means.clock.now(tenant_id),
                )
        await self._carry_out(context, review)

    async def _carry_out(self, context: TenantContext, review: Review) -> Review:
        """Let the payment go on or cancel it; whatever became of it, the decision is done."""
        key = f"decision of {review.id} at {review.opened_at.isoformat()}"
        allowed = TenantContext(context.tenant_id, context.mode, context.actor, frozenset(SCOPES))
        try:
            if review.decision == "approved":
                await self._payments.release(allowed, review.payment_id, idempotency_key=key)
            else:
                request = VoidPayment(idempotency_key=key, payment_id=review.payment_id)
                await self._payments.void(allowed, request)
        except TransitionRefused:
            pass  # it has moved on by itself meanwhile
        except PayengineError as refused:
            _log.warning("decision_not_carried_out", review=review.id, error=refused.code)
            if refused.retryable:
                return review  # it stays due, and is tried again when the lease has run out
        self._means.nudge()
        async with self._means.database.tenant(context.tenant_id) as session:
            await session.execute(_DONE, context.tenant_id, review.id)
            return await get_review(session, context, review.id)


async def _lock(session: Session, context: TenantContext, payment_id: str) -> Payment:
    found = await payment_store.load(session, context.tenant_id, payment_id, lock=True)
    if found is None:
        raise NotFound("There is no such payment.")
    return found[0]


async def _settle(
    session: Session,
    context: TenantContext,
    review: Review,
    payment: Payment,
    *,
    decision: Decision,
    person: str,
    reason: str,
    at: datetime,
) -> Review:
    """Write the decision, who made it and why; it is to be carried out within the lease."""
    review = await store.rewrite(
        session,
        context.tenant_id,
        msgspec.structs.replace(
            unclaimed(review),
            decision=decision,
            decide_by=wall_now() + _LEASE,
            closed_by=person,
            closed_actor=context.actor,
            closed_at=at,
        ),
    )
    await store.act(
        session,
        context,
        review,
        kind="decided",
        person=person,
        reason=reason,
        data={"decision": decision},
        at=at,
    )
    event = event_of("payment.review_decided", payment, None, at=at)
    event.data["review"] = {"id": review.id, "decision": decision, "person": person}
    await insert_event(session, context.tenant_id, event)
    return review
