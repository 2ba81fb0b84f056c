"""Is the chart of accounts closed, and is every account of the examples in it?"""

from __future__ import annotations

import pytest
from payengine.errors import InputInvalid
from payengine.ledger.chart import ACCOUNT_TYPES, account_type, is_debit_normal


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ("psp_receivable:stripe", "asset"),
        ("merchant_payable:main", "liability"),
        ("platform_fee_revenue", "income"),
        ("processor_fees:sandbox", "expense"),
        ("tax_payable:US:CA", "liability"),
        ("gateway_receivable:x", "asset"),
        ("storage_revenue", "income"),
    ],
)
def test_an_account_has_the_nature_of_its_type(account: str, expected: str) -> None:
    assert account_type(account) == expected
    assert is_debit_normal(account) == (expected in ("asset", "expense"))


@pytest.mark.parametrize(
    "account",
    ["", "receivable", "petty:cash", "merchant_payble:main", "Bank:main", "bank:", "bank: main"],
)
def test_an_account_outside_the_chart_is_refused(account: str) -> None:
    with pytest.raises(InputInvalid):
        account_type(account)


def test_the_four_natures_are_all_there() -> None:
    assert set(ACCOUNT_TYPES.values()) == {"asset", "liability", "income", "expense"}
