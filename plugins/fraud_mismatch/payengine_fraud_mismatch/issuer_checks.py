"""What did the issuer say of the address and of the card's code?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleManifest, RuleVerdict

__all__ = ["IssuerChecks", "IssuerChecksSettings"]

_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")

#: What a reviewer reads, the score on a new account and on a known one.
_BOTH = ("the issuer knows neither the address nor the code", 0.6, 0.03)
_CODE = ("the card's code was wrong", 0.4, 0.02)
_ADDRESS = ("the issuer knows another address", 0.4, 0.02)

Meaning = Literal["allow", "review", "challenge", "block"]


class IssuerChecksSettings(PluginSettings, frozen=True, kw_only=True):
    """What a failed check of the address, of the code, and of both means.

    So it is for accounts of at most `new_days` days and of unknown age. People move and mistype:
    on an older account any of them means `known_account`.
    """

    address: Meaning = "allow"
    code: Meaning = "review"
    both: Meaning = "block"
    known_account: Meaning = "allow"
    new_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30


class IssuerChecks:
    """Address and code, after the authorization."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="issuer_checks",
            title="Address and code checks",
            version="1.0.0",
            stages=("post_auth",),
            needs_checks=True,
            default_mode="live",
            settings=IssuerChecksSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """None."""
        return ()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where the issuer checked nothing."""
        assert isinstance(settings, IssuerChecksSettings)
        address, code = context.address_ok, context.cvc_ok
        if address is None and code is None:
            return _NOTHING
        if address is not False and code is not False:
            return _FINE
        age = context.account_age_days
        if address is False and code is False:
            meaning, reason = settings.both, "address_and_code_failed"
            detail, score, known_score = _BOTH
        elif code is False:
            meaning, reason = settings.code, "code_failed"
            detail, score, known_score = _CODE
        else:
            meaning, reason = settings.address, "address_failed"
            detail, score, known_score = _ADDRESS
        if age is not None and age > settings.new_days:
            meaning, score = settings.known_account, known_score
        return RuleVerdict(verdict=meaning, reason=reason, detail=detail, score=score)
