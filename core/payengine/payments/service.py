"""How does a payment move?

Three phases: the intent is committed, the gateway is called with no transaction open, the outcome
is committed. Money in flight is shielded: a caller that goes away does not stop it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec

from payengine import faults, idempotency
from payengine.context import TenantContext
from payengine.errors import (
    GatewayUnavailable,
    NotFound,
    OperationInFlight,
    PayengineError,
    PaymentMethodInvalid,
    TransitionRefused,
)
from payengine.fraud.decide import Evaluated
from payengine.idempotency import fingerprint
from payengine.ids import new_id
from payengine.payments import store
from payengine.payments.attempts import GRACE_MS, Intent, Route, new_intent
from payengine.payments.batch import Opening
from payengine.payments.checks import check_confirm, check_create
from payengine.payments.fallback import Fallbacks
from payengine.payments.findings import Finding, finding_of
from payengine.payments.fold import made_after
from payengine.payments.inputs import ConfirmPayment, CreatePayment, MethodInput
from payengine.payments.means import Means
from payengine.payments.methods import Tender, given_tender, saved_tender, wallet_tender
from payengine.payments.models import Operation, Payment
from payengine.payments.record import Recorder
from payengine.payments.screened import AskFirst, Screen, write_opening
from payengine.payments.settle import event_of
from payengine.payments.wallets import WalletPayment, gateways_for, open_wallet
from payengine.plugin import FraudContext
from payengine.registry import EnabledGateway
from payengine.routing import ActivePolicy, Candidate, Facts
from payengine.storage import Session

__all__ = ["GRACE_MS", "PaymentOpening", "PaymentResult", "result_of"]


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
        self._fallbacks = Fallbacks(means, recorder)

    async def create(self, context: TenantContext, request: CreatePayment) -> PaymentResult:
        """Make a payment and try it at a gateway; at another one where the first cannot take it.

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
        claimed = fingerprint("createPayment", request)
        enabled = await self._means.registry.for_tenant(context)
        active = await self._means.router.active(context.tenant_id)
        wallet = await open_wallet(self._means, context, request.payment_method)
        try:
            tender = await self._tender(context, request, request.customer_id, wallet)
        except PayengineError:
            # The method may have been detached since; what was made with it is still there.
            earlier = await self._earlier(context, request, claimed)
            if earlier is None:
                raise
            return earlier
        payment = _new_payment(request, at=now)
        route = self._route(context, active, enabled, payment, tender, avoid=request.avoid_gateways)
        if route is None:
            earlier = await self._earlier(context, request, claimed)
            if earlier is None:
                raise _no_gateway(payment, tender)
            return earlier
        payment = msgspec.structs.replace(
            payment, method_kind=tender.method.kind, gateway=route.choice.gateway
        )
        screen = await Screen.of(self._means, context, request, payment, route, at=now)
        if screen is not None:
            return await self._create_screened(
                context, request, payment, route, screen, claimed=claimed, wallet=wallet
            )
        intent = self._intent(payment, route, number=1, at=now)
        opening = Opening(
            tenant_id=context.tenant_id,
            key=request.idempotency_key,
            fingerprint=claimed,
            payment=payment,
            attempt=intent.attempt,
            operation=intent.operation,
            event=event_of("payment.created", payment, intent.operation, at=now),
            split=request.split,
        )
        # A wallet's token is spent in the transaction that claims the key: not in a batch.
        alone = wallet is not None or request.split is not None
        if alone or not await self._means.batches.open(opening):
            earlier = await self._open_alone(context, opening, wallet)
            if earlier is not None:
                return earlier
        return await self._send(context, payment, intent, route)

    async def _create_screened(
        self,
        context: TenantContext,
        request: CreatePayment,
        payment: Payment,
        route: Route,
        screen: Screen,
        *,
        claimed: bytes,
        wallet: WalletPayment | None,
    ) -> PaymentResult:
        """Go on with a payment that fraud rules have a say in."""
        await screen.ask_elsewhere()
        verdict = await screen.open(
            payment,
            route,
            lambda opened, way: self._intent(opened, way, number=1, at=payment.created_at),
            key=request.idempotency_key,
            claimed=claimed,
            wallet=wallet,
            split=request.split,
        )
        if not verdict.opened:
            earlier = await self._earlier(context, request, claimed)
            if earlier is None:
                raise OperationInFlight("The same request is under way; try again.")
            return earlier
        if verdict.intent is None:
            self._means.nudge()
            return PaymentResult(payment=verdict.payment)
        return await self._send(context, verdict.payment, verdict.intent, route, told=verdict.told)

    async def _earlier(
        self, context: TenantContext, request: CreatePayment, claimed: bytes
    ) -> PaymentResult | None:
        """What the request's key has made before, or None."""
        async with self._means.database.tenant(context.tenant_id) as session:
            payment_id = await idempotency.claimed(
                session, context.tenant_id, key=request.idempotency_key, fingerprint=claimed
            )
            return await self._replay(session, context, payment_id) if payment_id else None

    async def _open_alone(
        self, context: TenantContext, opening: Opening, wallet: WalletPayment | None
    ) -> PaymentResult | None:
        """Open a payment that no batch would; what the key has made before, where it is taken."""
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await store.claim_payment(
                session,
                context.tenant_id,
                opening.payment,
                key=opening.key,
                fingerprint=opening.fingerprint,
            )
            if earlier is not None:
                return await self._replay(session, context, earlier)
            if wallet is not None:
                await wallet.spend(
                    session, context.tenant_id, opening.payment, at=opening.payment.created_at
                )
            await write_opening(session, context.tenant_id, opening)
        return None

    async def _try_again(self, context: TenantContext, request: ConfirmPayment) -> PaymentResult:
        try:
            return await self._try_once(context, request, asked=[])
        except AskFirst as first:
            return await self._try_once(context, request, asked=await first.asked())

    async def _try_once(
        self, context: TenantContext, request: ConfirmPayment, *, asked: list[Evaluated]
    ) -> PaymentResult:
        now = self._means.clock.now(context.tenant_id)
        enabled = await self._means.registry.for_tenant(context)
        active = await self._means.router.active(context.tenant_id)
        wallet = await open_wallet(self._means, context, request.payment_method)
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await idempotency.claim(
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
            _check_open_to_another_method(payment)
            tender = await self._tender(context, request, payment.customer_id, wallet, session)
            route = self._route(context, active, enabled, payment, tender)
            if route is None:
                raise _no_gateway(payment, tender)
            if wallet is not None:
                await wallet.spend(
                    session, context.tenant_id, payment, operations=operations, at=now
                )
            number = 1 + len({operation.attempt_id for operation in operations})
            screen = await Screen.of(
                self._means,
                context,
                request,
                payment,
                route,
                at=now,
                number=max(number, 2),
                session=session,
            )
            if screen is not None:
                screen.asked.extend(asked)
                if await screen.stops_again(session, route, at=now):
                    return PaymentResult(payment=payment)
            intent = self._intent(
                msgspec.structs.replace(
                    payment, saved_payment_method_id=request.saved_payment_method_id
                ),
                route,
                number=number,
                at=now,
            )
            intent = intent.made_at(made_after(operations, at=now))
            payment = await store.reopen(
                session,
                context.tenant_id,
                payment,
                saved_payment_method_id=request.saved_payment_method_id,
                method_kind=tender.method.kind,
                gateway=route.choice.gateway,
                at=now,
            )
            await store.record_intent(
                session,
                context.tenant_id,
                intent.attempt,
                intent.operation,
                event_of("payment.attempted", payment, intent.operation, at=now),
            )
        return await self._send(context, payment, intent, route, alone=False)

    async def _ask_again(self, context: TenantContext, request: ConfirmPayment) -> PaymentResult:
        now = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            await idempotency.claim(
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
        intent: Intent,
        route: Route,
        *,
        alone: bool = True,
        told: FraudContext | None = None,
    ) -> PaymentResult:
        """Call the gateway and record its answer, or go on to the next gateway where that may be.

        `alone`: the payment has no other operation. `told`: what fraud rules were told of it.
        """
        route.begin()
        while True:
            operation = intent.operation
            faults.point("after_intent")
            answer = await self._recorder.send(
                context, operation, request=intent.asked, deadline_ms=route.left_ms()
            )
            finding = finding_of(answer, operation, source="answer")
            if route.following() is None:
                break
            finding = await self._fallbacks.clarify(
                context, operation, intent.asked, finding, route
            )
            following = await self._fallbacks.go_on(context, payment, operation, finding, route)
            if following is None:
                break
            payment, intent = following
            alone = False
        if alone:
            change = await self._recorder.record_first(
                context, payment, operation, finding, told=told
            )
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

    async def _tender(
        self,
        context: TenantContext,
        request: CreatePayment | ConfirmPayment,
        customer_id: str | None,
        wallet: WalletPayment | None,
        session: Session | None = None,
    ) -> Tender:
        """With what is paid; a saved method is read in `session`, else in one of its own."""
        if wallet is not None:
            return wallet_tender(wallet.method(), request.payment_method)
        given: MethodInput | None = request.payment_method
        if given is not None:
            return given_tender(given)
        if request.saved_payment_method_id is None:
            raise PaymentMethodInvalid(path=("paymentMethod",))
        if session is None:
            async with self._means.database.tenant(context.tenant_id) as opened:
                return await self._tender(context, request, customer_id, None, opened)
        return await saved_tender(
            session,
            self._means.vault,
            context.tenant_id,
            request.saved_payment_method_id,
            customer_id=customer_id,
        )

    def _route(
        self,
        context: TenantContext,
        active: ActivePolicy,
        enabled: Sequence[EnabledGateway],
        payment: Payment,
        tender: Tender,
        *,
        avoid: tuple[str, ...] = (),
    ) -> Route | None:
        """The way of this request; None where no gateway may take the payment."""
        method = tender.method
        health = self._means.registry.guard.breaker_state
        candidates = [
            Candidate(
                name=each.name,
                manifest=each.manifest,
                health=health(context.tenant_id, each.name),
            )
            for each in gateways_for(enabled, method)
            if tender.gateway is None or each.name == tender.gateway
        ]
        network_token = method.network_token
        facts = Facts(
            payment_id=payment.id,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            method=method.kind,
            country=tender.country,
            card_digits=network_token.number[:8] if network_token else tender.card_digits,
            metadata=payment.metadata,
        )
        decide = partial(self._means.router.decide, context.tenant_id, active)
        choice = None
        if avoid:
            choice = decide([each for each in candidates if each.name not in avoid], facts)
        choice = choice or decide(candidates, facts)
        if choice is None:
            return None
        return Route(
            choice=choice,
            tender=tender,
            fallback=active.policy.fallback,
            deadline_ms=self._means.deadline_ms,
        )

    def _intent(self, payment: Payment, route: Route, *, number: int, at: datetime) -> Intent:
        return new_intent(
            payment,
            route.tender,
            gateway=route.choice.gateway,
            explanation=route.choice.explanation,
            number=number,
            at=at,
            deadline_ms=self._means.deadline_ms,
        )


def _check_open_to_another_method(payment: Payment) -> None:
    if payment.status == "PROCESSING":
        raise OperationInFlight
    if payment.status not in ("DECLINED", "CREATED"):
        raise TransitionRefused(f"A payment that is {payment.status} takes no other method.")


def _no_gateway(payment: Payment, tender: Tender) -> GatewayUnavailable:
    whose = f" at {tender.gateway}, whose it is" if tender.gateway else ""
    return GatewayUnavailable(
        f"No enabled gateway takes {payment.currency} by {tender.method.kind}{whose}; enable one "
        "with configurePlugin, or see what the routing policy excludes."
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
