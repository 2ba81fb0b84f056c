"""May this refund, or this payout, go out?

The rules of a stage after the payment's own path: the past is read as it stands now, what must be
asked elsewhere is asked with no transaction open, and the decision is kept whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType

import asyncpg
import msgspec

from payengine.context import TenantContext
from payengine.events.writing import insert_event
from payengine.fraud.base import based
from payengine.fraud.decide import Decided, Evaluated, decide
from payengine.fraud.decisions import Decision, DecisionRow
from payengine.fraud.keeping import context_of, decision_event, keep_decision, kept_decision
from payengine.fraud.past import Recalled, read_past
from payengine.fraud.rulebook import Ruleset
from payengine.fraud.screening import Screening, Subject, with_past
from payengine.fraud.spelling import said_in
from payengine.fraud.tokens import NOBODY
from payengine.plugin.fraud import FraudContext, RuleStage
from payengine.storage import Database, Session

__all__ = ["PayoutFacts", "Stages"]


class PayoutFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a payout; `seller` is the name that its payments were made with."""

    payout_id: str
    seller: str
    amount_minor: int
    currency: str
    metadata: dict[str, str] = {}


class Stages:
    """Judges what goes out; `nudge` tells the relay that there are events."""

    def __init__(
        self, database: Database, screening: Screening, *, nudge: Callable[[], None]
    ) -> None:
        self._database = database
        self._screening = screening
        self._nudge = nudge

    async def rules(self, tenant: TenantContext, stage: RuleStage) -> Ruleset | None:
        """The rules that hold; None where none of this stage has anything to say."""
        return await self._screening.active(tenant, stage)

    async def judge_payout(
        self, tenant: TenantContext, facts: PayoutFacts, *, at: datetime
    ) -> Decision | None:
        """What is decided about a payout, once: asked again, it is what was decided then.

        Block and hard block: it may not go out. Review and challenge: a person has to look first.
        None where no rule has anything to say. Opens transactions of its own.
        """
        rules = await self.rules(tenant, "payout")
        if rules is None:
            return None
        base_minor, base_currency = based(rules.base, facts.amount_minor, facts.currency)
        context = FraudContext(
            tenant=str(tenant.tenant_id),
            stage="payout",
            as_of=at,
            payment_id=facts.payout_id,
            amount_minor=facts.amount_minor,
            currency=facts.currency,
            base_minor=base_minor,
            base_currency=base_currency,
            method_kind="payout",
            seller=facts.seller,
            metadata=MappingProxyType(dict(facts.metadata)),  # type: ignore[arg-type]
        )
        async with self._database.tenant(tenant.tenant_id) as session:
            row = await kept_decision(session, tenant.tenant_id, facts.payout_id, "payout")
            if row is not None:
                return _read(row, tenant)
            recalled, missing = await self.recall(session, tenant, rules, context)
        decision = await self.judge(tenant, rules, context, recalled, missing=missing)
        async with self._database.tenant(tenant.tenant_id) as session:
            await self.keep(session, tenant, decision, at=at)
            row = await kept_decision(session, tenant.tenant_id, facts.payout_id, "payout")
        self._nudge()
        return decision if row is None else _read(row, tenant)

    async def recall(
        self, session: Session, tenant: TenantContext, rules: Ruleset, context: FraudContext
    ) -> tuple[Recalled | None, bool]:
        """The past of whom the context names, and whether it could not be read.

        What it stands for is no attempt to pay, and becomes no part of the past.
        """
        reading = self._screening.reading(
            context, rules, Subject(), NOBODY, tenant_id=tenant.tenant_id
        )
        if reading is None:
            return None, False
        await session.execute("SAVEPOINT past")
        try:
            return (await read_past(session, [reading])).get(context.payment_id), False
        except asyncpg.PostgresError:
            await session.execute("ROLLBACK TO SAVEPOINT past")
            return None, True

    async def judge(
        self,
        tenant: TenantContext,
        rules: Ruleset,
        context: FraudContext,
        recalled: Recalled | None,
        *,
        missing: bool,
        number: int = 1,
    ) -> Decision:
        """What is decided; no transaction may be open, for others may be asked."""
        about = with_past(context, rules, recalled)
        asked: tuple[Evaluated, ...] = await self._screening.asking.ask(
            tenant, rules.asked[context.stage], about
        )
        return self._screening.judge(
            tenant, rules, context, recalled, number=number, missing=missing, asked=asked
        )

    async def keep(
        self, session: Session, tenant: TenantContext, decision: Decision, *, at: datetime
    ) -> None:
        """Keep the decision, and tell of it where it stops something."""
        await keep_decision(session, tenant.tenant_id, decision.row(at=at))
        told = decision_event(decision, at=at)
        if told is not None:
            await insert_event(session, tenant.tenant_id, told)


def _read(row: DecisionRow, tenant: TenantContext) -> Decision:
    document = row.document
    said = said_in(document)
    by = decide(said).by if "by" not in document else tuple(document["by"])
    return Decision(
        context=context_of(row, tenant_id=tenant.tenant_id),
        decided=Decided(verdict=row.verdict, by=by, score=document.get("score")),
        evaluated=said,
        number=row.number,
        degraded=row.degraded,
        took_us=document.get("took_us", 0),
    )
