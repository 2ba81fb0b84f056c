"""Should the buyer prove to be the card's owner, for the amount or for the risk?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleManifest, RuleVerdict

__all__ = ["StepUp", "StepUpSettings"]

_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_FOR_AMOUNT = RuleVerdict(
    verdict="challenge", reason="step_up_amount", detail="the amount asks for a proof", score=0.02
)
_FOR_RISK = RuleVerdict(
    verdict="challenge", reason="step_up_risk", detail="amount and risk ask for a proof", score=0.1
)

#: Of the base currency; 0 for never.
Minor = Annotated[int, msgspec.Meta(ge=0, le=10**15)]


class StepUpSettings(PluginSettings, frozen=True, kw_only=True):
    """Challenge from `above_minor` on, and from `risky_above_minor` on where there is a risk.

    A risk is an account of less than `new_days` days or of unknown age, or a card from another
    country than the buyer's address in the network. Both amounts are 0, which is never, by
    default.
    """

    above_minor: Minor = 0
    risky_above_minor: Minor = 0
    new_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 7


class StepUp:
    """A challenge by amount or by risk; never where the buyer is not there to answer it."""

    def describe(self) -> RuleManifest:
        """What it is; off until there are amounts."""
        return RuleManifest(
            name="step_up",
            title="Step-up",
            version="1.0.0",
            default_mode="off",
            settings=StepUpSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """None."""
        return ()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains off session, and where no amount was set."""
        assert isinstance(settings, StepUpSettings)
        above, risky = settings.above_minor, settings.risky_above_minor
        if context.off_session or not (above or risky):
            return _NOTHING
        if above and context.base_minor >= above:
            return _FOR_AMOUNT
        if risky and context.base_minor >= risky and _is_risky(context, settings):
            return _FOR_RISK
        return _FINE


def _is_risky(context: FraudContext, settings: StepUpSettings) -> bool:
    age = context.account_age_days
    if age is None or age < settings.new_days:
        return True
    issuer, here = context.issuer_country, context.ip_country
    return issuer is not None and here is not None and issuer != here
