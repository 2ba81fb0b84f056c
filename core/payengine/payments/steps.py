"""How are captures, voids, refunds and increments made?

One shape for all four: claim the key, plan purely, reserve by a conditional UPDATE, record the
operation that will be sent, commit; call the gateway; record its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from payengine import faults, idempotency
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import (
    CaptureExceedsAuthorized,
    InputInvalid,
    NotFound,
    OperationInFlight,
    RefundExceedsCaptured,
)
from payengine.idempotency import check_key, fingerprint
from payengine.ids import new_id
from payengine.ledger import post
from payengine.ledger.templates import refund_created
from payengine.marketplace.dividing import split_capture, split_refund
from payengine.marketplace.meant import check_shares
from payengine.money import check_amount
from payengine.payments import store
from payengine.payments.findings import finding_of
from payengine.payments.fold import made_after
from payengine.payments.inputs import (
    CapturePayment,
    IncrementAuthorization,
    RefundPayment,
    VoidPayment,
)
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment, PaymentStatus
from payengine.payments.plans import (
    Plan,
    plan_capture,
    plan_increment,
    plan_refund,
    plan_void,
)
from payengine.payments.record import Recorder
from payengine.payments.refunds import RefundScreen
from payengine.payments.requests import step_request
from payengine.payments.service import GRACE_MS, PaymentResult, result_of
from payengine.payments.settle import event_of
from payengine.plugin import Amount
from payengine.storage import Session
from payengine.texts import check_id, check_text

__all__ = ["PaymentSteps"]

StepRequest = CapturePayment | VoidPayment | RefundPayment | IncrementAuthorization
Planner = Callable[[Payment, list[Operation], datetime], Plan | None]

_MAY_HOLD: tuple[PaymentStatus, ...] = ("AUTHORIZED", "CAPTURED", "IN_REVIEW")
_QUICKER = "Another operation on this payment was quicker; read the payment and try again."
_EXCEEDED = {"refund": RefundExceedsCaptured, "capture": CaptureExceedsAuthorized}


class PaymentSteps:
    """Takes an authorized or captured payment further."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder
        self._refunds = RefundScreen(means)

    async def capture(self, context: TenantContext, request: CapturePayment) -> PaymentResult:
        """Take all or a part of what is held.

        Raises `CaptureExceedsAuthorized`, `HoldExpired`, `TransitionRefused`, `OperationInFlight`.
        """

        def plan(payment: Payment, operations: list[Operation], at: datetime) -> Plan:
            if request.amount_minor is not None:
                _check_amount(request.amount_minor, payment.currency)
            return plan_capture(
                payment,
                operations,
                self._means.registry.gateway(_payment_gateway(operations)).manifest,
                amount_minor=request.amount_minor,
                final=request.final,
                at=at,
                wall=wall_now(),
            )

        return await self._take(context, "capturePayment", request, plan)

    async def void(self, context: TenantContext, request: VoidPayment) -> PaymentResult:
        """Release what is held, or cancel a payment that waits for the buyer.

        Raises `TransitionRefused`, `OperationInFlight`, `HoldExpired`.
        """

        def plan(payment: Payment, operations: list[Operation], at: datetime) -> Plan | None:
            return plan_void(payment, operations, at=at, wall=wall_now())

        return await self._take(context, "voidPayment", request, plan)

    async def refund(self, context: TenantContext, request: RefundPayment) -> PaymentResult:
        """Give back all or a part of what was captured.

        Raises `RefundExceedsCaptured`, and `FraudRefused` where fraud rules stop it.
        """
        check_text(request.reason, field="reason")
        check_text(request.in_spite_of_fraud, field="inSpiteOfFraud")

        def plan(payment: Payment, operations: list[Operation], at: datetime) -> Plan:
            if request.amount_minor is not None:
                _check_amount(request.amount_minor, payment.currency)
            amount = request.amount_minor
            return plan_refund(payment, operations, amount_minor=amount, wall=wall_now())

        _check_asked(context, request)
        return await self._means.to_its_end(self._judged_refund(context, request, plan))

    async def _judged_refund(
        self, context: TenantContext, request: RefundPayment, plan: Planner
    ) -> PaymentResult:
        await self._refunds.check(context, request, plan)
        return await self._run(context, "refundPayment", request, plan)

    async def increment(
        self, context: TenantContext, request: IncrementAuthorization
    ) -> PaymentResult:
        """Raise what is held; raises `AuthorizationExceeded`, `TransitionRefused`."""

        def plan(payment: Payment, operations: list[Operation], at: datetime) -> Plan:
            _check_amount(request.amount_minor, payment.currency)
            return plan_increment(
                payment,
                operations,
                self._means.registry.gateway(_payment_gateway(operations)).manifest,
                amount_minor=request.amount_minor,
                at=at,
                wall=wall_now(),
            )

        return await self._take(context, "incrementAuthorization", request, plan)

    async def _take(
        self, context: TenantContext, mutation: str, request: StepRequest, plan: Planner
    ) -> PaymentResult:
        _check_asked(context, request)
        work = self._run(context, mutation, request, plan)
        return await self._means.to_its_end(work)

    async def _run(
        self, context: TenantContext, mutation: str, request: StepRequest, plan: Planner
    ) -> PaymentResult:
        now = self._means.clock.now(context.tenant_id)
        operation_id = new_id("ref" if mutation == "refundPayment" else "op")
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await idempotency.claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation=mutation,
                fingerprint=fingerprint(mutation, request),
                resource_id=operation_id,
                at=now,
            )
            payment, operations = await _load(session, context, request.payment_id)
            if earlier is not None:
                return _replay(payment, operations, earlier)
            planned = plan(payment, operations, now)
            if planned is None:
                return await self._cancel_unsent(
                    session, context, payment, operations, operation_id, at=now
                )
            payment = await self._reserve(session, context, payment, planned, at=now)
            operation = self._operation(payment, planned, request, operation_id, at=now)
            operation = msgspec.structs.replace(
                operation, created_at=made_after(operations, at=now)
            )
            await store.record_step(
                session,
                context.tenant_id,
                operation,
                event_of(_asked(operation), payment, operation, at=now),
            )
            if isinstance(request, CapturePayment | RefundPayment) and request.shares:
                await _divide(session, context, request, payment, operation, at=now)
            if operation.kind == "refund":
                posting = refund_created(
                    operation_id=operation.id,
                    payment_id=payment.id,
                    gateway=operation.gateway,
                    amount_minor=operation.amount_minor,
                    currency=operation.currency,
                )
                await post(session, context.tenant_id, [posting], at=now)
        faults.point("refund_reserved" if operation.kind == "refund" else "after_intent")
        answer = await self._recorder.send(context, operation)
        payment, operation = await self._recorder.record(
            context,
            payment_id=payment.id,
            operation_id=operation.id,
            finding=finding_of(answer, operation, source="answer"),
        )
        return result_of(payment, operation)

    async def _reserve(
        self,
        session: Session,
        context: TenantContext,
        payment: Payment,
        plan: Plan,
        *,
        at: datetime,
    ) -> Payment:
        amount = plan.amount_minor
        cancels = plan.kind == "void" and plan.released_minor == 0
        reserved = await store.reserve(
            session,
            context.tenant_id,
            payment.id,
            capture_minor=amount if plan.kind == "capture" else 0,
            void_minor=plan.released_minor,
            refund_minor=amount if plan.kind == "refund" else 0,
            statuses=("REQUIRES_ACTION",) if cancels else _MAY_HOLD,
            at=at,
        )
        if reserved is None:
            raise _EXCEEDED.get(plan.kind, OperationInFlight)(_QUICKER)
        # What ends the hold was planned for all that was left of it, and for nothing less or more.
        exclusive = cancels or plan.final or plan.kind == "increment"
        if exclusive and reserved.version != payment.version + 1:
            raise OperationInFlight(_QUICKER)
        return reserved

    def _operation(
        self,
        payment: Payment,
        plan: Plan,
        request: StepRequest,
        operation_id: str,
        *,
        at: datetime,
    ) -> Operation:
        sent: dict[str, Any] = step_request(
            plan.kind,
            key=operation_id,
            provider_reference=plan.provider_reference,
            amount=Amount(plan.amount_minor, payment.currency),
            final=plan.final,
            reason=request.reason if isinstance(request, RefundPayment) else None,
        )
        sent_at = wall_now()
        return Operation(
            id=operation_id,
            payment_id=payment.id,
            attempt_id=plan.attempt_id,
            kind=plan.kind,
            status="sending",
            amount_minor=plan.amount_minor,
            currency=payment.currency,
            final=plan.final,
            released_minor=plan.released_minor,
            gateway=plan.gateway,
            provider_key=operation_id,
            request=sent,
            sent_at=sent_at,
            due_at=sent_at + timedelta(milliseconds=self._means.deadline_ms + GRACE_MS),
            created_at=at,
            updated_at=at,
        )

    async def _cancel_unsent(
        self,
        session: Session,
        context: TenantContext,
        payment: Payment,
        operations: list[Operation],
        operation_id: str,
        *,
        at: datetime,
    ) -> PaymentResult:
        """Cancel a payment of which the gateway holds nothing: there is nobody to ask."""
        operation = Operation(
            id=operation_id,
            payment_id=payment.id,
            attempt_id=operations[-1].attempt_id,
            kind="void",
            status="sending",
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            final=True,
            gateway=operations[-1].gateway,
            provider_key=operation_id,
            request={},
            resendable=False,
            sent_at=wall_now(),
            created_at=made_after(operations, at=at),
            updated_at=at,
        )
        change = await self._recorder.record_fact(
            session, context, payment, operations, operation, reason="nothing_to_release", at=at
        )
        return PaymentResult(payment=change.payment, operation=change.operation)


def _check_asked(context: TenantContext, request: StepRequest) -> None:
    context.require("payments:write")
    check_key(request.idempotency_key)
    check_id(request.payment_id, "pay", field="paymentId")
    if isinstance(request, CapturePayment | RefundPayment) and request.shares:
        check_shares(request.shares)


async def _divide(
    session: Session,
    context: TenantContext,
    request: CapturePayment | RefundPayment,
    payment: Payment,
    operation: Operation,
    *,
    at: datetime,
) -> None:
    """Write how this capture is divided, or who gives back how much of this refund."""
    if isinstance(request, RefundPayment):
        await split_refund(
            session,
            context.tenant_id,
            request.shares,
            operation_id=operation.id,
            refunded_minor=operation.amount_minor,
            payment_id=payment.id,
            at=at,
        )
        return
    await split_capture(
        session,
        context.tenant_id,
        request.shares,
        operation_id=operation.id,
        captured_minor=operation.amount_minor,
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        at=at,
    )


def _check_amount(amount_minor: int, currency: str) -> None:
    try:
        check_amount(amount_minor, currency)
    except InputInvalid as refused:
        raise type(refused)(refused.message, path=("amountMinor",)) from None


def _payment_gateway(operations: list[Operation]) -> str:
    """The gateway of the payment's last attempt; empty where there was none."""
    return operations[-1].gateway if operations else ""


async def _load(
    session: Session, context: TenantContext, payment_id: str
) -> tuple[Payment, list[Operation]]:
    found = await store.load(session, context.tenant_id, payment_id)
    if found is None:
        raise NotFound("There is no such payment.", path=("paymentId",))
    return found


def _replay(payment: Payment, operations: list[Operation], operation_id: str) -> PaymentResult:
    operation = next((each for each in operations if each.id == operation_id), None)
    return result_of(payment, operation)


def _asked(operation: Operation) -> str:
    if operation.kind == "refund":
        return "refund.created"
    return f"payment.{operation.kind}_requested"
