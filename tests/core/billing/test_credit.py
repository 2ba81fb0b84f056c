"""Does the customer's balance neither lose nor gain a unit?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.billing.credit import collect, settle_balance
from payengine.errors import AmountTooLarge, InputInvalid

from tests.core.billing.drafts import AMOUNTS


@given(AMOUNTS, AMOUNTS)
def test_what_is_owed_is_paid_from_the_balance_or_due(total: int, balance: int) -> None:
    found = settle_balance(total, balance=balance)
    assert balance - total + found.amount_due == found.ending_balance
    assert found.amount_due >= 0
    assert found.amount_due == 0 or total > 0
    if total > 0:
        assert found.amount_due == total - found.credit_applied
        assert found.amount_due == 0 or found.ending_balance == 0


def test_what_was_too_little_to_charge_comes_with_the_next_invoice() -> None:
    found = settle_balance(1000, balance=-30)
    assert (found.credit_applied, found.amount_due, found.ending_balance) == (-30, 1030, 0)


@given(st.integers(0, 10**9), st.integers(0, 1000))
def test_a_charge_reaches_the_minimum_or_waits(amount_due: int, minimum: int) -> None:
    found = collect(amount_due, minimum_charge=minimum)
    assert found.charge + found.carried_forward == amount_due
    assert found.charge == 0 or found.charge >= minimum


@pytest.mark.parametrize(("due", "minimum"), [(-1, 0), (0, -1)])
def test_negative_amounts_are_not_collected(due: int, minimum: int) -> None:
    with pytest.raises(InputInvalid):
        collect(due, minimum_charge=minimum)


def test_what_no_database_holds_is_refused() -> None:
    with pytest.raises(AmountTooLarge):
        settle_balance(-(2**63 - 1), balance=2**63 - 1)
