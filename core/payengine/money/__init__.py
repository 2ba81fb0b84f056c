"""What is an amount?

An integer of minor units and an ISO 4217 currency; rounded once, half away from zero; split by one
`allocate` whose parts sum exactly.
"""

from __future__ import annotations

from payengine.money.amounts import MAX_MINOR, Money, check_amount, decimal_text
from payengine.money.arithmetic import allocate, round_half_away
from payengine.money.currencies import Currency, currencies, currency

__all__ = [
    "MAX_MINOR",
    "Currency",
    "Money",
    "allocate",
    "check_amount",
    "currencies",
    "currency",
    "decimal_text",
    "round_half_away",
]
