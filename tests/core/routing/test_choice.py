"""Is the order of gateways the policy's, and does it explain itself?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.plugin import supports
from payengine.routing import Candidate, Choice, Health, Segment, choose, parse_policy
from payengine.routing.rates import WHOLE

from tests.core.routing.cases import candidate, candidates, facts

_CURRENCIES = ("EUR", "JPY", "USD")
_METHODS = ("card", "wallet")
_HEALTH: tuple[Health, ...] = ("closed", "half_open", "open")


def decided(names: str | list[Candidate], policy: dict[str, Any], **given: Any) -> Choice:
    """What the policy makes of these gateways."""
    found = choose(
        candidates(names) if isinstance(names, str) else names,
        facts(**given),
        policy=parse_policy(policy),
    )
    assert found is not None
    return found


def test_without_a_policy_the_gateways_come_by_name_and_say_why_others_do_not() -> None:
    found = choose(
        [
            candidate("d"),
            candidate("c"),
            candidate("b", methods=("wallet",)),
            candidate("a", currencies=("USD",)),
            candidate("e", countries=("FR",)),
        ],
        facts(country="DE"),
    )
    assert found is not None
    assert found.gateways == ("c", "d")
    assert found.explanation["rule"] == "default"
    assert found.explanation["passed_over"] == {"a": "currency", "b": "method", "e": "country"}


def test_where_none_takes_it_none_is_chosen() -> None:
    assert choose([], facts()) is None
    assert choose([candidate("a")], facts(method="wallet")) is None
    policy = parse_policy({"exclude": ["a"]})
    assert choose([candidate("a")], facts(), policy=policy) is None


def test_the_first_rule_that_fits_decides() -> None:
    rules = [
        {
            "name": "large",
            "when": {"currencies": ["EUR"], "amountFromMinor": 500, "amountToMinor": 1_000},
            "then": {"by": "priority", "gateways": ["c"]},
            "exclude": ["b"],
        },
        {"name": "cards", "when": {"methods": ["card"]}, "then": {"by": "priority"}},
    ]
    policy = {"rules": rules, "otherwise": {"by": "priority", "gateways": ["b"]}}
    assert decided("abc", policy).gateways == ("c", "a")
    assert decided("abc", policy, amount_minor=1_001).gateways == ("a", "b", "c")
    found = decided("abc", policy, amount_minor=1_000)
    assert (found.explanation["rule"], found.explanation["passed_over"]) == (
        "large",
        {"b": "excluded"},
    )
    wallets = [candidate(name, methods=("wallet",)) for name in "abc"]
    assert decided(wallets, policy, method="wallet", amount_minor=1).gateways == ("b", "a", "c")


def test_priority_may_be_only_these() -> None:
    policy = {"otherwise": {"by": "priority", "gateways": ["c", "a"], "only": True}}
    assert decided("abc", policy).gateways == ("c", "a")


def test_a_gateway_whose_breaker_is_open_comes_last() -> None:
    gateways = [candidate("a", health="open"), candidate("b", health="half_open"), candidate("c")]
    found = choose(gateways, facts())
    assert found is not None
    assert found.gateways == ("b", "c", "a")
    assert found.explanation["breaker_open"] == ["a"]
    resting = choose([candidate("b", health="open"), candidate("a", health="open")], facts())
    assert resting is not None
    assert resting.gateways == ("a", "b")


def test_weights_are_shares_and_one_payment_always_goes_the_same_way() -> None:
    policy = {"otherwise": {"by": "weights", "weights": {"a": 70, "b": 30, "c": 0}}}
    first = Counter(decided("abc", policy, payment_id=f"pay_{n}").gateway for n in range(4_000))
    assert first["c"] == 0
    assert 2_700 < first["a"] < 2_900  # 2,800 and three standard deviations of 29
    again = [decided("abc", policy, payment_id="pay_7").gateways for _ in range(3)]
    assert len(set(again)) == 1
    assert decided("abc", policy).odds == {"a": 700_000, "b": 300_000}
    assert decided("abc", policy).gateways[-1] == "c"


def test_weights_of_gateways_that_cannot_take_it_fall_to_the_others() -> None:
    policy = {"otherwise": {"by": "weights", "weights": {"a": 70, "b": 30}}}
    assert decided("bc", policy).odds == {"b": WHOLE}
    assert decided("cd", policy).gateways == ("c", "d")


def test_a_gateway_more_moves_few_payments() -> None:
    before = {"otherwise": {"by": "weights", "weights": {"a": 1, "b": 1}}}
    after = {"otherwise": {"by": "weights", "weights": {"a": 1, "b": 1, "c": 1}}}
    for n in range(300):
        old = decided("abc", before, payment_id=f"pay_{n}").gateway
        new = decided("abc", after, payment_id=f"pay_{n}").gateway
        assert new in (old, "c")


@pytest.mark.parametrize(("amount", "order"), [(1_000, ("b", "a", "c")), (5_000, ("a", "b", "c"))])
def test_least_cost_reckons_with_the_amount(amount: int, order: tuple[str, ...]) -> None:
    fees = [
        {"gateway": "a", "basisPoints": 100, "fixedMinor": 30, "currency": "EUR"},
        {"gateway": "b", "basisPoints": 200, "fixedMinor": 0},
    ]
    policy = {"otherwise": {"by": "cost"}, "fees": fees}
    found = decided("abc", policy, amount_minor=amount)
    assert found.gateways == order
    assert found.explanation["costs"] == {"a": 30 + amount // 100, "b": amount // 50}


def test_success_rate_asks_the_segment_that_it_is_given() -> None:
    segment = Segment()
    for _ in range(30):
        segment.tell("a", succeeded=False)
        segment.tell("b", succeeded=True)
    policy = parse_policy({"otherwise": {"by": "success", "explorePercent": 10}})
    first = Counter(
        found.gateway
        for n in range(2_000)
        if (
            found := choose(
                candidates("ab"), facts(f"pay_{n}"), policy=policy, segment=lambda: segment
            )
        )
    )
    assert 140 < first["a"] < 260
    assert found is not None
    assert found.odds == {"b": 900_000, "a": 100_000}


_Candidates = st.lists(
    st.builds(
        candidate,
        st.text("abcdef", min_size=1, max_size=3),
        currencies=st.lists(st.sampled_from(_CURRENCIES), max_size=2).map(tuple),
        methods=st.lists(st.sampled_from(_METHODS), min_size=1, max_size=2).map(tuple),
        health=st.sampled_from(_HEALTH),
    ),
    max_size=6,
    unique_by=lambda each: each.name,
)
_Actions = st.sampled_from(
    [
        {"by": "priority", "gateways": ["b", "a"]},
        {"by": "weights", "weights": {"a": 3, "b": 1, "abc": 0}},
        {"by": "cost"},
        {"by": "success"},
    ]
)


@given(_Candidates, st.sampled_from(_CURRENCIES), st.sampled_from(_METHODS), _Actions)
def test_all_that_can_take_it_are_named_once_whatever_their_order(
    gateways: list[Candidate], currency: str, method: str, action: dict[str, Any]
) -> None:
    policy = parse_policy({"otherwise": action})
    able = {c.name for c in gateways if supports(c.manifest, currency=currency, method=method)}
    payment = facts(currency=currency, method=method)
    found = choose(gateways, payment, policy=policy)
    assert sorted(found.gateways if found else ()) == sorted(able)
    if found:
        assert sum(found.odds.values()) == WHOLE
        assert found.odds.get(found.gateway, 0) > 0
    gateways.reverse()
    assert choose(gateways, payment, policy=policy) == found
