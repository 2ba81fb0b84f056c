"""Is what happens too often noticed, and nothing else?"""

from __future__ import annotations

from typing import Any

import pytest
from payengine.plugin import FraudContext, PluginSettings, RuleVerdict
from payengine.testing import RuleCase, RuleContract, RuleSample, sample_context
from payengine_fraud_velocity import (
    CardTesting,
    CardTestingSettings,
    CardVelocity,
    CardVelocitySettings,
    DeclineStreak,
    DeclineStreakSettings,
    SmallAmounts,
    SmallAmountsSettings,
    fraud_rules,
)


def _with(features: dict[str, Any], **fields: Any) -> FraudContext:
    return sample_context(features=features, **fields)


class TestCardVelocity(RuleContract):
    def case(self) -> RuleCase:
        return RuleCase(
            rule=CardVelocity(),
            samples=[
                RuleSample(context=_with({"card.count.1h": 0}), verdict="allow"),
                RuleSample(context=_with({"card.count.1h": 1}), verdict="allow"),
                RuleSample(context=_with({"card.count.1h": 2}), verdict="review"),
                RuleSample(context=_with({"card.count.1h": 4}), verdict="challenge"),
                RuleSample(
                    context=_with({"card.count.1h": 10}), verdict="block", reason="card_velocity"
                ),
                RuleSample(context=_with({"card.count.1h": 10}, card=None), verdict="abstain"),
            ],
        )


class TestCardTesting(RuleContract):
    def case(self) -> RuleCase:
        return RuleCase(
            rule=CardTesting(),
            settings=CardTestingSettings(of=("device", "customer", "ip")),
            samples=[
                RuleSample(context=_with({"device.distinct.card.1h": 1}), verdict="allow"),
                RuleSample(context=_with({"device.distinct.card.1h": 2}), verdict="review"),
                RuleSample(context=_with({"customer.distinct.card.1h": 3}), verdict="challenge"),
                RuleSample(context=_with({"ip.distinct.card.1h": 3}), verdict="allow"),
                RuleSample(
                    context=_with({"ip.distinct.card.1h": 10}),
                    verdict="block",
                    reason="card_testing",
                ),
                RuleSample(
                    context=_with({}, device=None, ip=None, customer=None), verdict="abstain"
                ),
            ],
        )


class TestDeclineStreak(RuleContract):
    def case(self) -> RuleCase:
        return RuleCase(
            rule=DeclineStreak(),
            settings=DeclineStreakSettings(of=("device", "card", "customer", "ip")),
            samples=[
                RuleSample(context=_with({"card.count.1h.declined": 1}), verdict="allow"),
                RuleSample(context=_with({"card.count.1h.declined": 2}), verdict="review"),
                RuleSample(context=_with({"device.count.1h.declined": 3}), verdict="challenge"),
                RuleSample(context=_with({"customer.count.1h.declined": 5}), verdict="block"),
                RuleSample(context=_with({"ip.count.1h.declined": 4}), verdict="review"),
            ],
        )


class TestSmallAmounts(RuleContract):
    def case(self) -> RuleCase:
        at_seller = {"seller.count.1h.small500": 5, "seller.count.1h": 8}
        return RuleCase(
            rule=SmallAmounts(),
            samples=[
                RuleSample(
                    context=_with({"device.count.1h.small500": 6}, base_minor=500),
                    verdict="block",
                    reason="small_amounts",
                ),
                RuleSample(
                    context=_with({"device.count.1h.small500": 6}, base_minor=501), verdict="allow"
                ),
                RuleSample(
                    context=_with(at_seller, base_minor=100),
                    verdict="challenge",
                    reason="small_amounts_at_seller",
                ),
                RuleSample(
                    context=_with({**at_seller, "seller.count.1h": 11}, base_minor=100),
                    verdict="allow",
                ),
                RuleSample(context=_with({}, device=None, seller=None), verdict="abstain"),
            ],
        )


@pytest.mark.parametrize(
    ("settings", "feature", "expected"),
    [
        (CardVelocitySettings(block_at=0), "card.count.1h", "challenge"),
        (CardVelocitySettings(review_at=0, challenge_at=0, block_at=0), "card.count.1h", "allow"),
        (CardTestingSettings(of=("ip",), people_per_ip=50), "ip.distinct.card.1h", "review"),
        (DeclineStreakSettings(block_at=100), "device.count.1h.declined", "block"),
    ],
)
def test_thresholds_are_the_tenants_own(
    settings: PluginSettings, feature: str, expected: str
) -> None:
    rules = {type(rule.describe().settings()): rule for rule in fraud_rules()}
    rule = rules[type(settings)]
    verdict = rule.evaluate(_with({feature: 100}), settings)
    assert verdict.verdict == expected


def test_what_is_small_is_the_tenants_own() -> None:
    settings = SmallAmountsSettings(below_minor=2_000)
    names = {feature.name for feature in SmallAmounts().features(settings)}
    assert {"device.count.1h.small2000", "seller.count.1h.small2000"} < names
    context = _with({"device.count.1h.small2000": 9}, base_minor=2_000)
    assert SmallAmounts().evaluate(context, settings).verdict == "block"


def test_more_is_never_worth_less() -> None:
    def scores(counts: range) -> list[float]:
        verdicts: list[RuleVerdict] = [
            DeclineStreak().evaluate(
                _with({"device.count.1h.declined": count}), DeclineStreakSettings()
            )
            for count in counts
        ]
        return [verdict.score or 0 for verdict in verdicts]

    found = scores(range(20))
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] > 0.9


def test_only_what_is_counted_is_read() -> None:
    names = [feature.name for feature in CardTesting().features(CardTestingSettings())]
    assert names == ["device.distinct.card.1h"]
    by_address = DeclineStreakSettings(of=("ip", "ip"))
    names = [feature.name for feature in DeclineStreak().features(by_address)]
    assert names == ["ip.count.1h.declined"]
    context = _with({"device.count.1h.declined": 50})
    assert DeclineStreak().evaluate(context, by_address).verdict == "allow"
    unknown = _with({}, ip=None)
    assert DeclineStreak().evaluate(unknown, by_address).verdict == "abstain"
