"""What do the rules say of a payment that was decided on without all of them?

Where the past could not be read, or a rule failed, the payment went its way by the tenant's word
for that. A little later it is judged once more, by the rules as they then are, over the same facts.
It is not undone by that: a verdict that is stronger than the first one is told, and shown to a
person.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from payengine.context import TenantContext
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.fraud.base import rebased
from payengine.fraud.decide import STRENGTH
from payengine.fraud.decisions import Decision, DecisionRow
from payengine.fraud.past import read_past, record_past
from payengine.fraud.rulebook import Ruleset
from payengine.fraud.screening import Screening, Subject, with_past
from payengine.fraud.spelling import told_in
from payengine.fraud.tokens import NOBODY
from payengine.ids import new_id
from payengine.payments import store
from payengine.payments.means import Means
from payengine.payments.models import Payment
from payengine.payments.screening_rows import DECISION
from payengine.payments.settle import event_of
from payengine.plugin.fraud import FraudContext, VerdictKind
from payengine.storage import Session

__all__ = ["BATCH", "Rescoring"]

BATCH = 50
_AT_ONCE = 4
_LEASE = timedelta(seconds=30)
#: After the first try, a few seconds after the decision; then nobody waits for the rule any more.
_AGAIN = (timedelta(minutes=1), timedelta(minutes=10))
_STOPS: tuple[VerdictKind, ...] = ("review", "challenge", "block", "hard_block")

_DUE = """
    SELECT tenant_id, payment_id, number, stage FROM fraud_rescore
    WHERE due_at <= $1 ORDER BY due_at LIMIT $2
"""
_CLAIM = """
    UPDATE fraud_rescore SET due_at = $5, tries = tries + 1
    WHERE tenant_id = $1 AND payment_id = $2 AND number = $3 AND stage = $4 AND due_at <= $6
    RETURNING tries
"""
_DECIDED = f"""
    SELECT {DECISION.listed} FROM fraud_decision
    WHERE tenant_id = $1 AND payment_id = $2 AND number = $3 AND stage = $4
"""
_LATER = """
    UPDATE fraud_rescore SET due_at = $5
    WHERE tenant_id = $1 AND payment_id = $2 AND number = $3 AND stage = $4 AND ended_at IS NULL
"""
_END = """
    UPDATE fraud_rescore SET due_at = NULL, ended_at = $5, verdict = $6, document = $7
    WHERE tenant_id = $1 AND payment_id = $2 AND number = $3 AND stage = $4 AND ended_at IS NULL
    RETURNING tries
"""
_IS_PAST = """
    SELECT true FROM fraud_event WHERE tenant_id = $1 AND payment_id = $2 AND number = $3
"""
_CONVERT = """
    UPDATE fraud_event SET base_minor = $4
    WHERE tenant_id = $1 AND payment_id = $2 AND number = $3 AND base_minor <> $4
"""
_SHOW = f"""
    UPDATE payment SET needs_review = true, version = version + 1, updated_at = $3
    WHERE tenant_id = $1 AND id = $2 AND NOT needs_review
    RETURNING {store.PAYMENT.listed}
"""
_MODE = "SELECT mode FROM tenant WHERE id = $1"

_log = structlog.get_logger(__name__)


class Rescoring:
    """Judges again what was judged without what it needed."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Judge again what is due; how many were. Several processes may do so at once."""
        fraud = self._means.fraud
        if fraud is None:
            return 0
        async with self._means.database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Any) -> None:
            async with places:
                key = (row["payment_id"], row["number"], row["stage"])
                try:
                    await self._rescore(fraud, row["tenant_id"], key, at=at)
                except Exception as failure:
                    _log.warning("rescore_failed", payment=key[0], error=repr(failure))

        await asyncio.gather(*map(one, due))
        return len(due)

    async def _rescore(
        self, fraud: Screening, tenant_id: uuid.UUID, key: tuple[str, int, str], *, at: datetime
    ) -> None:
        async with self._means.database.tenant(tenant_id) as session:
            tries = await session.fetchval(_CLAIM, tenant_id, *key, at + _LEASE, at)
            if tries is None:
                return  # another process was quicker
            mode = await session.fetchval(_MODE, tenant_id)
            found = await session.fetchrow(_DECIDED, tenant_id, *key)
            payment = await store.payment_row(session, tenant_id, key[0])
        if payment is None or found is None:
            return
        row = DECISION.read(found)
        context = TenantContext(tenant_id, mode, "engine", frozenset())
        rules = await fraud.rulebook.of(context)
        about = await self._facts(fraud, context, rules, row, payment)
        asked = await fraud.asking.ask(context, rules.asked[row.stage], about)
        again = fraud.judge(
            context, rules, about, None, number=row.number, asked=asked, as_told=True
        )
        async with self._means.database.tenant(tenant_id) as session:
            if again.degraded and tries <= len(_AGAIN):
                await session.execute(_LATER, tenant_id, *key, at + _AGAIN[tries - 1])
                return
            await self._end(session, context, row, again, at=at)
        self._means.nudge()

    async def _facts(
        self,
        fraud: Screening,
        context: TenantContext,
        rules: Ruleset,
        row: DecisionRow,
        payment: Payment,
    ) -> FraudContext:
        """What the rules were told, with the past where that could not be read."""
        tenant_id = context.tenant_id
        named = {
            "tenant": str(tenant_id),
            "payment_id": row.payment_id,
            "metadata": payment.metadata,
        }
        before = msgspec.convert(told_in(row.document["context"]) | named, FraudContext)
        told = rebased(before, rules.base)
        if told.base_currency != before.base_currency:
            async with self._means.database.tenant(tenant_id) as session:
                await session.execute(
                    _CONVERT, tenant_id, row.payment_id, row.number, told.base_minor
                )
        if not set(rules.plans["pre_auth"].key) - set(told.features):
            return told
        anew = msgspec.structs.replace(
            told, stage="pre_auth", as_of=self._means.clock.now(tenant_id)
        )
        reading = fraud.reading(
            anew, rules, Subject(), NOBODY, tenant_id=tenant_id, number=row.number
        )
        recalled = None
        if reading is not None:
            async with self._means.database.tenant(tenant_id) as session:
                recalled = (await read_past(session, [reading])).get(row.payment_id)
                is_past = await session.fetchval(_IS_PAST, tenant_id, row.payment_id, row.number)
                if recalled is not None and not is_past:
                    # It was never seen by those who came after; from now on it is.
                    await record_past(session, tenant_id, recalled)
        known = dict(with_past(anew, rules, recalled).features) | told.features
        return msgspec.structs.replace(told, features=known)

    async def _end(
        self,
        session: Session,
        context: TenantContext,
        row: DecisionRow,
        again: Decision,
        *,
        at: datetime,
    ) -> None:
        tenant_id, verdict = context.tenant_id, again.decided.verdict
        ended = await session.fetchval(
            _END,
            tenant_id,
            row.payment_id,
            row.number,
            row.stage,
            at,
            verdict,
            again.row(at=at).document,
        )
        if ended is None:
            return
        occurred_at = self._means.clock.now(tenant_id)
        data = {
            "verdict": verdict,
            "before": row.verdict,
            "rules": list(again.decided.by),
            "score": again.decided.score,
            "stage": row.stage,
            "attempt": row.number,
            "degraded": again.degraded,
        }
        event = NewEvent(
            id=new_id("evt"),
            type="fraud.rescored",
            payment_id=row.payment_id,
            data=data,
            occurred_at=occurred_at,
        )
        await insert_event(session, tenant_id, event)
        if verdict not in _STOPS or STRENGTH[verdict] <= STRENGTH[row.verdict]:
            return
        shown = await session.fetchrow(_SHOW, tenant_id, row.payment_id, occurred_at)
        if shown is not None:
            payment = store.PAYMENT.read(shown)
            told = event_of("payment.needs_review", payment, None, at=occurred_at)
            await insert_event(session, tenant_id, told)
