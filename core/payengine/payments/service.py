"""How does a payment move?

Three phases: the intent is committed, the gateway is called with no transaction open, the outcome
is committed. Money in flight is shielded: a caller that goes away does not stop it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from payengine import faults
from payengine.context import TenantContext
from payengine.errors import (
    GatewayUnavailable,
    NotFound,
    OperationInFlight,
    PayengineError,
    PaymentMethodInvalid,
    TransitionRefused,
)
from payengine.ids import new_id
from payengine.payments import store
from payengine.payments.checks import check_confirm, check_create, fingerprint
from payengine.payments.findings import Finding, finding_of
from payengine.payments.fold import made_after
from payengine.payments.inputs import ConfirmPayment, CreatePayment, MethodInput
from payengine.payments.means import Means
from payengine.payments.methods import saved_token
from payengine.payments.models import Attempt, Operation, Payment
from payengine.payments.record import Recorder
from payengine.payments.requests import authorize_request, stored_authorization
from payengine.payments.settle import event_of
from payengine.plugin import PaymentMethod
from payengine.registry import EnabledGateway
from payengine.routing import Candidate, Choice, choose
from payengine.storage import Session

__all__ = ["GRACE_MS", "PaymentOpening", "PaymentResult", "result_of"]

#: After the gateway's deadline, how long the engine that asked has to record the outcome.
GRACE_MS = 2_000


class PaymentResult(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as it now stands, the operation that was asked for, and why nothing was sent."""

    payment: Payment
    operation: Operation | None = None
    error: PayengineError | None = None


class PaymentOpening:
    """Creates payments and tries them again; further steps are in `payengine.payments.steps`."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder

    async def create(self, context: TenantContext, request: CreatePayment) -> PaymentResult:
        """Make a payment and try it at a gateway.

        The same key with the same input answers with the same payment in its present state. A
        decline is a result. Raises typed errors for refused input, which writes nothing, and
        `IdempotencyConflict` where the key was used with another input.
        """
        context.require("payments:write")
        check_create(request)
        return await self._means.to_its_end(self._create(context, request))

    async def confirm(self, context: TenantContext, request: ConfirmPayment) -> PaymentResult:
        """Go on with a payment.

        With a method: another attempt after a decline, or after nothing could be sent. Without:
        ask the gateway what the buyer has done since. Raises `TransitionRefused`.
        """
        context.require("payments:write")
        check_confirm(request)
        if request.payment_method is None and request.saved_payment_method_id is None:
            return await self._means.to_its_end(self._ask_again(context, request))
        return await self._means.to_its_end(self._try_again(context, request))

    async def _create(self, context: TenantContext, request: CreatePayment) -> PaymentResult:
        now = self._means.clock.now(context.tenant_id)
        payment = _new_payment(request, at=now)
        # Read before the transaction: inside, a second connection could starve the pool.
        enabled = await self._means.registry.for_tenant(context)
        async with self._means.database.tenant(context.tenant_id) as session:
            try:
                method = await self._method(session, context, request, request.customer_id)
            except PayengineError:
                # The method may have been detached since; what was made with it is still there.
                earlier = await store.claimed(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    fingerprint=fingerprint("createPayment", request),
                )
                if earlier is None:
                    raise
                return await self._replay(session, context, earlier)
            choice = _route(enabled, payment, method)
            payment = msgspec.structs.replace(
                payment, method_kind=method.kind, gateway=choice.gateway if choice else None
            )
            earlier = await store.claim_payment(
                session,
                context.tenant_id,
                payment,
                key=request.idempotency_key,
                fingerprint=fingerprint("createPayment", request),
            )
            if earlier is not None:
                return await self._replay(session, context, earlier)
            if choice is None:
                raise _no_gateway(payment, method)
            operation, attempt = self._intent(payment, method, choice, number=1, at=now)
            await store.record_intent(
                session,
                context.tenant_id,
                attempt,
                operation,
                event_of("payment.created", payment, operation, at=now),
            )
        return await self._send(context, payment, operation, method)

    async def _try_again(self, context: TenantContext, request: ConfirmPayment) -> PaymentResult:
        now = self._means.clock.now(context.tenant_id)
        enabled = await self._means.registry.for_tenant(context)
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await store.claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="confirmPayment",
                fingerprint=fingerprint("confirmPayment", request),
                resource_id=request.payment_id,
                at=now,
            )
            if earlier is not None:
                return await self._replay(session, context, earlier)
            payment, operations = await _load(session, context, request.payment_id, lock=True)
            if payment.status not in ("DECLINED", "CREATED"):
                raise (
                    OperationInFlight()
                    if payment.status == "PROCESSING"
                    else TransitionRefused(
                        f"A payment that is {payment.status} takes no other method."
                    )
                )
            method = await self._method(session, context, request, payment.customer_id)
            choice = _route(enabled, payment, method)
            if choice is None:
                raise _no_gateway(payment, method)
            number = 1 + len({operation.attempt_id for operation in operations})
            operation, attempt = self._intent(
                msgspec.structs.replace(
                    payment, saved_payment_method_id=request.saved_payment_method_id
                ),
                method,
                choice,
                number=number,
                at=now,
            )
            operation = msgspec.structs.replace(
                operation, created_at=made_after(operations, at=now)
            )
            payment = await store.reopen(
                session,
                context.tenant_id,
                payment,
                saved_payment_method_id=request.saved_payment_method_id,
                method_kind=method.kind,
                gateway=choice.gateway,
                at=now,
            )
            await store.record_intent(
                session,
                context.tenant_id,
                attempt,
                operation,
                event_of("payment.attempted", payment, operation, at=now),
            )
        return await self._send(context, payment, operation, method, alone=False)

    async def _ask_again(self, context: TenantContext, request: ConfirmPayment) -> PaymentResult:
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            await store.claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="confirmPayment",
                fingerprint=fingerprint("confirmPayment", request),
                resource_id=request.payment_id,
                at=now,
            )
            payment, operations = await _load(session, context, request.payment_id)
        waiting = next(
            (o for o in reversed(operations) if o.status in ("requires_action", "pending")), None
        )
        if waiting is None:
            return PaymentResult(payment=payment)
        return await self.look_up(context, payment.id, waiting)

    async def look_up(
        self, context: TenantContext, payment_id: str, operation: Operation
    ) -> PaymentResult:
        """Ask the gateway what became of `operation` and record what it says, if anything."""
        answer = await self._recorder.look_up(context, operation)
        if answer.outcome is None or answer.outcome.status == "not_found":
            async with self._means.database.tenant(context.tenant_id) as session:
                payment, _ = await _load(session, context, payment_id)
            return PaymentResult(payment=payment, operation=operation)
        finding = finding_of(answer, operation, source="lookup")
        return await self._settled(context, payment_id, operation.id, finding)

    async def _send(
        self,
        context: TenantContext,
        payment: Payment,
        operation: Operation,
        method: PaymentMethod,
        *,
        alone: bool = True,
    ) -> PaymentResult:
        """Call the gateway and record its answer; `alone`: the payment has no other operation."""
        faults.point("after_intent")
        answer = await self._recorder.send(context, operation, method=method)
        finding = finding_of(answer, operation, source="answer")
        if alone:
            change = await self._recorder.record_first(context, payment, operation, finding)
            if change is not None:
                return result_of(change.payment, change.operation)
        return await self._settled(context, payment.id, operation.id, finding)

    async def _settled(
        self, context: TenantContext, payment_id: str, operation_id: str, finding: Finding
    ) -> PaymentResult:
        payment, operation = await self._recorder.record(
            context, payment_id=payment_id, operation_id=operation_id, finding=finding
        )
        return result_of(payment, operation)

    async def _replay(
        self, session: Session, context: TenantContext, payment_id: str
    ) -> PaymentResult:
        payment, operations = await _load(session, context, payment_id)
        tries = [each for each in operations if each.kind == "authorize"]
        return result_of(payment, tries[-1] if tries else None)

    async def _method(
        self,
        session: Session,
        context: TenantContext,
        request: CreatePayment | ConfirmPayment,
        customer_id: str | None,
    ) -> PaymentMethod:
        given: MethodInput | None = request.payment_method
        if given is not None:
            return PaymentMethod(token=given.token, kind=given.kind)
        if request.saved_payment_method_id is None:
            raise PaymentMethodInvalid(path=("paymentMethod",))
        return await saved_token(
            session,
            self._means.vault,
            context.tenant_id,
            request.saved_payment_method_id,
            customer_id=customer_id,
        )

    def _intent(
        self,
        payment: Payment,
        method: PaymentMethod,
        choice: Choice,
        *,
        number: int,
        at: datetime,
    ) -> tuple[Operation, Attempt]:
        attempt = Attempt(
            id=new_id("att"),
            payment_id=payment.id,
            number=number,
            gateway=choice.gateway,
            method={"kind": method.kind, "saved": method.saved},
            routing=choice.explanation,
            created_at=at,
        )
        operation_id = new_id("op")
        request = authorize_request(payment, method, key=operation_id)
        operation = Operation(
            id=operation_id,
            payment_id=payment.id,
            attempt_id=attempt.id,
            kind="authorize",
            status="sending",
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            capture=request.capture,
            gateway=choice.gateway,
            provider_key=operation_id,
            request=stored_authorization(request, saved_id=payment.saved_payment_method_id),
            sent_at=at,
            due_at=at + timedelta(milliseconds=self._means.deadline_ms + GRACE_MS),
            created_at=at,
            updated_at=at,
        )
        return operation, attempt


def _route(
    enabled: Sequence[EnabledGateway], payment: Payment, method: PaymentMethod
) -> Choice | None:
    candidates = [Candidate(name=each.name, manifest=each.manifest) for each in enabled]
    return choose(candidates, currency=payment.currency, method=method.kind)


def _no_gateway(payment: Payment, method: PaymentMethod) -> GatewayUnavailable:
    return GatewayUnavailable(
        f"No enabled gateway takes {payment.currency} by {method.kind}; enable one with "
        "configurePlugin."
    )


async def _load(
    session: Session, context: TenantContext, payment_id: str, *, lock: bool = False
) -> tuple[Payment, list[Operation]]:
    found = await store.load(session, context.tenant_id, payment_id, lock=lock)
    if found is None:
        raise NotFound("There is no such payment.", path=("paymentId",))
    return found


def _new_payment(request: CreatePayment, *, at: datetime) -> Payment:
    return Payment(
        id=new_id("pay"),
        status="PROCESSING",
        amount_minor=request.amount_minor,
        currency=request.currency,
        capture_method=request.capture_method,
        customer_id=request.customer_id,
        method_kind=request.payment_method.kind if request.payment_method else None,
        saved_payment_method_id=request.saved_payment_method_id,
        off_session=request.off_session,
        return_url=request.return_url,
        description=request.description,
        metadata=request.metadata,
        created_at=at,
        updated_at=at,
    )


def result_of(payment: Payment, operation: Operation | None) -> PaymentResult:
    """The payment and the operation that was asked for; an error where nothing was sent."""
    unsent = operation is not None and operation.status == "not_sent"
    return PaymentResult(
        payment=payment, operation=operation, error=GatewayUnavailable() if unsent else None
    )
