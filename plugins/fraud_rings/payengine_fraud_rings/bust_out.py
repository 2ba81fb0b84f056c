"""Does a seller sell much of a sudden and want to be gone with it?

At the payout: what is held can still be given back. A review holds it.
"""

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
    known_fraud,
    seen,
    velocity,
)

__all__ = ["SellerBustOut", "SellerBustOutSettings"]

_FEATURES = (
    seen("seller", "age"),
    velocity("seller", "sum", "7d"),
    velocity("seller", "sum", "30d"),
    velocity("seller", "count", "30d"),
    known_fraud("seller", "fraud", window="30d"),
)
_AGE_S, _WEEK, _MONTH, _COUNT, _FRAUD = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_DAY_S = 86_400
_WEEKS_OF_REST = 23 / 7

Minor = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class SellerBustOutSettings(PluginSettings, frozen=True, kw_only=True):
    """Which payouts are held; amounts are in minor units of the base currency.

    From `from_minor` on: of a seller whose first payment is less than `new_days` days old; of one
    who sold `times` as much in the last week as in a usual week of the month before; and of one
    with known fraud in `fraud_percent` of the month's payments, at least two.
    """

    from_minor: Minor = 50_000
    new_days: Annotated[int, msgspec.Meta(ge=0, le=3_650)] = 14
    times: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 5
    fraud_percent: Percent = 2


class SellerBustOut:
    """Holds payouts of sellers that sell much of a sudden."""

    def describe(self) -> RuleManifest:
        """What it is; at its worst a payout waits for a person."""
        return RuleManifest(
            name="seller_bust_out",
            title="Seller bust-out",
            version="1.0.0",
            stages=("payout",),
            default_mode="live",
            on_error="review",
            settings=SellerBustOutSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """The seller's age, week, month and known fraud."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains without a seller."""
        assert isinstance(settings, SellerBustOutSettings)
        if context.seller is None:
            return _NOTHING
        if context.base_minor < settings.from_minor:
            return _FINE
        fraud, count = context.number(_FRAUD), context.number(_COUNT)
        if fraud >= 2 and fraud * 100 >= settings.fraud_percent * count:
            return _held("seller_fraud", f"{fraud:g} known frauds within 30 days", 0.7)
        if context.number(_AGE_S) < settings.new_days * _DAY_S:
            return _held("new_seller", "a high payout to a new seller", 0.2)
        week = context.number(_WEEK)
        usual = (context.number(_MONTH) - week) / _WEEKS_OF_REST
        if week >= settings.from_minor and week >= settings.times * usual:
            return _held("seller_bust_out", "sales rose of a sudden", 0.4)
        return _FINE


def _held(reason: str, detail: str, score: float) -> RuleVerdict:
    return RuleVerdict(verdict="review", reason=reason, detail=detail, score=score)
