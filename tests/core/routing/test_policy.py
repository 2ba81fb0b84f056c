"""Is a policy read strictly, and is a refusal told with its place?"""

from __future__ import annotations

from typing import Any

import pytest
from payengine.errors import RoutingPolicyInvalid
from payengine.plugin import DECLINE_CODES
from payengine.routing import (
    DEFAULT_POLICY,
    Fallback,
    goes_on_after,
    parse_policy,
    policy_schema,
    spell_policy,
)

_RULE = {"name": "r", "then": {"by": "cost"}}


def _with(**when: Any) -> dict[str, Any]:
    return {"rules": [_RULE | {"when": when}]}


def test_a_policy_survives_being_spelled_out() -> None:
    document = {
        "rules": [
            {
                "name": "large euros",
                "when": {"currencies": ["EUR"], "amountFromMinor": 10_000, "cardRanges": ["4111"]},
                "then": {"by": "weights", "weights": {"a": 2, "b": 1}},
                "exclude": ["c"],
            }
        ],
        "otherwise": {"by": "success", "explorePercent": 10},
        "fees": [{"gateway": "a", "basisPoints": 140, "fixedMinor": 25, "currency": "EUR"}],
        "fallback": {"maxAttempts": 3, "declines": ["do_not_honor"], "unknown": "send_again"},
    }
    policy = parse_policy(document, gateways=("a", "b", "c"))
    assert parse_policy(spell_policy(policy)) == policy
    assert parse_policy({}) == DEFAULT_POLICY
    assert policy_schema()["$defs"].keys() >= {"Policy", "Rule", "When", "Weights"}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "policy"),
        ({"ruls": []}, "policy"),
        ({"rules": [{"name": "r", "then": {"by": "magic"}}]}, "policy.rules.0.then.by"),
        ({"rules": [_RULE, _RULE]}, "policy.rules.1.name"),
        ({"rules": [_RULE | {"name": ""}]}, "policy.rules.0.name"),
        ({"rules": [_RULE | {"name": f"r{n}"} for n in range(51)]}, "policy.rules"),
        (_with(currencies=["EURO"]), "policy.rules.0.when.currencies"),
        (_with(countries=["de"]), "policy.rules.0.when.countries"),
        (_with(methods=["CARD"]), "policy.rules.0.when.methods"),
        (_with(amountFromMinor=1), "policy.rules.0.when.currencies"),
        (_with(currencies=["EUR"], amountFromMinor=-1), "policy.rules.0.when.amountFromMinor"),
        (
            _with(currencies=["EUR"], amountFromMinor=2, amountToMinor=1),
            "policy.rules.0.when.amountToMinor",
        ),
        (_with(currencies=["EUR"], amountFromMinor=1.5), "policy.rules.0.when.amountFromMinor"),
        (_with(cardRanges=["4111111111111111"]), "policy.rules.0.when.cardRanges"),
        (_with(cardRanges=["4111-41"]), "policy.rules.0.when.cardRanges"),
        (_with(cardRanges=["5000-4000"]), "policy.rules.0.when.cardRanges"),
        (_with(metadata={"a": "4111111111111111"}), "policy.rules.0.when.metadata"),
        (_with(metadata={"a": 1}), "policy.rules.0.when.metadata...."),
        ({"otherwise": {"by": "priority", "gateways": ["z"]}}, "policy.otherwise.gateways"),
        ({"otherwise": {"by": "priority", "gateways": ["a", "a"]}}, "policy.otherwise.gateways"),
        ({"otherwise": {"by": "priority", "only": True}}, "policy.otherwise.gateways"),
        ({"otherwise": {"by": "weights", "weights": {"a": 0}}}, "policy.otherwise.weights"),
        ({"otherwise": {"by": "weights", "weights": {"a": -1}}}, "policy.otherwise.weights.a"),
        ({"otherwise": {"by": "success", "explorePercent": 11}}, "policy.otherwise.explorePercent"),
        ({"otherwise": {"by": "success", "explorePercent": 0}}, "policy.otherwise.explorePercent"),
        ({"exclude": ["z"]}, "policy.exclude"),
        ({"fees": [{"gateway": "a", "fixedMinor": 1}]}, "policy.fees.0.currency"),
        ({"fees": [{"gateway": "a", "basisPoints": 10_001}]}, "policy.fees.0.basisPoints"),
        ({"fallback": {"maxAttempts": 4}}, "policy.fallback.maxAttempts"),
        ({"fallback": {"maxAttempts": 0}}, "policy.fallback.maxAttempts"),
        ({"fallback": {"declines": ["nonsense"]}}, "policy.fallback.declines"),
        ({"fallback": {"declines": ["stolen_card"]}}, "policy.fallback.declines"),
        ({"fallback": {"declines": ["duplicate_transaction"]}}, "policy.fallback.declines"),
        ({"fallback": {"unknown": "hope"}}, "policy.fallback.unknown"),
        ({"exclude": ["\x00"]}, "policy"),
        ({"exclude": ["a" * 70_000]}, "policy"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(document: Any, path: str) -> None:
    with pytest.raises(RoutingPolicyInvalid) as refused:
        parse_policy(document, gateways=("a", "b", "c"))
    assert ".".join(refused.value.path) == path


def test_fallback_follows_the_codes_that_the_taxonomy_names() -> None:
    usual = {code for code in DECLINE_CODES if goes_on_after(Fallback(), code)}
    assert usual == {
        "do_not_honor",
        "generic_decline",
        "issuer_not_available",
        "processing_error",
        "reenter_transaction",
        "try_again_later",
    }
    wider = Fallback(declines=("insufficient_funds",))
    assert goes_on_after(wider, "insufficient_funds")
    assert not goes_on_after(wider, "do_not_honor")


@pytest.mark.parametrize("code", ["", "05", "processor_5200", "DO_NOT_HONOR"])
def test_fallback_never_follows_a_code_that_nobody_maps(code: str) -> None:
    assert not goes_on_after(Fallback(), code)
