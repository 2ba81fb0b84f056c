"""May another gateway be tried for the same payment, within the same request?

Only on proof that the one before did nothing, on its decline or on a confirmed void, and only
where the policy, its bound and the request's time allow it. While an outcome is unknown nothing new
begins: within the request it may be looked up or sent again with its key, and what that does not
settle is left to the reconciler. The old outcome and the new attempt's intent are one commit, so
that a crash leaves the one or the other, never a payment with two open attempts.
"""

from __future__ import annotations

import msgspec

from payengine import faults
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.events.models import NewEvent
from payengine.payments import store
from payengine.payments.attempts import Intent, Route, new_intent
from payengine.payments.calling_off import CallingOff
from payengine.payments.findings import Finding, finding_of
from payengine.payments.fold import made_after
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment
from payengine.payments.record import Recorder
from payengine.payments.settle import Change, event_of, settle
from payengine.plugin import Authorize
from payengine.routing import goes_on_after

__all__ = ["Fallbacks"]

_ENDED = frozenset({"payment.declined", "payment.not_sent", "payment.canceled"})


class Fallbacks:
    """Goes from one gateway to the next."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder
        self._calling_off = CallingOff(means, recorder)

    async def clarify(
        self,
        context: TenantContext,
        operation: Operation,
        asked: Authorize,
        finding: Finding,
        route: Route,
    ) -> Finding:
        """What is known of an unknown outcome after a look-up or a second sending of its key.

        Nothing is done where no other gateway is left: then the reconciler does it, later.
        """
        is_told = finding.status != "unknown" or finding.mismatch or finding.unmodelled
        if is_told or route.following() is None or not route.has_time():
            return finding
        wanted = route.fallback.unknown
        if wanted == "wait":
            return finding
        gateway = self._means.registry.installed.gateways.get(operation.gateway)
        if gateway is None:
            return finding
        manifest = gateway.manifest
        if manifest.lookup:
            told = await self._recorder.look_up(context, operation, deadline_ms=route.left_ms())
            found = told.outcome if told.kind == "outcome" else None
            if told.mismatch or (found is not None and found.status != "not_found"):
                return finding_of(told, operation, source="lookup")
            if found is None:
                return finding  # nothing is sent before it can be looked up
        # That it is not found yet proves nothing: the first request may still be on its way.
        if wanted == "look_up" or not (
            operation.resendable and manifest.supports_idempotency and route.has_time()
        ):
            return finding
        again = await self._recorder.send(
            context, operation, request=asked, deadline_ms=route.left_ms()
        )
        if again.kind == "not_sent":
            return finding  # this sending did nothing; what the first one did is still unknown
        resent = finding_of(again, operation, source="resend")
        is_news = resent.status != "unknown" or resent.mismatch or resent.unmodelled
        return resent if is_news else finding

    async def go_on(
        self,
        context: TenantContext,
        payment: Payment,
        operation: Operation,
        finding: Finding,
        route: Route,
    ) -> tuple[Payment, Intent] | None:
        """Commit the outcome together with the next attempt's intent; None where none may follow.

        Then nothing was written but what calling the attempt off has told. So it is too where the
        payment has moved on meanwhile.
        """
        gateway = route.following()
        if gateway is None or not route.has_time():
            return None
        if self._calling_off.may(operation, finding, route):
            void = await self._calling_off.run(context, operation, finding, route)
            if void is None:
                return None
            following = await self._follow(
                context, payment, *void, route, gateway, because="void: the gateway confirmed it"
            )
            if following is None:
                await self._calling_off.record(context, *void)
            return following
        because = _reason(finding, route)
        if because is None:
            return None
        return await self._follow(
            context, payment, operation, finding, route, gateway, because=because
        )

    async def _follow(
        self,
        context: TenantContext,
        payment: Payment,
        operation: Operation,
        finding: Finding,
        route: Route,
        gateway: str,
        *,
        because: str,
    ) -> tuple[Payment, Intent] | None:
        """What ended the attempt and the next one's intent, in one commit."""
        tenant_id = context.tenant_id
        async with self._means.database.tenant(tenant_id) as session:
            at = self._means.clock.now(tenant_id)
            found = await store.load(session, tenant_id, payment.id, lock=True)
            if found is None:
                return None
            before, operations = found
            own = next((each for each in operations if each.id == operation.id), None)
            if own is None or own.version != operation.version or operations[-1].id != own.id:
                return None
            change = settle(before, operations, own, finding, at=at, wall=wall_now())
            if change is None or change.payment.needs_review:
                return None
            intent = self._next(change, operations, route, gateway, because=because)
            reopened = _reopened(change.payment, intent)
            change = msgspec.structs.replace(change, events=_events(change, reopened))
            if not await store.write_change(session, tenant_id, change):
                return None
            after = await store.reopen(
                session,
                tenant_id,
                change.payment,
                saved_payment_method_id=reopened.saved_payment_method_id,
                method_kind=route.tender.method.kind,
                gateway=gateway,
                at=at,
            )
            event = event_of("payment.attempted", after, intent.operation, at=at)
            await store.record_intent(session, tenant_id, intent.attempt, intent.operation, event)
            faults.point("before_commit")
        faults.point("after_commit")
        route.tried += 1
        self._recorder.tell(context, change)
        return after, intent

    def _next(
        self,
        change: Change,
        operations: list[Operation],
        route: Route,
        gateway: str,
        *,
        because: str,
    ) -> Intent:
        at = change.payment.updated_at
        intent = new_intent(
            change.payment,
            route.tender,
            gateway=gateway,
            explanation=route.explanation(after=change.operation, because=because),
            number=1 + len({each.attempt_id for each in operations}),
            at=at,
            deadline_ms=self._means.deadline_ms,
        )
        return intent.made_at(made_after(operations, at=at))


def _reason(finding: Finding, route: Route) -> str | None:
    """Why the payment may go to another gateway, or None."""
    if finding.mismatch or finding.unmodelled:
        return None
    if finding.status == "not_sent":
        return f"outage: {finding.reason or 'not_sent'}"
    decline = finding.outcome.decline if finding.outcome is not None else None
    if finding.status == "declined" and decline is not None:
        return f"decline: {decline.code}" if goes_on_after(route.fallback, decline.code) else None
    return None


def _reopened(payment: Payment, intent: Intent) -> Payment:
    return msgspec.structs.replace(
        payment,
        status="PROCESSING",
        decline_code=None,
        gateway=intent.operation.gateway,
        version=payment.version + 1,
    )


def _events(change: Change, reopened: Payment) -> tuple[NewEvent, ...]:
    """The payment has not failed: what ended is an attempt, and the next one is under way."""
    at = change.payment.updated_at
    failed = event_of("payment.attempt_failed", reopened, change.operation, at=at)
    code = change.operation.decline_code
    if code is not None:
        failed.data["attempt_decline_code"] = code
    return tuple(failed if each.type in _ENDED else each for each in change.events)
