"""Is a fee reckoned from the row that fits, and rounded once?"""

from __future__ import annotations

import pytest
from payengine.routing.fees import fee_minor
from payengine.routing.policy import Fee

_FEES = (
    Fee(gateway="a", basis_points=140, fixed_minor=25, currency="EUR", method="card"),
    Fee(gateway="a", basis_points=290, fixed_minor=30, currency="EUR"),
    Fee(gateway="a", basis_points=300),
)


@pytest.mark.parametrize(
    ("gateway", "amount", "currency", "method", "fee"),
    [
        ("a", 1_000, "EUR", "card", 39),
        ("a", 1_000, "EUR", "sepa", 59),
        ("a", 1_000, "USD", "card", 30),
        ("a", 50, "USD", "card", 2),  # 1.5, half away from zero
        ("a", 49, "USD", "card", 1),
        ("b", 1_000, "EUR", "card", None),
    ],
)
def test_fee(gateway: str, amount: int, currency: str, method: str, fee: int | None) -> None:
    found = fee_minor(_FEES, gateway, amount_minor=amount, currency=currency, method=method)
    assert found == fee
