"""Are rings, known fraud, sellers in a hurry and greedy refunds noticed?"""

from __future__ import annotations

from typing import Any

from payengine.testing import RuleCase, RuleContract, RuleSample, sample_context
from payengine_fraud_rings import (
    DeviceRing,
    LinkedFraud,
    LinkedFraudSettings,
    RefundAbuse,
    RefundAbuseSettings,
    SellerBustOut,
    SellerBustOutSettings,
)


def _with(features: dict[str, Any], **fields: Any) -> Any:
    return sample_context(features=features, **fields)


class TestDeviceRing(RuleContract):
    def case(self) -> RuleCase:
        def shared(count: int) -> Any:
            return _with({"device.distinct.customer.30d": count})

        return RuleCase(
            rule=DeviceRing(),
            samples=[
                RuleSample(context=shared(2), verdict="allow"),
                RuleSample(context=shared(3), verdict="review"),
                RuleSample(context=shared(4), verdict="challenge"),
                RuleSample(context=shared(8), verdict="block", reason="device_ring"),
                RuleSample(context=_with({}, device=None), verdict="abstain"),
            ],
        )


class TestLinkedFraud(RuleContract):
    def case(self) -> RuleCase:
        return RuleCase(
            rule=LinkedFraud(),
            samples=[
                RuleSample(context=_with({}), verdict="allow"),
                RuleSample(
                    context=_with({"card.fraud.180d": 1}), verdict="block", reason="fraud_on_card"
                ),
                RuleSample(context=_with({"device.fraud.180d": 1}), verdict="review"),
                RuleSample(
                    context=_with({"customer.fraud.180d": 2}),
                    verdict="challenge",
                    reason="linked_fraud",
                ),
                RuleSample(
                    context=_with({}, card=None, device=None, customer=None), verdict="abstain"
                ),
            ],
        )


class TestSellerBustOut(RuleContract):
    def case(self) -> RuleCase:
        calm = {
            "seller.age": 90 * 86_400.0,
            "seller.sum.7d": 100_000,
            "seller.sum.30d": 400_000,
            "seller.count.30d": 200,
            "seller.fraud.30d": 0,
        }

        def wants(minor: int, **changed: Any) -> Any:
            features = calm | {f"seller.{key}": value for key, value in changed.items()}
            return _with(features, stage="payout", base_minor=minor)

        return RuleCase(
            rule=SellerBustOut(),
            samples=[
                RuleSample(context=wants(100_000), verdict="allow"),
                RuleSample(
                    context=wants(100_000, **{"sum.7d": 300_000}),
                    verdict="review",
                    reason="seller_bust_out",
                ),
                RuleSample(
                    context=wants(100_000, age=13 * 86_400.0), verdict="review", reason="new_seller"
                ),
                RuleSample(
                    context=wants(100_000, **{"fraud.30d": 4}),
                    verdict="review",
                    reason="seller_fraud",
                ),
                RuleSample(context=wants(100_000, **{"fraud.30d": 3}), verdict="allow"),
                RuleSample(context=wants(49_999, age=0.0), verdict="allow"),
                RuleSample(context=_with({}, stage="payout", seller=None), verdict="abstain"),
            ],
        )


class TestRefundAbuse(RuleContract):
    def case(self) -> RuleCase:
        known = {"customer.age": 90 * 86_400.0, "customer.count.30d": 4}

        def asked(minor: int, **features: Any) -> Any:
            return _with({**known, **features}, stage="refund", base_minor=minor)

        return RuleCase(
            rule=RefundAbuse(),
            settings=RefundAbuseSettings(high_minor=20_000),
            samples=[
                RuleSample(context=asked(20_000), verdict="allow"),
                RuleSample(
                    context=asked(100, **{"customer.fraud.180d": 1}),
                    verdict="review",
                    reason="refund_after_dispute",
                ),
                RuleSample(
                    context=asked(20_000, **{"customer.age": 86_400.0}),
                    verdict="review",
                    reason="refund_to_new_customer",
                ),
                RuleSample(context=asked(19_999, **{"customer.age": 86_400.0}), verdict="allow"),
                RuleSample(
                    context=_with({}, stage="refund", customer=None, card=None), verdict="abstain"
                ),
            ],
        )


def test_seller_with_fraud_is_held_even_where_the_rule_fails() -> None:
    assert SellerBustOut().describe().on_error == "review"
    settings = SellerBustOutSettings(from_minor=0)
    context = _with({"seller.fraud.30d": 2}, stage="payout", base_minor=1)
    assert SellerBustOut().evaluate(context, settings).verdict == "review"


def test_what_fraud_on_a_card_means_is_the_tenants_own() -> None:
    settings = LinkedFraudSettings(on_card="challenge", challenge_at=0, review_at=0)
    assert LinkedFraud().evaluate(_with({"card.fraud.180d": 9}), settings).verdict == "challenge"
    assert LinkedFraud().evaluate(_with({"device.fraud.180d": 9}), settings).verdict == "allow"


def test_where_nothing_is_high_new_customers_are_refunded() -> None:
    context = sample_context(
        stage="refund", customer="new", base_minor=10**9, features={"customer.age": 0.0}
    )
    assert RefundAbuse().evaluate(context, RefundAbuseSettings()).verdict == "allow"
