"""What would a rule have said of payments that are past?

Pure. The payments pass in the order of their time, with what was known at each instant and no
more: what the rule reads is taken from the decision, where it was read then, and else computed
over the payments that passed before. The other rules' words stand as they were.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from payengine.fraud.decide import Evaluated, decide
from payengine.fraud.evaluation import ActiveRule, Evaluator
from payengine.fraud.memory import MemoryPast
from payengine.fraud.plan import FeaturePlan
from payengine.plugin.fraud import FraudContext, Label, VerdictKind

__all__ = ["HITS", "Impact", "PastPayment", "Replay", "Tally"]

#: What stops or delays a payment.
HITS: frozenset[VerdictKind] = frozenset({"review", "challenge", "block", "hard_block"})


class PastPayment(msgspec.Struct, frozen=True, kw_only=True):
    """One decision and what has become of its payment.

    `declined` is the issuer's word, None where there is none; `is_fraud` is what is known today,
    None for nothing; `labels` is what became known, and when.
    """

    context: FraudContext
    decided_at: datetime
    said: tuple[Evaluated, ...]
    number: int = 1
    declined: bool | None = None
    is_fraud: bool | None = None
    labels: tuple[Label, ...] = ()


class Tally(msgspec.Struct, kw_only=True):
    """Payments and their worth: minor units by currency."""

    payments: int = 0
    worth: dict[str, int] = {}

    def add(self, context: FraudContext) -> None:
        """One more."""
        self.payments += 1
        self.worth[context.currency] = self.worth.get(context.currency, 0) + context.amount_minor


class Impact(msgspec.Struct, kw_only=True):
    """What the rule would have done to the payments that were looked at.

    `hits` it would have stopped or delayed, of which `caught` are known to be fraudulent and `good`
    went through, or are known to be good; of the others nobody knows, as they were stopped or
    declined. `hits_before` is what it did hit as it was. `stopped` would be stopped or delayed by
    all rules together and were not; `released` the other way round. `missed` is the known fraud
    that it says nothing of.
    """

    looked_at: int = 0
    errors: int = 0
    verdicts: dict[str, int] = {}
    hits: Tally = msgspec.field(default_factory=Tally)
    hits_before: Tally = msgspec.field(default_factory=Tally)
    caught: Tally = msgspec.field(default_factory=Tally)
    good: Tally = msgspec.field(default_factory=Tally)
    missed: Tally = msgspec.field(default_factory=Tally)
    stopped: Tally = msgspec.field(default_factory=Tally)
    released: Tally = msgspec.field(default_factory=Tally)


class Replay:
    """One rule, as it would be, over one tenant's payments in the order of their time."""

    def __init__(
        self, tenant_id: uuid.UUID, active: ActiveRule, plan: FeaturePlan, *, since: datetime
    ) -> None:
        """`since`: earlier payments are past, and are not judged. The plan is the rule's own."""
        self._tenant_id = tenant_id
        self._active = active
        self._past = MemoryPast(plan)
        self._since = since
        #: As many as are taken: whoever replays has a bound.
        self._known: dict[tuple[str, int], dict[str, Any]] = {}
        # One of its own: what fails here must not make the rule rest where payments wait.
        self._evaluator = Evaluator()
        self._verdicts: Counter[str] = Counter()
        self.impact = Impact()

    def take(self, payment: PastPayment) -> None:
        """The next payment."""
        context = payment.context
        facts = self._facts(payment)
        if payment.decided_at >= self._since:
            known: Mapping[str, Any] = context.features
            facts.update((name, known[name]) for name in facts.keys() & known.keys())
            judged = msgspec.structs.replace(context, features=MappingProxyType(facts))
            self._judge(payment, judged)

    def _facts(self, payment: PastPayment) -> dict[str, Any]:
        """What was before the attempt, which is past from now on; at a later stage, the same."""
        attempt = (payment.context.payment_id, payment.number)
        facts = self._known.get(attempt)
        if facts is None:
            facts = self._known[attempt] = dict(self._past.observe(payment.context))
            for label in payment.labels:
                self._past.label(label)
            if payment.declined is not None:
                self._past.outcome(payment.context.payment_id, declined=payment.declined)
        return dict(facts)

    def report(self) -> Impact:
        """What was found so far."""
        self.impact.verdicts = dict(self._verdicts)
        return self.impact

    def _judge(self, payment: PastPayment, context: FraudContext) -> None:
        impact = self.impact
        (said,) = self._evaluator.evaluate(self._tenant_id, [self._active], context)
        impact.looked_at += 1
        impact.errors += bool(said.error)
        self._verdicts[said.verdict] += 1
        before = next((each for each in payment.said if each.rule == said.rule), None)
        if before is not None and before.verdict in HITS:
            impact.hits_before.add(context)
        hits = said.verdict in HITS
        if hits:
            impact.hits.add(context)
            if payment.is_fraud:
                impact.caught.add(context)
            elif payment.is_fraud is False or payment.declined is False:
                impact.good.add(context)
        elif payment.is_fraud:
            impact.missed.add(context)
        others = [each for each in payment.said if each.rule != said.rule]
        was = decide(payment.said).verdict in HITS
        would = decide([*others, said]).verdict in HITS
        if would and not was:
            impact.stopped.add(context)
        elif was and not would:
            impact.released.add(context)
