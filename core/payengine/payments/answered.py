"""What do fraud rules say once the issuer has answered?

The rules of the stage `post_auth` are told what the first ones were, and the issuer's checks of the
address and of the card's code. What they stop is undone in the transaction that records the answer:
an authorization is held for a person (review) or held and voided (block); what was captured at once
is shown to a person or refunded. The undoing is an operation like any other, written down before it
is sent, so that whoever looks after those looks after it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import PayengineError
from payengine.events.writing import insert_event
from payengine.fraud.asking import Asking
from payengine.fraud.decide import Evaluated
from payengine.fraud.decisions import Decision
from payengine.fraud.keeping import decision_event, keep_decision
from payengine.fraud.rulebook import Ruleset
from payengine.ids import new_id
from payengine.ledger import post
from payengine.ledger.templates import refund_created
from payengine.payments import store
from payengine.payments.attempts import GRACE_MS
from payengine.payments.findings import Finding
from payengine.payments.fold import made_after, refold
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment
from payengine.payments.plans import Plan, plan_refund, plan_void
from payengine.payments.requests import step_request
from payengine.payments.screening_rows import told_context
from payengine.payments.settle import Change, event_of
from payengine.plugin import Amount, FraudContext
from payengine.storage import Session

__all__ = ["Answered", "Judged", "stops"]

_REASON = "fraud rules refused it after the issuer's answer"
_STOPPED = frozenset({"AUTHORIZED", "IN_REVIEW", "CAPTURED"})
_STOPS = frozenset({"review", "challenge", "block", "hard_block"})


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision after the answer, and the answer's change as it leaves the payment."""

    decision: Decision
    change: Change


class Answered:
    """Asks the rules about authorizations that have just succeeded."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def rules(self, context: TenantContext, finding: Finding) -> Ruleset | None:
        """The rules that may have a say in this finding; None where none has."""
        fraud = self._means.fraud
        if fraud is None or finding.status != "succeeded" or finding.mismatch:
            return None
        rules = await fraud.active(context, "post_auth")
        if rules is not None and rules.only_checks and not _is_checked(finding):
            return None
        return rules

    def concerns(self, change: Change) -> bool:
        """Whether the change is an authorization that has just come true, and is in use."""
        moved = change.operation
        return (
            moved.kind == "authorize"
            and moved.status == "succeeded"
            and change.operation_before.status != "succeeded"
            and moved.anomaly is None
            and not change.payment.conflicted
            and change.payment.status in _STOPPED
        )

    def judge(
        self,
        context: TenantContext,
        rules: Ruleset,
        told: FraudContext,
        finding: Finding,
        *,
        number: int,
        asked: Sequence[Evaluated] = (),
    ) -> Decision | None:
        """What is decided; None where every rule abstained, which leaves nothing to keep."""
        fraud = self._means.fraud
        assert fraud is not None
        about = _after(told, finding)
        decision = fraud.judge(
            context, rules, about, None, number=number, asked=asked, as_told=True
        )
        said = any(each.verdict != "abstain" or each.error for each in decision.evaluated)
        return decision if said else None

    async def ask(
        self, context: TenantContext, rules: Ruleset, payment: Payment, finding: Finding
    ) -> tuple[Evaluated, ...]:
        """What the rules say that are asked elsewhere; no transaction may be open."""
        fraud = self._means.fraud
        if fraud is None or not rules.asked["post_auth"]:
            return ()
        async with self._means.database.tenant(context.tenant_id) as session:
            _, told = await told_context(session, context.tenant_id, payment, rules.base)
        asking: Asking = fraud.asking
        return await asking.ask(context, rules.asked["post_auth"], _after(told, finding))

    async def weigh(
        self,
        session: Session,
        context: TenantContext,
        rules: Ruleset,
        change: Change,
        operations: Sequence[Operation],
        finding: Finding,
        *,
        asked: Sequence[Evaluated] = (),
    ) -> Judged | None:
        """What the rules make of the change; None where they have nothing to say."""
        number, told = await told_context(session, context.tenant_id, change.payment, rules.base)
        decision = self.judge(context, rules, told, finding, number=number, asked=asked)
        if decision is None:
            return None
        return Judged(decision, _stopped(change, operations, decision))

    async def follow(
        self,
        session: Session,
        context: TenantContext,
        judged: Judged,
        operations: Sequence[Operation],
    ) -> Operation | None:
        """Keep the decision, and write down what undoes the authorization where it is blocked."""
        tenant_id, change = context.tenant_id, judged.change
        at = change.payment.updated_at
        await keep_decision(session, tenant_id, judged.decision.row(at=wall_now()))
        told = decision_event(judged.decision, at=at)
        if told is not None:
            await insert_event(session, tenant_id, told)
        if not judged.decision.decided.blocks:
            return None
        after = [change.operation if o.id == change.operation.id else o for o in operations]
        try:
            plan = _undoing(change.payment, after, change.operation, at=at)
        except PayengineError:
            return None  # nothing is left of it, or another step is on its way
        return await self._write(session, tenant_id, change.payment, after, plan, at=at)

    async def _write(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        payment: Payment,
        operations: Sequence[Operation],
        plan: Plan,
        *,
        at: datetime,
    ) -> Operation | None:
        is_refund = plan.kind == "refund"
        reserved = await store.reserve(
            session,
            tenant_id,
            payment.id,
            void_minor=plan.released_minor,
            refund_minor=plan.amount_minor if is_refund else 0,
            statuses=(payment.status,),
            at=at,
        )
        if reserved is None:
            return None
        made = self._operation(payment, plan, created_at=made_after(operations, at=at))
        asked = "refund.created" if is_refund else "payment.void_requested"
        await store.record_step(session, tenant_id, made, event_of(asked, reserved, made, at=at))
        if is_refund:
            posting = refund_created(
                operation_id=made.id,
                payment_id=payment.id,
                gateway=made.gateway,
                amount_minor=made.amount_minor,
                currency=made.currency,
            )
            await post(session, tenant_id, [posting], at=at)
        return made

    def _operation(self, payment: Payment, plan: Plan, *, created_at: datetime) -> Operation:
        operation_id, sent_at = new_id("ref" if plan.kind == "refund" else "op"), wall_now()
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
            request=step_request(
                plan.kind,
                key=operation_id,
                provider_reference=plan.provider_reference,
                amount=Amount(plan.amount_minor, payment.currency),
                final=plan.final,
                reason=_REASON if plan.kind == "refund" else None,
            ),
            sent_at=sent_at,
            due_at=sent_at + timedelta(milliseconds=self._means.deadline_ms + GRACE_MS),
            created_at=created_at,
            updated_at=payment.updated_at,
        )


def _is_checked(finding: Finding) -> bool:
    outcome = finding.outcome
    return outcome is not None and (outcome.address_ok, outcome.cvc_ok) != (None, None)


def stops(decision: Decision) -> bool:
    """Whether the decision leaves the payment other than the gateway's answer does."""
    return decision.decided.verdict in _STOPS


def _after(told: FraudContext, finding: Finding) -> FraudContext:
    """What was told before the attempt, and what the issuer has said since."""
    outcome = finding.outcome
    return msgspec.structs.replace(
        told,
        stage="post_auth",
        declined=False,
        address_ok=outcome.address_ok if outcome is not None else None,
        cvc_ok=outcome.cvc_ok if outcome is not None else None,
    )


def _stopped(change: Change, operations: Sequence[Operation], decision: Decision) -> Change:
    """The change as the decision leaves it: what is stopped is held, or shown to a person."""
    if not stops(decision):
        return change
    moved, payment = change.operation, change.payment
    at = payment.updated_at
    if moved.capture:
        if decision.decided.blocks or payment.needs_review:
            return change
        shown = msgspec.structs.replace(payment, needs_review=True)
        event = event_of("payment.needs_review", shown, moved, at=at)
        return msgspec.structs.replace(change, payment=shown, events=(*change.events, event))
    held = msgspec.structs.replace(moved, final=True)
    after = [held if each.id == held.id else each for each in operations]
    folded = refold(change.payment_before, after, at=at)
    folded = msgspec.structs.replace(
        folded, needs_review=payment.needs_review, conflicted=payment.conflicted
    )
    first, *others = change.events
    told = event_of(first.type, folded, held, at=at)
    return msgspec.structs.replace(change, payment=folded, operation=held, events=(told, *others))


def _undoing(
    payment: Payment, operations: list[Operation], taken: Operation, *, at: datetime
) -> Plan:
    if taken.capture:
        return plan_refund(payment, operations, amount_minor=None)
    plan = plan_void(payment, operations, at=at)
    assert plan is not None  # something is held
    return plan
