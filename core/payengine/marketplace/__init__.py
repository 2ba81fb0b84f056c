"""Whose money is it, and when may it leave?

Pure rules: `splits` and `commission` divide a sale, `escrow`, `reserves` and `availability` say
when a part is its owner's to take, `disputes` who bears a loss, `accounts` and `payouts` what may
leave, and `postings` how each step is booked. Every instant is an argument.
"""

from __future__ import annotations

from payengine.marketplace.commission import Commission, CommissionRule, Tier, commission
from payengine.marketplace.splits import SplitPart, divide, pull_back

__all__ = [
    "Commission",
    "CommissionRule",
    "SplitPart",
    "Tier",
    "commission",
    "divide",
    "pull_back",
]
