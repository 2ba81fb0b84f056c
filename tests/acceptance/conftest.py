"""The engines and shops that these tests share."""

from __future__ import annotations

from tests.acceptance.opened import apart_home, apart_till, layer
from tests.crier import crier_shop, stage
from tests.debtors import counter
from tests.engines import hasty, other_shop, payment_home, shop, till

__all__ = [
    "apart_home",
    "apart_till",
    "counter",
    "crier_shop",
    "hasty",
    "layer",
    "other_shop",
    "payment_home",
    "shop",
    "stage",
    "till",
]
