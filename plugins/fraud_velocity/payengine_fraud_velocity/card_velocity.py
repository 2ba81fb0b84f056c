"""Is one card used too often?"""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    velocity,
)

from payengine_fraud_velocity.bands import Bands, Scores, Threshold, judged

__all__ = ["CardVelocity", "CardVelocitySettings"]

_FEATURES = (velocity("card", "count", "1h"),)
(_IN_AN_HOUR,) = (feature.name for feature in _FEATURES)
_SCORES = Scores(low=0.02, review=0.3, challenge=0.5, block=0.8)
_NOTHING = RuleVerdict()


class CardVelocitySettings(Bands, frozen=True, kw_only=True):
    """Payments with the card in the last hour, the present one apart."""

    review_at: Threshold = 2
    challenge_at: Threshold = 4
    block_at: Threshold = 10


class CardVelocity:
    """Payments with one card within an hour."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="card_velocity",
            title="Card velocity",
            version="1.0.0",
            default_mode="live",
            settings=CardVelocitySettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """The card's payments of the last hour."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains without a card."""
        assert isinstance(settings, CardVelocitySettings)
        if context.card is None:
            return _NOTHING
        return judged(
            context.number(_IN_AN_HOUR),
            settings,
            reason="card_velocity",
            what="earlier payments with this card within an hour",
            scores=_SCORES,
        )
