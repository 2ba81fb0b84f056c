"""Is a refund asked for by somebody who would keep both the goods and the money?"""

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

__all__ = ["RefundAbuse", "RefundAbuseSettings"]

_FEATURES = (
    known_fraud("customer", "fraud", window="180d"),
    known_fraud("card", "fraud", window="180d"),
    velocity("customer", "count", "30d"),
    seen("customer", "age"),
)
_DISPUTED, _CARD_DISPUTED, _COUNT, _AGE_S = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_DAY_S = 86_400


class RefundAbuseSettings(PluginSettings, frozen=True, kw_only=True):
    """Which refunds wait for a person; amounts are in minor units of the base currency.

    Those to a customer or a card with known fraud or disputes in the last 180 days, from `disputes`
    on (0 for never): who disputes and is refunded has the money twice. And those of
    `high_minor` or more (0 for none) to a customer whose first payment is less than `new_days` days
    old: where a business is new itself, so is everybody.
    """

    disputes: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 1
    high_minor: Annotated[int, msgspec.Meta(ge=0, le=10**15)] = 0
    new_days: Annotated[int, msgspec.Meta(ge=0, le=3_650)] = 7


class RefundAbuse:
    """Refunds to whoever disputed before, and high ones to new customers."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="refund_abuse",
            title="Refund abuse",
            version="1.0.0",
            stages=("refund",),
            default_mode="live",
            settings=RefundAbuseSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What is known of the customer and the card."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where neither customer nor card is known."""
        assert isinstance(settings, RefundAbuseSettings)
        if context.customer is None and context.card is None:
            return _NOTHING
        disputed = max(context.number(_DISPUTED), context.number(_CARD_DISPUTED))
        if settings.disputes and disputed >= settings.disputes:
            return RuleVerdict(
                verdict="review",
                reason="refund_after_dispute",
                detail=f"{disputed:g} payments of this buyer are known as fraud or disputed",
                score=0.5,
            )
        is_new = context.customer is not None and (
            context.number(_AGE_S) < settings.new_days * _DAY_S
        )
        if is_new and settings.high_minor and context.base_minor >= settings.high_minor:
            return RuleVerdict(
                verdict="review",
                reason="refund_to_new_customer",
                detail=f"a high refund after {context.number(_COUNT):g} payments",
                score=0.2,
            )
        return _FINE
