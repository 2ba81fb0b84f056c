"""Is what the provider's rate made of a payment gained or lost, to the unit?"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid, RefundExceedsRemaining
from payengine.fx.settlement import realised, refund_at_original_rate, refunded_part


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_owed_and_received_differ_by_gain_or_loss(owed: int, received: int) -> None:
    found = realised(owed_minor=owed, received_minor=received)
    assert owed + found.gain - found.loss == received
    assert 0 in (found.gain, found.loss)


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.lists(st.integers(1, 10**8), max_size=6))
def test_refunds_of_the_whole_give_back_the_whole(
    presentment: int, settlement: int, refunds: list[int]
) -> None:
    refunded = given_back = 0
    for wanted in [*refunds, presentment]:
        refund = min(wanted, presentment - refunded)
        part = refunded_part(
            presentment_minor=presentment,
            settlement_minor=settlement,
            refund_minor=refund,
            refunded_before=refunded,
        )
        assert abs(part - Fraction(settlement * refund, presentment)) <= 1
        refunded, given_back = refunded + refund, given_back + part
    assert given_back == settlement


def test_a_refund_may_gain_as_well() -> None:
    found = refund_at_original_rate(
        settlement_minor=10_956, fraction=Fraction(1), provider_debit_minor=10_900
    )
    assert (found.merchant_minor, found.difference.gain, found.difference.loss) == (10_956, 56, 0)


def test_more_than_the_payment_is_not_refunded() -> None:
    with pytest.raises(RefundExceedsRemaining):
        refunded_part(presentment_minor=10, settlement_minor=10, refund_minor=6, refunded_before=5)
    with pytest.raises(RefundExceedsRemaining):
        refund_at_original_rate(
            settlement_minor=10, fraction=Fraction(3, 2), provider_debit_minor=1
        )
    with pytest.raises(InputInvalid):
        refunded_part(presentment_minor=0, settlement_minor=0, refund_minor=0)
