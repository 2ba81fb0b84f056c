"""How is money given back that was taken for a payment which can no longer use it?

By a void or a refund like any other, under an idempotency key that derives from the orphan: however
often the sweep comes by, the money goes back once.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from payengine.context import TenantContext
from payengine.errors import PayengineError
from payengine.payments import store
from payengine.payments.inputs import RefundPayment, VoidPayment
from payengine.payments.models import Operation, Payment
from payengine.payments.orphans import Orphan, orphans, release_key, release_plan
from payengine.payments.plans import Plan
from payengine.payments.steps import PaymentSteps

__all__ = ["MOST_RELEASES", "Release"]

#: So many releases of one orphan may come to nothing before only a person can help.
MOST_RELEASES = 5

_REASON = "released: this payment can no longer use it"

_log = structlog.get_logger(__name__)


class Release(PaymentSteps):
    """Releases orphans by the steps that everybody takes."""

    async def run(self, context: TenantContext, stray: Operation) -> bool:
        """Release what `stray` holds or took where it is an orphan; whether to look again.

        Nothing is left to do where it is in use after all, or its money is back with the buyer.
        """
        async with self._means.database.tenant(context.tenant_id) as session:
            operations = await store.operations_of(session, context.tenant_id, stray.payment_id)
        orphan = _find(operations, stray.id)
        if orphan is None:
            # Another attempt under way may yet supersede it.
            return any(o.kind == "authorize" and o.status in _OPEN for o in operations)
        if orphan.left_minor == 0:
            return orphan.is_underway
        tried = int(release_key(orphan, operations).rpartition(":")[2])
        if tried > MOST_RELEASES:
            return False
        try:
            await self._give_back(context, orphan, release_key(orphan, operations))
        except PayengineError as refused:
            _log.warning("release_refused", operation=stray.id, code=refused.code)
        return True

    async def _give_back(self, context: TenantContext, orphan: Orphan, key: str) -> None:
        stray = orphan.operation

        def plan(payment: Payment, operations: list[Operation], at: datetime) -> Plan:
            return release_plan(_find(operations, stray.id) or orphan)

        if stray.capture:
            refund = RefundPayment(
                idempotency_key=key,
                payment_id=stray.payment_id,
                amount_minor=orphan.left_minor,
                reason=_REASON,
            )
            await self._run(context, "refundPayment", refund, plan)
        else:
            void = VoidPayment(idempotency_key=key, payment_id=stray.payment_id)
            await self._run(context, "voidPayment", void, plan)


_OPEN = frozenset({"created", "sending", "unknown", "pending", "requires_action"})


def _find(operations: list[Operation], operation_id: str) -> Orphan | None:
    return next((o for o in orphans(operations) if o.operation.id == operation_id), None)
