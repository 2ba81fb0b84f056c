"""Is a known account used from a device that nobody has seen, and does more not fit?"""

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
    VerdictKind,
    recent,
    seen,
)

__all__ = ["NewDevice", "NewDeviceSettings"]

_FEATURES = (
    seen("device", "age"),
    seen("customer", "age"),
    seen("customer", "previous", of="ship_country"),
    recent("customer", "median", last=20),
)
_DEVICE_AGE_S, _CUSTOMER_AGE_S, _SHIPPED_TO, _MEDIAN = (feature.name for feature in _FEATURES)
_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_DAY_S = 86_400
#: By how many things do not fit.
_SCORES = (0.01, 0.05, 0.4, 0.6)


class NewDeviceSettings(PluginSettings, frozen=True, kw_only=True):
    """A device is new for `new_hours`, an account is known after `known_days`.

    A new device alone is common. Three more things may not fit: the countries of card and network
    address, where the parcel goes, an amount of `times` the customer's median. From how many of
    them on it is reviewed and challenged; 0 for never.
    """

    new_hours: Annotated[int, msgspec.Meta(ge=0, le=8_760)] = 24
    known_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    times: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 3
    review_at: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    challenge_at: Annotated[int, msgspec.Meta(ge=0, le=3)] = 2


class NewDevice:
    """A new device on a known account."""

    def describe(self) -> RuleManifest:
        """What it is; off until a tenant wants it, for what it reads of the past."""
        return RuleManifest(
            name="new_device",
            title="New device on a known account",
            version="1.0.0",
            default_mode="off",
            settings=NewDeviceSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """How old device and customer are, and what the customer did before."""
        return _FEATURES

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains without a device, and where the account is not known for long enough."""
        assert isinstance(settings, NewDeviceSettings)
        if context.device is None or not _is_known(context, settings):
            return _NOTHING
        if context.number(_DEVICE_AGE_S) > settings.new_hours * 3_600:
            return _FINE
        here = context.ip_country
        issuer, ship = context.issuer_country, context.ship_country
        before = context.features.get(_SHIPPED_TO)
        median = context.number(_MEDIAN)
        signs = [
            issuer is not None and here is not None and issuer != here,
            isinstance(before, str) and ship is not None and before != ship,
            median > 0 and context.base_minor >= settings.times * median,
        ]
        count = sum(signs)
        verdict: VerdictKind = "allow"
        if settings.challenge_at and count >= settings.challenge_at:
            verdict = "challenge"
        elif settings.review_at and count >= settings.review_at:
            verdict = "review"
        return RuleVerdict(
            verdict=verdict,
            reason="new_device",
            detail=f"a new device, and {count} more that does not fit the account",
            score=_SCORES[count],
        )


def _is_known(context: FraudContext, settings: NewDeviceSettings) -> bool:
    days = context.account_age_days
    if days is not None and days >= settings.known_days:
        return True
    return context.number(_CUSTOMER_AGE_S) >= settings.known_days * _DAY_S
