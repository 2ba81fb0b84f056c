"""How does a finding reach the books?

Whoever learns something of an operation (the request itself, the reconciler, later a webhook)
records it here: payment and operations are read under a lock, the change is computed, and one
statement writes it. The versions guard the write, so a zombie's late write is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from payengine import faults
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import NotFound, OperationInFlight, TransitionRefused
from payengine.fraud.decide import Evaluated
from payengine.fraud.decisions import Decision
from payengine.fraud.keeping import decision_event
from payengine.fraud.rulebook import Ruleset
from payengine.ledger import open_holds
from payengine.payments import store
from payengine.payments.answered import Answered, stops
from payengine.payments.findings import Finding, finding_of
from payengine.payments.means import Means
from payengine.payments.methods import saved_token
from payengine.payments.models import Operation, Payment
from payengine.payments.requests import lookup_request, stored_request
from payengine.payments.settle import Change, settle
from payengine.plugin import Amount, Authorize, FraudContext
from payengine.registry import Answer
from payengine.routing import Heard
from payengine.storage import Session

__all__ = ["Recorder"]

#: How often a finding is tried to be written while others move the same operation.
_TRIES = 5


class Recorder:
    """Calls gateways and records what they say."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._answered = Answered(means)

    async def send(
        self,
        context: TenantContext,
        operation: Operation,
        *,
        request: msgspec.Struct | None = None,
        deadline_ms: int | None = None,
    ) -> Answer:
        """Send the operation's request; no transaction is open meanwhile.

        `request` is the one that was stored, where the caller still has it. `deadline_ms` is less
        than usual where the request has been at other gateways before.
        """
        if operation.kind == "dispute":
            raise TransitionRefused("A dispute is not sent to anybody.")
        if request is None:
            request = await self._request(context, operation)
        faults.point("before_gateway")
        answer = await self._means.registry.call(
            context,
            operation.gateway,
            operation.kind,
            request,
            deadline_ms=self._means.deadline_ms if deadline_ms is None else deadline_ms,
        )
        faults.point("after_gateway")
        return answer

    async def _request(self, context: TenantContext, operation: Operation) -> msgspec.Struct:
        request = stored_request(operation)
        if not isinstance(request, Authorize) or not request.payment_method.saved:
            return request
        async with self._means.database.tenant(context.tenant_id) as session:
            method = await saved_token(
                session,
                self._means.vault,
                context.tenant_id,
                request.payment_method.token,
            )
        return msgspec.structs.replace(request, payment_method=method)

    async def look_up(
        self, context: TenantContext, operation: Operation, *, deadline_ms: int | None = None
    ) -> Answer:
        """Ask what became of the operation."""
        return await self._means.registry.call(
            context,
            operation.gateway,
            "lookup",
            lookup_request(operation),
            deadline_ms=self._means.deadline_ms if deadline_ms is None else deadline_ms,
            asked=Amount(operation.amount_minor, operation.currency),
        )

    async def record_first(
        self,
        context: TenantContext,
        payment: Payment,
        operation: Operation,
        finding: Finding,
        *,
        told: FraudContext | None = None,
    ) -> Change | None:
        """Record the answer to a payment's first operation, without reading it again.

        `told` is what the fraud rules were told of the attempt. None where the rows have moved on
        meanwhile, or where fraud rules stop what was answered: use `record`.
        """
        at = self._means.clock.now(context.tenant_id)
        change = settle(payment, [operation], operation, finding, at=at, wall=wall_now())
        if change is None:
            return None
        rules = await self._answered.rules(context, finding)
        if rules is not None and self._answered.concerns(change):
            if told is None or rules.asked["post_auth"]:
                return None
            decision = self._answered.judge(context, rules, told, finding, number=1)
            if decision is not None:
                if stops(decision):
                    return None
                change = _with_decision(change, decision)
        if not await self._means.batches.settle(context.tenant_id, change):
            return None
        faults.point("after_commit")
        self.tell(context, change)
        return change

    def tell(self, context: TenantContext, change: Change) -> None:
        """What was committed is known to the router and wanted by the relay."""
        asked, was = change.operation, change.operation_before
        self._means.router.hear(
            context.tenant_id,
            Heard(
                gateway=asked.gateway,
                kind=asked.kind,
                currency=asked.currency,
                method=change.payment.method_kind or "",
                was=was.status,
                status=asked.status,
                decline_code=asked.decline_code,
                raw_code=asked.raw_code,
            ),
        )
        self._means.nudge()

    async def record_fact(
        self,
        session: Session,
        context: TenantContext,
        payment: Payment,
        operations: Sequence[Operation],
        operation: Operation,
        *,
        reason: str,
        at: datetime,
    ) -> Change:
        """Write an operation that the engine itself brings to its end, with no gateway asked.

        Raises `OperationInFlight` where the payment has moved on since it was read.
        """
        await store.insert_operation(session, context.tenant_id, operation)
        holds = await open_holds(session, context.tenant_id, payment.id)
        finding = Finding(status="succeeded", source="engine", reason=reason)
        change = settle(payment, [*operations, operation], operation, finding, holds=holds, at=at)
        if change is None or not await store.write_change(session, context.tenant_id, change):
            raise OperationInFlight
        return change

    async def record(
        self,
        context: TenantContext,
        *,
        payment_id: str,
        operation_id: str,
        finding: Finding,
        version: int | None = None,
    ) -> tuple[Payment, Operation]:
        """Record the finding; the rows as they then stand.

        With `version` (a fencing token), the finding is dropped where the operation has moved on.
        What fraud rules undo once the issuer has answered is sent before this returns. Raises
        `OperationInFlight` where others move the operation all the time.
        """
        rules = await self._answered.rules(context, finding)
        asked: tuple[Evaluated, ...] = ()
        for _ in range(_TRIES):
            try:
                recorded = await self._record(
                    context,
                    payment_id=payment_id,
                    operation_id=operation_id,
                    finding=finding,
                    version=version,
                    rules=rules,
                    asked=asked,
                )
            except asyncpg.DeadlockDetectedError:
                continue
            except _AskFirst as first:
                asked = await self._answered.ask(context, first.rules, first.payment, finding)
                continue
            if recorded is not None:
                payment, operation, undoing = recorded
                if undoing is None:
                    return payment, operation
                answer = await self.send(context, undoing)
                payment, _ = await self.record(
                    context,
                    payment_id=payment_id,
                    operation_id=undoing.id,
                    finding=finding_of(answer, undoing, source="answer"),
                )
                return payment, operation
        raise OperationInFlight

    async def _record(
        self,
        context: TenantContext,
        *,
        payment_id: str,
        operation_id: str,
        finding: Finding,
        version: int | None,
        rules: Ruleset | None,
        asked: tuple[Evaluated, ...],
    ) -> tuple[Payment, Operation, Operation | None] | None:
        """One try of `record`, and what is to be sent to undo it; None where the rows moved on
        between reading and writing."""
        undoing = None
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            found = await store.load(session, context.tenant_id, payment_id, lock=True)
            if found is None:
                raise NotFound("There is no such payment.")
            payment, operations = found
            operation = next(each for each in operations if each.id == operation_id)
            if version is not None and operation.version != version:
                return payment, operation, None
            holds = await open_holds(session, context.tenant_id, payment_id)
            change = settle(
                payment, operations, operation, finding, holds=holds, at=at, wall=wall_now()
            )
            if change is None:
                return payment, operation, None
            judged = None
            if rules is not None and self._answered.concerns(change):
                if rules.asked["post_auth"] and not asked:
                    raise _AskFirst(rules, payment)
                judged = await self._answered.weigh(
                    session, context, rules, change, operations, finding, asked=asked
                )
            if judged is not None:
                change = judged.change
            written = await store.write_change(session, context.tenant_id, change)
            if written and judged is not None:
                undoing = await self._answered.follow(session, context, judged, operations)
            faults.point("before_commit")
        if not written:
            return None
        faults.point("after_commit")
        self.tell(context, change)
        return change.payment, change.operation, undoing


def _with_decision(change: Change, decision: Decision) -> Change:
    """The change, and what was decided of it, to be written together."""
    told = decision_event(decision, at=change.payment.updated_at)
    return msgspec.structs.replace(
        change,
        events=change.events if told is None else (*change.events, told),
        decision=decision.row(at=wall_now()),
    )


class _AskFirst(Exception):
    """Rules have a say whose code is not here: they are asked with no transaction open."""

    def __init__(self, rules: Ruleset, payment: Payment) -> None:
        super().__init__()
        self.rules = rules
        self.payment = payment
