"""Which words does a marketplace's API use?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

__all__ = [
    "AccountStatus",
    "EscrowCondition",
    "EscrowStatus",
    "FeePolicy",
    "Liability",
    "SplitPhase",
    "SplitScope",
    "VendorVerdict",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(
    description="Where an account's onboarding stands; charges and payouts hang on it."
)
class AccountStatus(Enum):
    """See the description."""

    CREATED = _value("created", "Not handed in yet.")
    PENDING_VERIFICATION = _value("pending_verification", "Waits for somebody who verifies it.")
    ACTION_REQUIRED = _value("action_required", "The vendor has to tell what `requirements` name.")
    ACTIVE = _value("active", "May take payments and be paid out.")
    PAUSED = _value("paused", "Suspended by the platform.")
    REJECTED = _value("rejected", "Refused; this is final.")
    CLOSED = _value("closed", "Ended with nothing left in it; this is final.")


@strawberry.enum(description="What was found of a vendor.")
class VendorVerdict(Enum):
    """See the description."""

    VERIFIED = _value("verified", "It is who it says it is.")
    PENDING = _value("pending", "Not decided yet.")
    NEEDS_INFORMATION = _value("needs_information", "It has to tell more.")
    REJECTED = _value("rejected", "It is refused.")


@strawberry.enum(description="For what a commission was agreed; the first one that fits holds.")
class SplitScope(Enum):
    """See the description."""

    PRODUCT = _value("product", "One product.")
    CATEGORY = _value("category", "A category of products.")
    VENDOR = _value("vendor", "Everything of one vendor.")
    TENANT = _value("tenant", "Everything else.")


@strawberry.enum(description="Who gives back of a refund.")
class FeePolicy(Enum):
    """See the description."""

    PROPORTIONAL = _value("proportional", "Each owner in proportion to what it still has of it.")
    KEEP = _value("keep", "The platform only what the vendors no longer have.")


@strawberry.enum(description="Who bears a dispute, or the processor's fee of what was refunded.")
class Liability(Enum):
    """See the description."""

    VENDOR = _value("vendor", "The vendors.")
    PLATFORM = _value("platform", "The platform.")
    SPLIT_RATIO = _value("split_ratio", "Each owner in proportion.")


@strawberry.enum(description="What must have happened before an escrow is released.")
class EscrowCondition(Enum):
    """See the description."""

    DELIVERED = _value("delivered", "It was delivered, and the inspection is over.")
    MANUAL = _value("manual", "A person has released it.")
    MILESTONE = _value("milestone", "The work that it pays for was accepted.")


@strawberry.enum(description="Where an escrow stands.")
class EscrowStatus(Enum):
    """See the description."""

    AWAITED = _value("awaited", "Nothing has been captured yet.")
    HELD = _value("held", "Something is held.")
    RELEASED = _value("released", "Nothing is held any more; something went to its owners.")
    REFUNDED = _value("refunded", "Nothing is held any more; all of it went back.")


@strawberry.enum(description="What a step of the payment did to its parts.")
class SplitPhase(Enum):
    """See the description."""

    CAPTURED = _value("captured", "Brought the owners their parts.")
    REFUNDED = _value("refunded", "Took back of them.")
    REFUND_FAILED = _value("refund_failed", "Gave back what a refund had taken.")
    DISPUTED = _value("disputed", "Took what is disputed.")
    DISPUTE_WON = _value("dispute_won", "Gave back what a dispute had taken.")
    DISPUTE_FEE = _value("dispute_fee", "Took the fee of a dispute.")
    DISPUTE_FEE_RETURNED = _value("dispute_fee_returned", "Gave such a fee back.")
