"""The engines and shops that these tests share."""

from __future__ import annotations

from tests.engines import hasty, other_shop, payment_home, shop, till

__all__ = ["hasty", "other_shop", "payment_home", "shop", "till"]
