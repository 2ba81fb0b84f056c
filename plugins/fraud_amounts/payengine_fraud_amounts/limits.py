"""Is it more than this tenant takes from such a buyer?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleManifest, RuleVerdict

__all__ = ["AmountLimit", "AmountLimits", "AmountLimitsSettings"]

_STRENGTH = ("review", "challenge", "block")
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_SAID = {
    verdict: RuleVerdict(
        verdict=verdict, reason="amount_limit", detail="the amount is above a limit", score=0.05
    )
    for verdict in ("review", "challenge", "block")
}


class AmountLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Above `above_minor` minor units of `currency`, the verdict is `then`.

    With `younger_than_days` only for customers whose account is younger, or whose age is unknown.
    """

    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    above_minor: Annotated[int, msgspec.Meta(ge=0, le=10**15)]
    younger_than_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None
    then: Literal["review", "challenge", "block"] = "review"


class AmountLimitsSettings(PluginSettings, frozen=True, kw_only=True):
    """The limits; none by default."""

    limits: Annotated[tuple[AmountLimit, ...], msgspec.Meta(max_length=200)] = ()


class AmountLimits:
    """Limits by currency and by the age of the customer's account."""

    def describe(self) -> RuleManifest:
        """What it is; off until there are limits."""
        return RuleManifest(
            name="amount_limits",
            title="Amount limits",
            version="1.0.0",
            default_mode="off",
            settings=AmountLimitsSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """None."""
        return ()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """The strongest verdict of the limits that are passed; abstains where none applies."""
        assert isinstance(settings, AmountLimitsSettings)
        age = context.account_age_days
        worst, applies = -1, False
        for limit in settings.limits:
            if limit.currency != context.currency:
                continue
            young = limit.younger_than_days
            if young is not None and age is not None and age >= young:
                continue
            applies = True
            if context.amount_minor > limit.above_minor:
                worst = max(worst, _STRENGTH.index(limit.then))
        if worst >= 0:
            return _SAID[_STRENGTH[worst]]
        return _FINE if applies else _NOTHING
