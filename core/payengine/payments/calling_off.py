"""May an attempt that a gateway has and does not decide be called off, so that another may follow?

Where a tenant's policy says so: what nobody answered for, and the look-up then finds pending, is
voided within the same request. Only the gateway's own word that it is void frees the fallback. The
void is an operation like any other, written down before it is sent, so that one that nobody answers
for is looked after by the reconciler, and no other gateway is asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.payments import store
from payengine.payments.attempts import GRACE_MS, Route
from payengine.payments.findings import Finding, finding_of
from payengine.payments.fold import made_after
from payengine.payments.means import Means
from payengine.payments.models import Operation
from payengine.payments.record import Recorder
from payengine.payments.requests import step_request
from payengine.payments.settle import event_of
from payengine.plugin import Amount

__all__ = ["CallingOff"]


class CallingOff:
    """Voids an attempt that waits at its gateway."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        self._means = means
        self._recorder = recorder

    def may(self, operation: Operation, finding: Finding, route: Route) -> bool:
        """Whether the policy wants this attempt called off, and its gateway can."""
        gateway = self._means.registry.installed.gateways.get(operation.gateway)
        return (
            route.fallback.unknown == "void"
            and finding.status == "pending"
            # A first answer that says so is this method's way, and no trouble.
            and finding.source in ("lookup", "resend")
            and gateway is not None
            and "void" in gateway.manifest.operations
        )

    async def run(
        self, context: TenantContext, operation: Operation, finding: Finding, route: Route
    ) -> tuple[Operation, Finding] | None:
        """Void it; the void and the gateway's word, None unless that says that it is done.

        What the look-up told is recorded first. The gateway's yes is left for the caller to record,
        together with what follows it.
        """
        _, waiting = await self._recorder.record(
            context,
            payment_id=operation.payment_id,
            operation_id=operation.id,
            finding=finding,
        )
        void = await self._intend(context, waiting)
        if void is None:
            return None
        answer = await self._recorder.send(context, void, deadline_ms=route.left_ms())
        told = finding_of(answer, void, source="answer")
        if told.status == "succeeded":
            return void, told
        await self.record(context, void, told)
        return None

    async def record(self, context: TenantContext, void: Operation, told: Finding) -> None:
        """Record what became of the void, with nothing that follows it."""
        await self._recorder.record(
            context, payment_id=void.payment_id, operation_id=void.id, finding=told
        )

    async def _intend(self, context: TenantContext, waiting: Operation) -> Operation | None:
        """Write the void down; None where the attempt is not the payment's last word any more."""
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            found = await store.load(session, context.tenant_id, waiting.payment_id, lock=True)
            if found is None or waiting.status != "pending" or not waiting.provider_reference:
                return None
            payment, operations = found
            last = operations[-1]
            if (last.id, last.version) != (waiting.id, waiting.version) or payment.needs_review:
                return None
            void = self._void_of(waiting, at=at)
            void = msgspec.structs.replace(void, created_at=made_after(operations, at=at))
            event = event_of("payment.void_requested", payment, void, at=at)
            await store.record_step(session, context.tenant_id, void, event)
        return void

    def _void_of(self, waiting: Operation, *, at: datetime) -> Operation:
        """It lets go of nothing that was held: it only ends what waits."""
        operation_id, sent_at = new_id("op"), wall_now()
        request = step_request(
            "void",
            key=operation_id,
            provider_reference=waiting.provider_reference or "",
            amount=Amount(waiting.amount_minor, waiting.currency),
        )
        return Operation(
            id=operation_id,
            payment_id=waiting.payment_id,
            attempt_id=waiting.attempt_id,
            kind="void",
            status="sending",
            amount_minor=waiting.amount_minor,
            currency=waiting.currency,
            gateway=waiting.gateway,
            provider_key=operation_id,
            request=request,
            sent_at=sent_at,
            due_at=sent_at + timedelta(milliseconds=self._means.deadline_ms + GRACE_MS),
            created_at=at,
            updated_at=at,
        )
