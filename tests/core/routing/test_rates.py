"""Does success-rate routing learn, adapt and explore within its bound?

Simulations by a seed: nothing here depends on a clock or on chance.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
from payengine.routing import Segment, choose, parse_policy
from payengine.routing.rates import TenantRates

from tests.core.routing.cases import candidates, facts

_POLICY = parse_policy({"otherwise": {"by": "success"}})
Chances = Callable[[int], list[float]]


def run(seed: int, chances: Chances, *, payments: int) -> tuple[float, float, Counter[str]]:
    """The success of the router and of taking turns, in per cent, and the reasons given."""
    random_ = random.Random(seed)
    gateways = candidates("abc")
    segment = Segment()
    good = in_turn = 0
    reasons: Counter[str] = Counter()
    for n in range(payments):
        chance, luck = chances(n), random_.random()
        found = choose(gateways, facts(f"{seed} {n}"), policy=_POLICY, segment=lambda: segment)
        assert found is not None
        reasons[found.explanation["reason"]] += 1
        succeeded = luck < chance["abc".index(found.gateway)]
        segment.tell(found.gateway, succeeded=succeeded)
        good += succeeded
        in_turn += luck < chance[n % 3]
    return 100 * good / payments, 100 * in_turn / payments, reasons


def _waves(seed: int) -> Chances:
    """Each gateway swings between 55 and 95 per cent, each at its own time."""
    turn = random.Random(seed).random() * 2 * math.pi

    def chances(n: int) -> list[float]:
        angle = 2 * math.pi * n / 1_200 + turn
        return [0.75 + 0.2 * math.sin(angle + k * 2 * math.pi / 3) for k in range(3)]

    return chances


def _swaps(seed: int) -> Chances:
    """One is good and two are poor; every 500 payments another one is the good one."""
    order = random.Random(seed).sample(range(3), 3)

    def chances(n: int) -> list[float]:
        good = order[n // 500 % 3]
        return [0.92 if k == good else 0.72 for k in range(3)]

    return chances


@pytest.mark.parametrize("drift", [_waves, _swaps], ids=["waves", "swaps"])
@pytest.mark.parametrize("seed", range(5))
def test_it_beats_taking_turns_by_five_points_while_gateways_drift(
    drift: Callable[[int], Chances], seed: int
) -> None:
    learnt, in_turn, reasons = run(seed, drift(seed), payments=3_000)
    assert learnt - in_turn >= 5, (learnt, in_turn)
    assert reasons["explored"] <= 3_000 * 0.10
    assert reasons["in_turn"] <= 15


def test_where_all_are_alike_nothing_is_lost() -> None:
    learnt, in_turn, _ = run(1, lambda n: [0.8] * 3, payments=3_000)
    assert abs(learnt - in_turn) < 1.5


@pytest.mark.parametrize("chances", [(0.9, 0.85, 0.8), (0.95, 0.6, 0.6), (0.99, 0.9, 0.2)])
@pytest.mark.parametrize("seed", range(10))
def test_within_fifty_payments_a_dead_gateway_has_lost_its_traffic(
    seed: int, chances: tuple[float, ...]
) -> None:
    random_ = random.Random(seed)
    segment, gateways = Segment(), candidates("abc")
    went: Counter[bool] = Counter()
    for n in range(700):
        found = choose(gateways, facts(f"dead {seed} {n}"), policy=_POLICY, segment=lambda: segment)
        assert found is not None
        is_dead = n >= 600 and found.gateway == "a"
        chance = chances["abc".index(found.gateway)]
        segment.tell(found.gateway, succeeded=not is_dead and random_.random() < chance)
        if n >= 650:
            went[is_dead] += 1
    assert went[False] >= 45, went


def test_a_gateway_that_recovers_gets_its_payments_back() -> None:
    random_ = random.Random(3)
    segment, gateways = Segment(), candidates("ab")
    last = Counter[str]()
    for n in range(1_500):
        found = choose(gateways, facts(f"back {n}"), policy=_POLICY, segment=lambda: segment)
        assert found is not None
        is_dead = 300 <= n < 400 and found.gateway == "a"
        chance = 0.95 if found.gateway == "a" else 0.6
        segment.tell(found.gateway, succeeded=not is_dead and random_.random() < chance)
        if n >= 1_300:
            last[found.gateway] += 1
    assert last["a"] > 160


def test_exploration_stays_within_what_the_policy_says() -> None:
    policy = parse_policy({"otherwise": {"by": "success", "explorePercent": 10}})
    segment, gateways = Segment(), candidates("abc")
    for name in "abc":
        for _ in range(20):
            segment.tell(name, succeeded=name == "a")
    reasons = Counter[str]()
    for n in range(5_000):
        found = choose(gateways, facts(f"bound {n}"), policy=policy, segment=lambda: segment)
        assert found is not None
        reasons[found.explanation["reason"]] += 1
        assert sum(found.odds.values()) == 1_000_000
        assert found.odds["a"] == 900_000
    assert 420 < reasons["explored"] < 580


def test_the_first_payments_are_taken_in_turn() -> None:
    segment, gateways = Segment(), candidates("abc")
    first: Counter[str] = Counter()
    for n in range(12):
        found = choose(gateways, facts(f"turn {n}"), policy=_POLICY, segment=lambda: segment)
        assert found is not None
        first[found.gateway] += 1
        segment.tell(found.gateway, succeeded=True)
    assert set(first.values()) == {4}


def test_segments_are_apart_and_bounded() -> None:
    rates = TenantRates()
    euros = rates.segment(currency="EUR", method="card")
    assert rates.segment(currency="EUR", method="card") is euros
    assert rates.segment(currency="USD", method="card") is not euros
    for n in range(100):
        rates.segment(currency="USD", method=f"m{n}")
    assert rates.segment(currency="EUR", method="card") is not euros
