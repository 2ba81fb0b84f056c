"""Has this been declined again and again?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import msgspec
from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    velocity,
)

from payengine_fraud_velocity.bands import Bands, Counted, Scores, Threshold, Whose, judged, most

__all__ = ["DeclineStreak", "DeclineStreakSettings"]

_SCORES = Scores(low=0.4, review=0.7, challenge=0.85, block=0.97)
_NOTHING = RuleVerdict()


class DeclineStreakSettings(Bands, frozen=True, kw_only=True):
    """Declined payments within an hour on one device, with one card, of one customer or address.

    The largest of the counts decides. Many people share an IP address: its count is divided by
    `people_per_ip`. Where devices are not told, count for `customer` and `ip`.
    """

    of: Annotated[tuple[Whose, ...], msgspec.Meta(min_length=1, max_length=4)] = ("device", "card")
    review_at: Threshold = 2
    challenge_at: Threshold = 3
    block_at: Threshold = 5
    people_per_ip: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 2


class DeclineStreak:
    """Declines within an hour."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="decline_streak",
            title="Decline streak",
            version="1.0.0",
            default_mode="live",
            settings=DeclineStreakSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """One count for each of `of`."""
        assert isinstance(settings, DeclineStreakSettings)
        return [counted.feature for counted in _counted(settings.of)]

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where nobody is known for whom it counts."""
        assert isinstance(settings, DeclineStreakSettings)
        count = most(context, _counted(settings.of), people_per_ip=settings.people_per_ip)
        if count is None:
            return _NOTHING
        return judged(
            count,
            settings,
            reason="decline_streak",
            what="declined payments within an hour",
            scores=_SCORES,
        )


@lru_cache(maxsize=100)
def _counted(of: tuple[Whose, ...]) -> tuple[Counted, ...]:
    features = {whose: velocity(whose, "count", "1h", where="declined") for whose in of}
    return tuple(Counted(whose, feature, feature.name) for whose, feature in features.items())
