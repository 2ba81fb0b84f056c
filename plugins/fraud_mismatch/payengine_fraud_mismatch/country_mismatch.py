"""Do the countries of issuer, network address, billing and shipping fit each other?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleManifest, RuleVerdict

__all__ = ["CountryMismatch", "CountryMismatchSettings"]

_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
#: People travel, and have presents sent abroad.
_ABROAD = RuleVerdict(
    verdict="allow", reason="country_mismatch", detail="one country differs", score=0.02
)
_FOREIGN = RuleVerdict(
    verdict="challenge",
    reason="foreign_card_new_account",
    detail="a new account pays with a card of another country",
    score=0.5,
)
_THREE = RuleVerdict(
    verdict="review",
    reason="three_countries",
    detail="card, network address and parcel belong to three countries",
    score=0.1,
)


class CountryMismatchSettings(PluginSettings, frozen=True, kw_only=True):
    """A foreign card is challenged where the account is at most `new_days` days old.

    Three different countries are reviewed; two of an older account only count in the score.

    Countries of `together` are one to this rule: a shop that sells in all of them expects it.
    """

    new_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    together: Annotated[tuple[str, ...], msgspec.Meta(max_length=250)] = ()


class CountryMismatch:
    """Cards of one country, buyers in a second, parcels to a third."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="country_mismatch",
            title="Country mismatch",
            version="1.0.0",
            default_mode="live",
            settings=CountryMismatchSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """None."""
        return ()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where fewer than two countries are known."""
        assert isinstance(settings, CountryMismatchSettings)
        issuer, here = context.issuer_country, context.ip_country
        ship = context.ship_country or context.billing_country
        if issuer == here == ship and issuer is not None:
            return _FINE
        known = [one for one in (issuer, here, ship, context.billing_country) if one is not None]
        if len(known) < 2:
            return _NOTHING
        different = set(known) - set(settings.together)
        different_count = len(different) + (len(different) < len(set(known)))
        if different_count < 2:
            return _FINE
        if different_count > 2:
            return _THREE
        age = context.account_age_days
        is_new = age is not None and age <= settings.new_days
        foreign_card = issuer is not None and here is not None and issuer != here
        return _FOREIGN if foreign_card and is_new else _ABROAD
