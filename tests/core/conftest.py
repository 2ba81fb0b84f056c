"""The engines and shops that these tests share."""

from __future__ import annotations

from tests.core.payments.odd import mute_till, odd_till
from tests.crier import crier_shop, stage
from tests.debtors import counter
from tests.engines import hasty, other_shop, payment_home, shop, till

__all__ = [
    "counter",
    "crier_shop",
    "hasty",
    "mute_till",
    "odd_till",
    "other_shop",
    "payment_home",
    "shop",
    "stage",
    "till",
]
