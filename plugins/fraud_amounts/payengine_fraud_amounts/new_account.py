"""Does somebody who came only now buy much?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleManifest, RuleVerdict

__all__ = ["NewAccountHighValue", "NewAccountHighValueSettings"]

_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_YOUNG = RuleVerdict(verdict="allow", score=0.03)
_NEW = RuleVerdict(verdict="allow", score=0.1)
_YOUNG_HIGH = RuleVerdict(
    verdict="allow", reason="young_account_high_value", detail="a young account", score=0.1
)
_HIGH = RuleVerdict(
    verdict="review", reason="new_account_high_value", detail="much for a new account", score=0.3
)
_VERY_HIGH = RuleVerdict(
    verdict="challenge",
    reason="new_account_high_value",
    detail="very much for a new account",
    score=0.4,
)

Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
Minor = Annotated[int, msgspec.Meta(ge=0, le=10**15)]


class NewAccountHighValueSettings(PluginSettings, frozen=True, kw_only=True):
    """An account is new up to `new_days`, and young up to `young_days`.

    What a new one pays from `high_minor` of the base currency on is reviewed, from
    `very_high_minor` on challenged.
    """

    new_days: Days = 3
    young_days: Days = 30
    high_minor: Minor = 5_000
    very_high_minor: Minor = 15_000


class NewAccountHighValue:
    """High amounts of new accounts."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="new_account_high_value",
            title="New account, high value",
            version="1.0.0",
            default_mode="live",
            settings=NewAccountHighValueSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """None."""
        return ()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where the account's age is unknown."""
        assert isinstance(settings, NewAccountHighValueSettings)
        age = context.account_age_days
        if age is None:
            return _NOTHING
        if age > settings.young_days:
            return _FINE
        amount = context.base_minor
        if age > settings.new_days:
            return _YOUNG_HIGH if amount >= settings.high_minor else _YOUNG
        if amount >= settings.very_high_minor:
            return _VERY_HIGH
        return _HIGH if amount >= settings.high_minor else _NEW
