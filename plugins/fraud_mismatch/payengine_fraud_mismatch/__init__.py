"""Does it fit together? Four rules about countries, travel, devices and the issuer's checks."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import FraudRule, hookimpl

from payengine_fraud_mismatch.country_mismatch import CountryMismatch, CountryMismatchSettings
from payengine_fraud_mismatch.issuer_checks import IssuerChecks, IssuerChecksSettings
from payengine_fraud_mismatch.new_device import NewDevice, NewDeviceSettings
from payengine_fraud_mismatch.travel import ImpossibleTravel, ImpossibleTravelSettings

__all__ = [
    "CountryMismatch",
    "CountryMismatchSettings",
    "ImpossibleTravel",
    "ImpossibleTravelSettings",
    "IssuerChecks",
    "IssuerChecksSettings",
    "NewDevice",
    "NewDeviceSettings",
    "fraud_rules",
]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """What this plugin brings."""
    return [CountryMismatch(), ImpossibleTravel(), NewDevice(), IssuerChecks()]
