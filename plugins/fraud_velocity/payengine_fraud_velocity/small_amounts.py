"""Are stolen cards being tried out by payments that nobody would notice?

On one device, or spread over many and seen only at the seller that is used for it: there the small
or declined payments of the last hour outnumber the others.
"""

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

from payengine_fraud_velocity.bands import Bands, Scores, Threshold, judged

__all__ = ["SmallAmounts", "SmallAmountsSettings"]

_SCORES = Scores(low=0.3, review=0.8, challenge=0.9, block=0.97)
_AT_SELLER = velocity("seller", "count", "1h").name
_DECLINED_AT_SELLER = velocity("seller", "count", "1h", where="declined").name
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")


class SmallAmountsSettings(Bands, frozen=True, kw_only=True):
    """Small payments of the last hour on one device, while this one is small too.

    Small is what is at most `below_minor` of the base currency. At a seller, from `seller_at` of
    them on and where small or declined ones are `seller_percent` of all, the payment is
    challenged.
    """

    below_minor: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 500
    review_at: Threshold = 2
    challenge_at: Threshold = 3
    block_at: Threshold = 6
    seller_at: Threshold = 3
    seller_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class SmallAmounts:
    """Bursts of small payments, on a device or at a seller."""

    def describe(self) -> RuleManifest:
        """What it is; off until a tenant wants it, for what it reads of the past."""
        return RuleManifest(
            name="small_amounts",
            title="Burst of small amounts",
            version="1.0.0",
            default_mode="off",
            settings=SmallAmountsSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """Small payments of a device and a seller, and the seller's others to compare."""
        assert isinstance(settings, SmallAmountsSettings)
        return _features(settings.below_minor)

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where neither device nor seller is known."""
        assert isinstance(settings, SmallAmountsSettings)
        if context.device is None and context.seller is None:
            return _NOTHING
        if context.base_minor > settings.below_minor:
            return _FINE
        on_device, at_seller = _names(settings.below_minor)
        device = judged(
            context.number(on_device),
            settings,
            reason="small_amounts",
            what="small payments on this device within an hour",
            scores=_SCORES,
        )
        suspect = max(context.number(at_seller), context.number(_DECLINED_AT_SELLER))
        if (
            device.verdict in ("allow", "review")
            and settings.seller_at
            and suspect >= settings.seller_at
            and suspect * 100 >= settings.seller_percent * context.number(_AT_SELLER)
        ):
            return RuleVerdict(
                verdict="challenge",
                reason="small_amounts_at_seller",
                detail=f"{suspect:g} small or declined payments at this seller within an hour",
                score=_SCORES.challenge,
            )
        return device


@lru_cache(maxsize=1_000)
def _features(below_minor: int) -> tuple[Feature, ...]:
    small = {
        entity: Feature(
            entity=entity,
            measure="count",
            window_s=3_600,
            where="small",
            below_minor=below_minor,
        )
        for entity in ("device", "seller")
    }
    return (
        *small.values(),
        velocity("seller", "count", "1h"),
        velocity("seller", "count", "1h", where="declined"),
    )


@lru_cache(maxsize=1_000)
def _names(below_minor: int) -> tuple[str, str]:
    device, seller, *_ = _features(below_minor)
    return device.name, seller.name
