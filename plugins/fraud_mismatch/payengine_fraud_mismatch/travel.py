"""Could this customer have come here since the last payment?"""

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
    seen,
)

from payengine_fraud_mismatch.countries import kilometres

__all__ = ["ImpossibleTravel", "ImpossibleTravelSettings"]

_FEATURES = (seen("customer", "previous", of="ip_country"), seen("customer", "gap"))
_BEFORE, _GAP_S = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")


class ImpossibleTravelSettings(PluginSettings, frozen=True, kw_only=True):
    """Faster than `most_kmh` between the middles of two countries at least `least_km` apart.

    Neighbours share borders, and their middles say little: hence the least distance.
    """

    most_kmh: Annotated[int, msgspec.Meta(ge=50, le=100_000)] = 900
    least_km: Annotated[int, msgspec.Meta(ge=0, le=20_000)] = 1_500


class ImpossibleTravel:
    """Two payments of a customer from countries too far apart for the time between them."""

    def describe(self) -> RuleManifest:
        """What it is; off until a tenant wants it, since whoever uses a proxy travels like this."""
        return RuleManifest(
            name="impossible_travel",
            title="Impossible travel",
            version="1.0.0",
            default_mode="off",
            settings=ImpossibleTravelSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """Where the customer was, and how long ago."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where either country or the time between is unknown."""
        assert isinstance(settings, ImpossibleTravelSettings)
        here, before = context.ip_country, context.features.get(_BEFORE)
        gap_s = context.features.get(_GAP_S)
        if here is None or not isinstance(before, str) or not isinstance(gap_s, (int, float)):
            return _NOTHING
        if here == before:
            return _FINE
        way_km = kilometres(here, before)
        if way_km is None:
            return _NOTHING
        if way_km < settings.least_km or way_km * 3_600 <= settings.most_kmh * gap_s:
            return _FINE
        return RuleVerdict(
            verdict="challenge",
            reason="impossible_travel",
            detail=f"about {way_km:.0f} km in {max(gap_s, 0) / 3_600:.1f} hours",
            score=0.2,
        )
