"""Which gateway, which next, and why these?

Pure: from the policy, the payment, the gateways, what is known of their success and the payment's
own draw come an order and its explanation. The explanation is stored with each attempt; its `odds`
say how likely each gateway was to come first, by which later questions about other policies can be
answered honestly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from payengine.plugin import supports
from payengine.routing.facts import Candidate, Draw, Facts, draw_of, fits
from payengine.routing.fees import fee_minor
from payengine.routing.policy import (
    DEFAULT_POLICY,
    Action,
    LeastCost,
    Policy,
    Priority,
    SuccessRate,
    Weights,
)
from payengine.routing.rates import WHOLE, Ranking, Segment

__all__ = ["Choice", "choose"]

#: Finds the counts of a currency and a method; asked only where they decide.
FindSegment: TypeAlias = Callable[[], Segment]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The gateways from the first choice on, and the explanation stored with the first attempt."""

    gateways: tuple[str, ...]
    explanation: dict[str, Any]

    @property
    def gateway(self) -> str:
        """The first choice."""
        return self.gateways[0]

    @property
    def odds(self) -> dict[str, int]:
        """Gateway → millionths of being the first choice for such a payment."""
        told: dict[str, int] = self.explanation.get("odds") or {self.gateway: WHOLE}
        return told


class _Decided(NamedTuple):
    name: str
    action: Action
    exclude: tuple[str, ...]


def choose(
    candidates: Sequence[Candidate],
    facts: Facts,
    *,
    policy: Policy = DEFAULT_POLICY,
    segment: FindSegment = Segment,
    draw: Draw | None = None,
) -> Choice | None:
    """The gateways that may take the payment, in the order to try them; None where none may.

    A gateway whose breaker is open comes behind all others, whatever the policy prefers.
    """
    decided = _decide(policy, facts)
    passed_over: dict[str, str] = {}
    able: list[str] = []
    resting: list[str] = []
    for candidate in candidates:
        why_not = _why_not(candidate, facts, policy, decided)
        if why_not:
            passed_over[candidate.name] = why_not
        else:
            (resting if candidate.health == "open" else able).append(candidate.name)
    able.sort()
    resting.sort()
    names = able or resting
    if not names:
        return None
    explanation: dict[str, Any] = {"rule": decided.name, "by": _BY[type(decided.action)]}
    order: tuple[str, ...] = tuple(names)
    if len(names) > 1:
        ranking = _RANKED[type(decided.action)](
            decided.action, names, facts, policy, segment, draw or draw_of(facts.payment_id)
        )
        order = ranking.order
        explanation["reason"] = ranking.reason
        if len(ranking.odds) > 1:
            explanation["odds"] = ranking.odds
        explanation |= ranking.detail
    if able and resting:
        explanation["breaker_open"] = resting
        order += tuple(resting)
    if len(order) > 1:
        explanation["order"] = order
    if passed_over:
        explanation["passed_over"] = passed_over
    return Choice(gateways=order, explanation=explanation)


def _decide(policy: Policy, facts: Facts) -> _Decided:
    for rule in policy.rules:
        if fits(rule.when, facts):
            return _Decided(rule.name, rule.then, rule.exclude)
    name = "default" if policy is DEFAULT_POLICY else "otherwise"
    return _Decided(name, policy.otherwise, ())


def _why_not(candidate: Candidate, facts: Facts, policy: Policy, decided: _Decided) -> str:
    """Why the gateway may not take the payment; empty where it may."""
    manifest, name = candidate.manifest, candidate.name
    if facts.method not in manifest.methods:
        return "method"
    if not supports(manifest, currency=facts.currency, method=facts.method):
        return "currency"
    if manifest.countries and facts.country and facts.country not in manifest.countries:
        return "country"
    if name in policy.exclude or name in decided.exclude:
        return "excluded"
    action = decided.action
    if isinstance(action, Priority) and action.only and name not in action.gateways:
        return "not_named"
    if isinstance(action, Weights) and action.only and not action.weights.get(name):
        return "not_named"
    return ""


def _by_priority(
    action: Priority, names: list[str], facts: Facts, policy: Policy, segment: object, draw: Draw
) -> Ranking:
    named = [name for name in action.gateways if name in names]
    order = (*named, *(name for name in names if name not in named))
    return Ranking(order=order, odds={order[0]: WHOLE}, reason="named" if named else "by_name")


def _by_weights(
    action: Weights, names: list[str], facts: Facts, policy: Policy, segment: object, draw: Draw
) -> Ranking:
    """By the smallest of draws that are as much quicker as the weight is greater.

    An exponential race: the first is each gateway with its weight's share, exactly.
    """
    weights = {name: action.weights.get(name, 0) for name in names}
    running = [name for name in names if weights[name] > 0]
    if not running:
        return Ranking(order=tuple(names), odds={names[0]: WHOLE}, reason="no_weight_left")
    race = {name: -math.log(draw(name)) / weights[name] for name in running}
    order = (*sorted(running, key=race.__getitem__), *(n for n in names if n not in race))
    total = sum(weights.values())
    odds = {name: weights[name] * WHOLE // total for name in running}
    odds[running[-1]] += WHOLE - sum(odds.values())
    return Ranking(order=order, odds=odds, reason="drawn")


def _by_cost(
    action: LeastCost, names: list[str], facts: Facts, policy: Policy, segment: object, draw: Draw
) -> Ranking:
    costs: dict[str, int] = {}
    for name in names:
        cost = fee_minor(
            policy.fees,
            name,
            amount_minor=facts.amount_minor,
            currency=facts.currency,
            method=facts.method,
        )
        if cost is not None:
            costs[name] = cost
    order = sorted(names, key=lambda name: (name not in costs, costs.get(name, 0), name))
    return Ranking(
        order=tuple(order), odds={order[0]: WHOLE}, reason="cheapest", detail={"costs": costs}
    )


def _by_success(
    action: SuccessRate,
    names: list[str],
    facts: Facts,
    policy: Policy,
    segment: FindSegment,
    draw: Draw,
) -> Ranking:
    return segment().rank(names, explore_percent=action.explore_percent, draw=draw)


_RANKED: dict[type[Any], Callable[..., Ranking]] = {
    Priority: _by_priority,
    Weights: _by_weights,
    LeastCost: _by_cost,
    SuccessRate: _by_success,
}
_BY: dict[type[Any], str] = {
    Priority: "priority",
    Weights: "weights",
    LeastCost: "cost",
    SuccessRate: "success",
}
