"""How does a payment go on that was held until somebody had looked at it?

Its authorization is no longer held, which makes it an authorized payment like any other; what was
to be captured at once is captured now. Whoever refuses it voids it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from payengine.context import TenantContext
from payengine.errors import NotFound, OperationInFlight, TransitionRefused
from payengine.events.writing import insert_event
from payengine.payments import store
from payengine.payments.fold import refold
from payengine.payments.inputs import CapturePayment
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment
from payengine.payments.service import PaymentResult, result_of
from payengine.payments.settle import event_of
from payengine.payments.steps import PaymentSteps
from payengine.storage import Session

__all__ = ["ReviewedPayments"]

_LET_GO = """
    UPDATE operation SET final = false, version = version + 1, updated_at = $4
    WHERE tenant_id = $1 AND id = $2 AND version = $3
"""
_MOVE = """
    UPDATE payment SET status = $4, version = $5, updated_at = $6
    WHERE tenant_id = $1 AND id = $2 AND version = $3 RETURNING id
"""


class ReviewedPayments:
    """Takes payments further that were in review."""

    def __init__(self, means: Means, steps: PaymentSteps) -> None:
        self._means = means
        self._steps = steps

    async def release(
        self, context: TenantContext, payment_id: str, *, idempotency_key: str
    ) -> PaymentResult:
        """Let the payment go on; again with the same key does no more than the first time.

        Raises `NotFound`, `TransitionRefused` where it is neither in review nor authorized, and
        what a capture raises.
        """
        context.require("payments:write")
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            found = await store.load(session, context.tenant_id, payment_id, lock=True)
            if found is None:
                raise NotFound("There is no such payment.", path=("paymentId",))
            payment, operations = found
            if payment.status == "IN_REVIEW":
                payment, operations = await self._let_go(
                    session, context, payment, operations, at=at
                )
            elif payment.status not in ("AUTHORIZED", "CAPTURED"):
                raise TransitionRefused(f"A payment that is {payment.status} is not in review.")
        self._means.nudge()
        if payment.status == "AUTHORIZED" and payment.capture_method == "AUTOMATIC":
            request = CapturePayment(idempotency_key=idempotency_key, payment_id=payment_id)
            return await self._steps.capture(context, request)
        return result_of(payment, operations[-1])

    async def _let_go(
        self,
        session: Session,
        context: TenantContext,
        payment: Payment,
        operations: list[Operation],
        *,
        at: datetime,
    ) -> tuple[Payment, list[Operation]]:
        tenant_id = context.tenant_id
        after = []
        for each in operations:
            if each.kind == "authorize" and each.final:
                await session.execute(_LET_GO, tenant_id, each.id, each.version, at)
                each = msgspec.structs.replace(
                    each, final=False, version=each.version + 1, updated_at=at
                )
            after.append(each)
        moved = refold(payment, after, at=at)
        written = await session.fetchval(
            _MOVE, tenant_id, payment.id, payment.version, moved.status, moved.version, at
        )
        if written is None:
            raise OperationInFlight
        event = event_of("payment.authorized", moved, after[-1], at=at)
        await insert_event(session, tenant_id, event)
        return moved, after
