"""Does somebody try one card after another?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    distinct,
)

from payengine_fraud_velocity.bands import Bands, Counted, Scores, Threshold, Whose, judged, most

__all__ = ["CardTesting", "CardTestingSettings"]

_SCORES = Scores(low=0.0, review=0.8, challenge=0.9, block=0.97)
_NOTHING = RuleVerdict()


class CardTestingSettings(Bands, frozen=True, kw_only=True):
    """Different cards within an hour on one device, of one customer or from one address.

    The largest of the counts decides. Many people share an IP address: its count is divided by
    `people_per_ip`. Where devices are not told, count for `customer` and `ip`.
    """

    of: Annotated[
        tuple[Literal["device", "customer", "ip"], ...], msgspec.Meta(min_length=1, max_length=4)
    ] = ("device",)
    review_at: Threshold = 2
    challenge_at: Threshold = 3
    block_at: Threshold = 5
    people_per_ip: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 2


class CardTesting:
    """Many cards on one device, from one address or of one customer."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="card_testing",
            title="Card testing",
            version="1.0.0",
            default_mode="live",
            settings=CardTestingSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """One count for each of `of`."""
        assert isinstance(settings, CardTestingSettings)
        return [counted.feature for counted in _counted(settings.of)]

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where nobody is known for whom it counts."""
        assert isinstance(settings, CardTestingSettings)
        count = most(context, _counted(settings.of), people_per_ip=settings.people_per_ip)
        if count is None:
            return _NOTHING
        return judged(
            count,
            settings,
            reason="card_testing",
            what="different cards within an hour",
            scores=_SCORES,
        )


@lru_cache(maxsize=100)
def _counted(of: tuple[Whose, ...]) -> tuple[Counted, ...]:
    features = {whose: distinct(whose, "card", "1h") for whose in of}
    return tuple(Counted(whose, feature, feature.name) for whose, feature in features.items())
