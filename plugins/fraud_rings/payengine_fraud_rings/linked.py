"""Is it linked to fraud that is known by now?

By the instant at which a label became known, never by that of its payment: what nobody knew
cannot have counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    known_fraud,
)

__all__ = ["LinkedFraud", "LinkedFraudSettings"]

_FEATURES = (
    known_fraud("card", "fraud", window="180d"),
    known_fraud("device", "fraud", window="180d"),
    known_fraud("customer", "fraud", window="180d"),
)
_OF_CARD, _ON_DEVICE, _OF_CUSTOMER = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")

#: A number of payments; 0 for never.
Threshold = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class LinkedFraudSettings(PluginSettings, frozen=True, kw_only=True):
    """What fraud on the same card means, and from how many on what others mean.

    On a device or of a customer, fraud of the last 180 days is reviewed from `review_at` on and
    challenged from `challenge_at` on.
    """

    on_card: Literal["allow", "review", "challenge", "block"] = "block"
    review_at: Threshold = 1
    challenge_at: Threshold = 2


class LinkedFraud:
    """Known fraud with this card, on this device or of this customer."""

    def describe(self) -> RuleManifest:
        """What it is; off until a tenant wants it, for what it reads of the past."""
        return RuleManifest(
            name="linked_fraud",
            title="Known fraud nearby",
            version="1.0.0",
            default_mode="off",
            settings=LinkedFraudSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """Known fraud of card, device and customer."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where neither card, device nor customer is known."""
        assert isinstance(settings, LinkedFraudSettings)
        if context.card is None and context.device is None and context.customer is None:
            return _NOTHING
        if context.number(_OF_CARD) >= 1:
            return RuleVerdict(
                verdict=settings.on_card,
                reason="fraud_on_card",
                detail="this card has been used for fraud",
                score=0.9,
            )
        near = max(context.number(_ON_DEVICE), context.number(_OF_CUSTOMER))
        if settings.challenge_at and near >= settings.challenge_at:
            return RuleVerdict(
                verdict="challenge",
                reason="linked_fraud",
                detail=f"{near:g} known frauds of this customer or on this device",
                score=0.8,
            )
        if settings.review_at and near >= settings.review_at:
            return RuleVerdict(
                verdict="review",
                reason="linked_fraud",
                detail=f"{near:g} known frauds of this customer or on this device",
                score=0.5,
            )
        return _FINE
