"""Does a conversion leave each currency balanced and the position closed?"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid
from payengine.fx import postings
from payengine.fx.quotes import worth
from payengine.ledger import Posting
from payengine.ledger.chart import is_debit_normal
from payengine.ledger.transfers import entries_of


def balances(booked: list[Posting]) -> Counter[tuple[str, str]]:
    """(account, currency) → its normal balance, after a look at each currency's two sides."""
    found: Counter[tuple[str, str]] = Counter()
    sides: Counter[tuple[str, str]] = Counter()
    for posting in booked:
        for entry in entries_of(posting.transfers):
            sides[entry.currency, entry.direction] += entry.amount_minor
            sign = 1 if (entry.direction == "debit") == is_debit_normal(entry.account) else -1
            found[entry.account, entry.currency] += sign * entry.amount_minor
    for currency in {currency for currency, _ in sides}:
        assert sides[currency, "debit"] == sides[currency, "credit"]
    return found


@given(
    st.integers(10_000, 10**9),
    st.integers(0, 500),
    st.fractions(Fraction(1, 100), 100),
    st.integers(-50, 50),
)
def test_a_settled_conversion_closes_its_position(
    amount: int, bps: int, mid: Fraction, drift: int
) -> None:
    found = worth(amount, source="EUR", target="USD", mid=mid, markup_bps=bps)
    received = found.mid_minor + drift
    booked = [
        postings.converted(
            conversion_id="fx_1",
            account="merchant_payable:m1",
            source_currency="EUR",
            source_minor=amount,
            target_currency="USD",
            mid_minor=found.mid_minor,
            target_minor=found.customer_minor,
        ),
        postings.settled(
            settlement_id="set_1",
            gateway="g",
            source_currency="EUR",
            source_minor=amount,
            target_currency="USD",
            received_minor=received,
        ),
    ]
    difference = postings.realised(
        settlement_id="set_1", currency="USD", owed_minor=found.mid_minor, received_minor=received
    )
    assert (difference is None) == (drift == 0)
    standing = balances([*booked, difference] if difference else booked)
    assert standing["fx_position:EUR", "EUR"] == standing["fx_position:USD", "USD"] == 0
    assert standing["fx_markup_revenue", "USD"] == found.markup_minor
    assert standing["merchant_payable:m1", "USD"] == found.customer_minor
    assert standing["fx_gain", "USD"] - standing["fx_loss", "USD"] == drift
    assert standing["bank:main", "USD"] == received


def test_nobody_gets_more_than_the_worth() -> None:
    with pytest.raises(InputInvalid):
        postings.converted(
            conversion_id="fx_1",
            account="merchant_payable:m1",
            source_currency="EUR",
            source_minor=100,
            target_currency="USD",
            mid_minor=100,
            target_minor=101,
        )
