"""Does a simulation tell what is known, and where it knows nothing?"""

from __future__ import annotations

import random
from typing import Any

from payengine.routing import PastPayment, Policy, Simulation, Simulator, choose, parse_policy

from tests.core.routing.cases import candidates, facts

_RATES = {"a": 0.9, "b": 0.6, "c": 0.75}
_HALVES = parse_policy({"otherwise": {"by": "weights", "weights": {"a": 1, "b": 1}}})


def past(policy: Policy, *, payments: int = 2_000, seed: int = 1) -> list[PastPayment]:
    """Payments that `policy` routed, with the luck that they had."""
    random_ = random.Random(seed)
    made = []
    for n in range(payments):
        payment = facts(f"past {seed} {n}", amount_minor=random_.choice((150, 1_500)))
        found = choose(candidates("abc"), payment, policy=policy)
        assert found is not None
        made.append(
            PastPayment(
                facts=payment,
                gateway=found.gateway,
                succeeded=random_.random() < _RATES[found.gateway],
                by_chance=len(found.odds) > 1,
            )
        )
    return made


def simulated(made: list[PastPayment], document: dict[str, Any], names: str = "abc") -> Simulation:
    """The report of this policy on these payments."""
    simulator = Simulator(parse_policy(document), candidates(names))
    for each in made:
        simulator.take(each)
    return simulator.report()


def test_the_truth_lies_within_the_bounds() -> None:
    inside = 0
    for seed in range(20):
        made = past(_HALVES, payments=1_000, seed=seed)
        found = simulated(made, {"otherwise": {"by": "priority", "gateways": ["a"]}})
        assert found.success is not None
        assert found.unknown_share == 0
        inside += found.success_low <= _RATES["a"] <= found.success_high
        assert found.success_high - found.success_low < 0.08
    assert inside >= 18


def test_the_same_policy_repeats_the_past() -> None:
    made = past(_HALVES)
    same = {"otherwise": {"by": "weights", "weights": {"a": 1, "b": 1}}}
    found = simulated(made, same)
    assert found.success is not None
    assert found.past_success is not None
    assert abs(found.success - found.past_success) < 0.02
    assert found.chance_share == 1.0
    shares = {each.gateway: each for each in found.shares}
    assert (shares["a"].share, shares["b"].share) == (0.5, 0.5)
    assert shares["a"].past_count + shares["b"].past_count == 2_000


def test_of_a_gateway_that_nobody_was_sent_to_nothing_is_claimed() -> None:
    found = simulated(past(_HALVES), {"otherwise": {"by": "priority", "gateways": ["c"]}})
    assert (found.success, found.unknown_share, found.changed) == (None, 1.0, 2_000)
    assert (found.success_low, found.success_high) == (0.0, 1.0)
    assert len(found.changes) == 20
    assert {each.to for each in found.changes} == {"c"}


def test_what_is_partly_unknown_widens_the_bounds() -> None:
    document = {"otherwise": {"by": "weights", "weights": {"a": 9, "c": 1}}}
    found = simulated(past(_HALVES), document)
    assert abs(found.unknown_share - 0.1) < 1e-9
    assert found.success_high - found.success_low >= 0.1
    assert found.success_low <= 0.9 * _RATES["a"] + 0.1 * _RATES["c"] <= found.success_high


def test_payments_that_no_gateway_takes_fail() -> None:
    found = simulated(past(_HALVES), {"exclude": ["a", "b", "c"]})
    assert (found.untakeable, found.success_high, found.unknown_share) == (2_000, 0.0, 0.0)


def test_costs_are_whole_and_say_what_they_leave_out() -> None:
    made = [
        PastPayment(facts=facts(f"pay_{n}", amount_minor=1_000), gateway="b", succeeded=True)
        for n in range(10)
    ]
    fees = [{"gateway": "a", "basisPoints": 100}, {"gateway": "b", "basisPoints": 250}]
    cheapest = {"otherwise": {"by": "cost"}, "fees": fees}
    (line,) = simulated(made, cheapest).costs
    assert (line.currency, line.past_minor, line.minor, line.unknown_share) == ("EUR", 250, 100, 0)
    halves = {"otherwise": {"by": "weights", "weights": {"a": 1, "b": 1}}, "fees": fees}
    assert simulated(made, halves).costs[0].minor == 175
    (blind,) = simulated(made, {"otherwise": {"by": "priority", "gateways": ["c"]}}).costs
    assert (blind.past_minor, blind.minor, blind.unknown_share) == (0, 0, 1.0)


def test_open_outcomes_count_for_nothing() -> None:
    made = [PastPayment(facts=facts(f"pay_{n}"), gateway="a", succeeded=None) for n in range(50)]
    found = simulated(made, {})
    assert (found.past_success, found.success, found.changed) == (None, None, 0)


def test_nothing_at_all_is_a_report_too() -> None:
    found = simulated([], {})
    assert (found.payments, found.success, found.shares, found.costs) == (0, None, (), ())


def test_success_rate_learns_from_the_past_as_it_goes() -> None:
    found = simulated(past(_HALVES), {"otherwise": {"by": "success"}})
    shares = {each.gateway: each.share for each in found.shares}
    assert shares["a"] > 0.8
    assert found.success is not None
    assert found.past_success is not None
    assert found.success > found.past_success + 0.05
