"""What would another policy have done with these payments?

Pure. Each past payment is decided again; where it would go is known exactly. Whether it would have
succeeded there is estimated from payments of the same currency, method and size that went there.
Where too few did, nothing is guessed: such payments widen the bounds from "all fail" to "all
succeed". Between gateways that an earlier policy told apart by other facts, the comparison is only
as good as these strata; where chance had decided, it is sound.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from payengine.routing.choice import Choice, choose
from payengine.routing.facts import Candidate, Facts
from payengine.routing.fees import fee_minor
from payengine.routing.policy import Policy
from payengine.routing.rates import WHOLE, TenantRates

__all__ = ["Changed", "CostLine", "PastPayment", "ShareLine", "Simulation", "Simulator"]

#: Fewer outcomes of a stratum at a gateway tell nothing.
_FEWEST = 10
#: Standard deviations on each side of 95 of a hundred cases (normal approximation).
_SIDES = 1.96
_SHOWN = 20

_Stratum: TypeAlias = tuple[str, str, int]
_Cell: TypeAlias = tuple[_Stratum, str]


class PastPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that was made: where it went first, and whether it succeeded there.

    `succeeded` is None while that is not known. `by_chance` says that its draw chose the gateway.
    """

    facts: Facts
    gateway: str
    succeeded: bool | None
    by_chance: bool = False


class ShareLine(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's first choices: how many there were, and its share before and under the policy."""

    gateway: str
    past_count: int
    past_share: float
    share: float


class CostLine(msgspec.Struct, frozen=True, kw_only=True):
    """Fees in one currency by the policy's own table, were every payment to succeed.

    `past_minor` is for the gateways that were asked, `minor` for those that would be. Payments of
    `unknown_share` have no fee in the table and are in neither sum.
    """

    currency: str
    past_minor: int
    minor: int
    unknown_share: float


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that would most likely have gone elsewhere; `to` is None where nobody took it."""

    payment_id: str
    was: str
    to: str | None


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """The report; rates and shares are 0 to 1.

    `success` is the estimate over the payments of which the past can tell, None where it tells of
    none. All together succeed with at least `success_low` and at most `success_high`, with 95 %
    confidence: payments of `unknown_share` count as failures below and as successes above.
    `chance_share` is the part of the past that chance had decided.
    """

    payments: int
    truncated: bool
    past_success: float | None
    success: float | None
    success_low: float
    success_high: float
    unknown_share: float
    chance_share: float
    untakeable: int
    changed: int
    changes: tuple[Changed, ...]
    shares: tuple[ShareLine, ...]
    costs: tuple[CostLine, ...]


class Simulator:
    """Takes past payments one by one, the oldest first, then reports."""

    def __init__(self, policy: Policy, candidates: Sequence[Candidate]) -> None:
        self._policy = policy
        self._candidates = candidates
        self._rates = TenantRates()
        self._payments = self._untakeable = self._changed = self._by_chance = 0
        self._changes: list[Changed] = []
        self._past: Counter[str] = Counter()
        self._tried: Counter[_Cell] = Counter()
        self._good: Counter[_Cell] = Counter()
        #: Millionths of payments that would go there first.
        self._goes: Counter[_Cell] = Counter()
        self._costs: defaultdict[str, _Cost] = defaultdict(_Cost)

    def take(self, past: PastPayment) -> None:
        """Decide one payment again, knowing what its past had taught by then."""
        facts = past.facts
        segment = self._rates.segment(currency=facts.currency, method=facts.method)
        choice = choose(self._candidates, facts, policy=self._policy, segment=lambda: segment)
        stratum = _stratum(facts)
        self._payments += 1
        self._by_chance += past.by_chance
        self._past[past.gateway] += 1
        if past.succeeded is not None:
            segment.tell(past.gateway, succeeded=past.succeeded)
            self._tried[stratum, past.gateway] += 1
            self._good[stratum, past.gateway] += past.succeeded
        likeliest = _likeliest(choice)
        if likeliest != past.gateway:
            self._changed += 1
            if len(self._changes) < _SHOWN:
                self._changes.append(
                    Changed(payment_id=facts.payment_id, was=past.gateway, to=likeliest)
                )
        if choice is None:
            self._untakeable += 1
            return
        for gateway, millionths in choice.odds.items():
            self._goes[stratum, gateway] += millionths
        self._costs[facts.currency].add(self._policy, past, choice)

    def report(self, *, truncated: bool = False) -> Simulation:
        """What all of them add up to."""
        whole = max(self._payments, 1) * WHOLE
        told = mean = variance = 0.0
        for cell, millionths in self._goes.items():
            tried, mass = self._tried[cell], millionths / whole
            if tried < _FEWEST:
                continue
            rate = self._good[cell] / tried
            # Agresti and Coull's centre: a rate of 0 or 1 is not known without error either.
            shrunk = (self._good[cell] + 2) / (tried + 4)
            told += mass
            mean += mass * rate
            variance += mass**2 * shrunk * (1 - shrunk) / tried
        untakeable = self._untakeable / max(self._payments, 1)
        unknown = max(1.0 - told - untakeable, 0.0) if self._payments else 0.0
        error = _SIDES * math.sqrt(variance)
        known = sum(self._tried.values())
        return Simulation(
            payments=self._payments,
            truncated=truncated,
            past_success=sum(self._good.values()) / known if known else None,
            success=mean / told if told else None,
            success_low=max(mean - error, 0.0),
            success_high=min(mean + error + unknown, 1.0),
            unknown_share=unknown,
            chance_share=self._by_chance / max(self._payments, 1),
            untakeable=self._untakeable,
            changed=self._changed,
            changes=tuple(self._changes),
            shares=tuple(self._shares(whole)),
            costs=tuple(self._cost_lines()),
        )

    def _shares(self, whole: int) -> Iterator[ShareLine]:
        goes: Counter[str] = Counter()
        for (_, gateway), millionths in self._goes.items():
            goes[gateway] += millionths
        for gateway in sorted({*self._past, *goes}):
            yield ShareLine(
                gateway=gateway,
                past_count=self._past[gateway],
                past_share=self._past[gateway] / max(self._payments, 1),
                share=goes[gateway] / whole,
            )

    def _cost_lines(self) -> Iterator[CostLine]:
        for currency, cost in sorted(self._costs.items()):
            yield CostLine(
                currency=currency,
                past_minor=cost.past_minor,
                minor=(cost.millionths * 2 + WHOLE) // (2 * WHOLE),
                unknown_share=cost.unknown / cost.payments,
            )


class _Cost:
    """Sums of one currency, in whole numbers: rounded once, at the end."""

    def __init__(self) -> None:
        self.payments = self.unknown = self.past_minor = self.millionths = 0

    def add(self, policy: Policy, past: PastPayment, choice: Choice) -> None:
        """One payment; left out of both sums where a fee is missing."""
        facts = past.facts
        self.payments += 1

        def fee(gateway: str) -> int | None:
            return fee_minor(
                policy.fees,
                gateway,
                amount_minor=facts.amount_minor,
                currency=facts.currency,
                method=facts.method,
            )

        was = fee(past.gateway)
        new = {gateway: fee(gateway) for gateway in choice.odds}
        if was is None or None in new.values():
            self.unknown += 1
            return
        self.past_minor += was
        self.millionths += sum((new[name] or 0) * odds for name, odds in choice.odds.items())


def _stratum(facts: Facts) -> _Stratum:
    """Payments that are alike: of one currency, one method and one order of magnitude."""
    return facts.currency, facts.method, len(str(facts.amount_minor))


def _likeliest(choice: Choice | None) -> str | None:
    if choice is None:
        return None
    odds = choice.odds
    return max(odds, key=lambda name: (odds[name], name == choice.gateway))
