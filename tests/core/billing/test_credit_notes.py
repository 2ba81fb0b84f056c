"""Does a credit note round its parts, and never exceed what is left of its invoice?"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.billing.credit_notes import issue_credit_note, price_credit_note
from payengine.billing.tax import whole
from payengine.errors import CreditNoteExceedsInvoice, InputInvalid


@given(st.fractions(0, 10**9, max_denominator=1000), st.integers(0, 3000))
def test_net_and_tax_are_rounded_each_on_the_exact_amount(net: Fraction, rate: int) -> None:
    found = price_credit_note(net, tax_bps=rate)
    assert found.net == whole(net)
    assert found.tax == whole(net * rate / 10_000)
    assert found.total == found.net + found.tax


@given(
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.lists(st.integers(1, 4_000), max_size=8),
)
def test_no_row_of_credit_notes_exceeds_the_invoice(
    total: int, paid: int, notes: list[int]
) -> None:
    paid = min(paid, total)
    credited = given_back = 0
    amount_due = total - paid
    for note in notes:
        try:
            found = issue_credit_note(
                invoice_total=total,
                credit_note_total=note,
                already_credited=credited,
                amount_paid=paid,
            )
        except CreditNoteExceedsInvoice:
            assert credited + note > total
            continue
        credited += note
        given_back += found.given_back
        amount_due = found.amount_due
        assert found.creditable == total - credited
        assert found.status == ("open" if amount_due else "paid")
    assert credited <= total
    assert given_back <= paid
    assert amount_due == total - paid - (credited - given_back)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_credit_note_over_nothing_is_refused(amount: int) -> None:
    with pytest.raises(InputInvalid):
        issue_credit_note(invoice_total=100, credit_note_total=amount)


@pytest.mark.parametrize("net", [-1, 1.5, True])
def test_a_net_amount_that_is_not_exact_is_refused(net: object) -> None:
    with pytest.raises(InputInvalid):
        price_credit_note(net, tax_bps=None)  # type: ignore[arg-type]
