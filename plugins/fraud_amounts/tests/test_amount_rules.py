"""Are amounts judged by what the tenant set, by the buyer's age and by the card's own past?"""

from __future__ import annotations

from typing import Any

import pytest
from payengine.errors import PluginSettingsInvalid
from payengine.plugin import parse_settings
from payengine.testing import RuleCase, RuleContract, RuleSample, sample_context
from payengine_fraud_amounts import (
    AmountLimit,
    AmountLimits,
    AmountLimitsSettings,
    NewAccountHighValue,
    StepUp,
    StepUpSettings,
    UnusualAmount,
)


def _of(minor: int, **fields: Any) -> Any:
    return sample_context(amount_minor=minor, base_minor=minor, **fields)


class TestAmountLimits(RuleContract):
    def case(self) -> RuleCase:
        limits = (
            AmountLimit(currency="EUR", above_minor=100_000),
            AmountLimit(currency="EUR", above_minor=20_000, younger_than_days=30, then="block"),
            AmountLimit(currency="USD", above_minor=0, then="challenge"),
        )
        return RuleCase(
            rule=AmountLimits(),
            settings=AmountLimitsSettings(limits=limits),
            samples=[
                RuleSample(context=_of(100_000), verdict="allow"),
                RuleSample(context=_of(100_001), verdict="review", reason="amount_limit"),
                RuleSample(context=_of(20_001, account_age_days=29), verdict="block"),
                RuleSample(context=_of(20_001, account_age_days=30), verdict="allow"),
                RuleSample(context=_of(20_001, account_age_days=None), verdict="block"),
                RuleSample(context=_of(1, currency="USD"), verdict="challenge"),
                RuleSample(context=_of(10**12, currency="JPY"), verdict="abstain"),
            ],
        )


class TestUnusualAmount(RuleContract):
    def case(self) -> RuleCase:
        past = {"card.median.last20": 1_000.0, "card.count.last20": 3}
        return RuleCase(
            rule=UnusualAmount(),
            samples=[
                RuleSample(context=_of(7_999, features=past), verdict="allow"),
                RuleSample(context=_of(8_000, features=past), verdict="review"),
                RuleSample(
                    context=_of(5_000, features={**past, "card.median.last20": 10.0}),
                    verdict="allow",
                ),
                RuleSample(
                    context=_of(8_000, features={**past, "card.count.last20": 2}),
                    verdict="abstain",
                ),
            ],
        )


class TestNewAccountHighValue(RuleContract):
    def case(self) -> RuleCase:
        return RuleCase(
            rule=NewAccountHighValue(),
            samples=[
                RuleSample(context=_of(4_999, account_age_days=0), verdict="allow"),
                RuleSample(context=_of(5_000, account_age_days=3), verdict="review"),
                RuleSample(context=_of(15_000, account_age_days=3), verdict="challenge"),
                RuleSample(context=_of(15_000, account_age_days=4), verdict="allow"),
                RuleSample(context=_of(15_000, account_age_days=None), verdict="abstain"),
            ],
        )


class TestStepUp(RuleContract):
    def case(self) -> RuleCase:
        return RuleCase(
            rule=StepUp(),
            settings=StepUpSettings(above_minor=50_000, risky_above_minor=3_000),
            samples=[
                RuleSample(context=_of(50_000), verdict="challenge", reason="step_up_amount"),
                RuleSample(context=_of(49_999), verdict="allow"),
                RuleSample(
                    context=_of(3_000, ip_country="BR"), verdict="challenge", reason="step_up_risk"
                ),
                RuleSample(context=_of(3_000, account_age_days=2), verdict="challenge"),
                RuleSample(context=_of(2_999, account_age_days=2), verdict="allow"),
                RuleSample(context=_of(50_000, off_session=True), verdict="abstain"),
            ],
        )


def test_step_up_does_nothing_until_it_is_set() -> None:
    context = _of(10**9, account_age_days=0, ip_country="BR")
    assert StepUp().evaluate(context, StepUpSettings()).verdict == "abstain"


@pytest.mark.parametrize("limit", [{"currency": "euro", "above_minor": 1}, {"currency": "EUR"}])
def test_limit_that_says_nothing_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(PluginSettingsInvalid) as refused:
        parse_settings(AmountLimitsSettings, {"limits": [limit]})
    assert refused.value.path[:2] == ("limits", "0")
