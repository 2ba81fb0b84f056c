"""Do many customers share one device?"""

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
    distinct,
)

__all__ = ["DeviceRing", "DeviceRingSettings"]

_FEATURES = (distinct("device", "customer", "30d"),)
(_CUSTOMERS,) = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_TWO = RuleVerdict(verdict="allow", reason="device_ring", score=0.02)

#: A number of customers; 0 for never.
Threshold = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class DeviceRingSettings(PluginSettings, frozen=True, kw_only=True):
    """Different customers on the device within 30 days; a family has a few."""

    review_at: Threshold = 3
    challenge_at: Threshold = 4
    block_at: Threshold = 8


class DeviceRing:
    """A device that many customers use."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="device_ring",
            title="Shared device ring",
            version="1.0.0",
            default_mode="live",
            settings=DeviceRingSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """The device's customers."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains without a device."""
        assert isinstance(settings, DeviceRingSettings)
        if context.device is None:
            return _NOTHING
        count = context.number(_CUSTOMERS)
        if settings.block_at and count >= settings.block_at:
            return _said("block", count, 0.95)
        if settings.challenge_at and count >= settings.challenge_at:
            return _said("challenge", count, 0.85)
        if settings.review_at and count >= settings.review_at:
            return _said("review", count, 0.3)
        return _TWO if count >= 2 else _FINE


def _said(verdict: str, count: float, score: float) -> RuleVerdict:
    return RuleVerdict(
        verdict="block"
        if verdict == "block"
        else "challenge"
        if verdict == "challenge"
        else "review",
        reason="device_ring",
        detail=f"{count:g} customers on this device within 30 days",
        score=score,
    )
