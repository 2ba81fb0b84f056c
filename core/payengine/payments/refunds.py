"""May this refund be sent?

The fraud rules of the stage are asked before the refund is written down. What they hold or block is
not sent: nothing is reserved, the key stays free, and the decision is kept. Whoever may write about
fraud may let it go all the same, with a reason, unless a hard block stands.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import FraudRefused, NotFound
from payengine.fraud.base import Base, based
from payengine.fraud.decisions import Decision
from payengine.fraud.keeping import kept_decision
from payengine.fraud.stages import Stages
from payengine.idempotency import claimed, fingerprint
from payengine.payments import store
from payengine.payments.inputs import RefundPayment
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment
from payengine.payments.plans import Plan
from payengine.payments.screening_rows import told_context
from payengine.plugin.fraud import FraudContext, VerdictKind
from payengine.storage import Session

__all__ = ["RefundScreen"]

Planner = Callable[[Payment, list[Operation], datetime], Plan | None]

_STOPS: tuple[VerdictKind, ...] = ("review", "challenge", "block", "hard_block")


class RefundScreen:
    """Asks the rules about refunds that somebody asks for; the engine's own are not judged."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._stages = (
            None if means.fraud is None else Stages(means.database, means.fraud, nudge=means.nudge)
        )

    async def check(self, context: TenantContext, request: RefundPayment, plan: Planner) -> None:
        """Raise `FraudRefused` where the rules stop it, and what planning the refund raises.

        What has been asked before is not judged again.
        """
        if request.in_spite_of_fraud is not None:
            context.require("fraud:write")
        stages = self._stages
        rules = None if stages is None else await stages.rules(context, "refund")
        if stages is None or rules is None:
            return
        at = self._means.clock.now(context.tenant_id)
        async with self._means.database.tenant(context.tenant_id) as session:
            if await self._is_known(session, context, request):
                return
            told, number = await self._told(session, context, request, plan, rules.base, at=at)
            recalled, missing = await stages.recall(session, context, rules, told)
        decision = await stages.judge(
            context, rules, told, recalled, missing=missing, number=number
        )
        why = request.in_spite_of_fraud
        if why is not None:
            decision = msgspec.structs.replace(decision, overruled=f"{context.actor}: {why}")
        async with self._means.database.tenant(context.tenant_id) as session:
            await stages.keep(session, context, decision, at=wall_now())
        self._means.nudge()
        _refuse(decision)

    async def _is_known(
        self, session: Session, context: TenantContext, request: RefundPayment
    ) -> bool:
        made = fingerprint("refundPayment", request)
        key = request.idempotency_key
        return await claimed(session, context.tenant_id, key=key, fingerprint=made) is not None

    async def _told(
        self,
        session: Session,
        context: TenantContext,
        request: RefundPayment,
        plan: Planner,
        base: Base | None,
        *,
        at: datetime,
    ) -> tuple[FraudContext, int]:
        """What the rules are told of the refund, and the how-manieth judgement it is."""
        tenant_id = context.tenant_id
        found = await store.load(session, tenant_id, request.payment_id)
        if found is None:
            raise NotFound("There is no such payment.", path=("paymentId",))
        payment, operations = found
        planned = plan(payment, operations, at)
        amount = payment.amount_minor if planned is None else planned.amount_minor
        _, told = await told_context(session, tenant_id, payment, base)
        last = await kept_decision(session, tenant_id, payment.id, "refund")
        base_minor, base_currency = based(base, amount, payment.currency)
        about = msgspec.structs.replace(
            told,
            stage="refund",
            as_of=at,
            amount_minor=amount,
            base_minor=base_minor,
            base_currency=base_currency,
        )
        return about, 1 + (last.number if last is not None else 0)


def _refuse(decision: Decision) -> None:
    verdict = decision.decided.verdict
    if verdict not in _STOPS or (decision.overruled and verdict != "hard_block"):
        return
    rules = ", ".join(decision.decided.by) or "what stands where the past cannot be read"
    raise FraudRefused(f"The refund was not sent: {verdict} by {rules}.")
