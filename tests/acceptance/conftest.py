"""The engines and shops that these tests share."""

from __future__ import annotations

from tests.crier import crier_shop, stage
from tests.engines import hasty, other_shop, payment_home, shop, till

__all__ = ["crier_shop", "hasty", "other_shop", "payment_home", "shop", "stage", "till"]
