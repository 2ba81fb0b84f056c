"""Is it much more than this card usually pays?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    recent,
)

__all__ = ["UnusualAmount", "UnusualAmountSettings"]

_FEATURES = (recent("card", "median", last=20), recent("card", "count", last=20))
_MEDIAN, _COUNT = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")


class UnusualAmountSettings(PluginSettings, frozen=True, kw_only=True):
    """From `times` the median of the card's last twenty payments on, where it had `at_least`.

    Amounts up to `ignore_below_minor` of the base currency are never unusual.
    """

    times: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 8
    at_least: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    ignore_below_minor: Annotated[int, msgspec.Meta(ge=0, le=10**15)] = 5_000


class UnusualAmount:
    """The amount against the card's own median."""

    def describe(self) -> RuleManifest:
        """What it is; off until a tenant wants it, since honest buyers buy a sofa too."""
        return RuleManifest(
            name="unusual_amount",
            title="Unusual amount",
            version="1.0.0",
            default_mode="off",
            settings=UnusualAmountSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """The card's median, and of how many payments."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where the card has too little of a past."""
        assert isinstance(settings, UnusualAmountSettings)
        median = context.number(_MEDIAN)
        if median <= 0 or context.number(_COUNT) < settings.at_least:
            return _NOTHING
        amount = context.base_minor
        if amount <= settings.ignore_below_minor or amount < settings.times * median:
            return _FINE
        return RuleVerdict(
            verdict="review",
            reason="unusual_amount",
            detail=f"{amount / median:.0f} times what this card usually pays",
            score=0.05,
        )
