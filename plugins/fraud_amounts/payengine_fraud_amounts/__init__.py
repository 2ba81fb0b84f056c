"""Is it too much, for whom, and compared with what? Four rules about amounts."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import FraudRule, hookimpl

from payengine_fraud_amounts.limits import AmountLimit, AmountLimits, AmountLimitsSettings
from payengine_fraud_amounts.new_account import NewAccountHighValue, NewAccountHighValueSettings
from payengine_fraud_amounts.step_up import StepUp, StepUpSettings
from payengine_fraud_amounts.unusual import UnusualAmount, UnusualAmountSettings

__all__ = [
    "AmountLimit",
    "AmountLimits",
    "AmountLimitsSettings",
    "NewAccountHighValue",
    "NewAccountHighValueSettings",
    "StepUp",
    "StepUpSettings",
    "UnusualAmount",
    "UnusualAmountSettings",
    "fraud_rules",
]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """What this plugin brings."""
    return [AmountLimits(), UnusualAmount(), NewAccountHighValue(), StepUp()]
