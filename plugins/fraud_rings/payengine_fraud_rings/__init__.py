"""Who belongs together? Four rules about rings, known fraud, sellers and refunds."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import FraudRule, hookimpl

from payengine_fraud_rings.bust_out import SellerBustOut, SellerBustOutSettings
from payengine_fraud_rings.device_ring import DeviceRing, DeviceRingSettings
from payengine_fraud_rings.linked import LinkedFraud, LinkedFraudSettings
from payengine_fraud_rings.refunds import RefundAbuse, RefundAbuseSettings

__all__ = [
    "DeviceRing",
    "DeviceRingSettings",
    "LinkedFraud",
    "LinkedFraudSettings",
    "RefundAbuse",
    "RefundAbuseSettings",
    "SellerBustOut",
    "SellerBustOutSettings",
    "fraud_rules",
]


@hookimpl
def fraud_rules() -> Sequence[FraudRule]:
    """What this plugin brings."""
    return [DeviceRing(), LinkedFraud(), SellerBustOut(), RefundAbuse()]
