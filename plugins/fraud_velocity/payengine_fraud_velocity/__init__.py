"""Does it happen too often? Four rules that count what came within an hour."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import FraudRule, hookimpl

from payengine_fraud_velocity.card_testing import CardTesting, CardTestingSettings
from payengine_fraud_velocity.card_velocity import CardVelocity, CardVelocitySettings
from payengine_fraud_velocity.decline_streak import DeclineStreak, DeclineStreakSettings
from payengine_fraud_velocity.small_amounts import SmallAmounts, SmallAmountsSettings

__all__ = [
    "CardTesting",
    "CardTestingSettings",
    "CardVelocity",
    "CardVelocitySettings",
    "DeclineStreak",
    "DeclineStreakSettings",
    "SmallAmounts",
    "SmallAmountsSettings",
    "fraud_rules",
]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """What this plugin brings."""
    return [CardVelocity(), CardTesting(), DeclineStreak(), SmallAmounts()]
