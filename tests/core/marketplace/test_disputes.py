"""Is every unit of a dispute borne by somebody, and by those who are liable?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import AmountNotPositive, InputInvalid
from payengine.marketplace.disputes import (
    FeeBearer,
    Liability,
    dispute_shares,
    no_longer_refundable,
    refund_shares,
    taken_at_end,
    taken_at_opening,
)

_PARTS = st.lists(st.integers(0, 10**6), min_size=2, max_size=6)
_LIABLE: st.SearchStrategy[Liability] = st.sampled_from(["vendor", "platform", "split_ratio"])


@given(_PARTS, st.integers(1, 10**7), st.integers(0, 10**4), _LIABLE)
def test_shares_are_the_whole_and_only_the_liable_bear_them(
    remaining: list[int], disputed: int, fee: int, liability: Liability
) -> None:
    shares = dispute_shares(disputed, fee, liability=liability, remaining=remaining)
    assert sum(shares.disputed) == disputed
    assert sum(shares.fee) == fee
    assert sum(taken_at_opening(shares)) == disputed + fee
    if liability == "vendor":
        assert shares.disputed[-1] == shares.fee[-1] == 0
    if liability == "platform":
        assert not any(shares.disputed[:-1] + shares.fee[:-1])
    assert taken_at_end(shares, "lost", fee_returned=False) == taken_at_opening(shares)
    assert taken_at_end(shares, "won", fee_returned=False) == shares.fee
    assert not any(taken_at_end(shares, "won", fee_returned=True))


@given(_PARTS, st.integers(1, 10**7), _LIABLE)
def test_a_dispute_takes_no_more_than_is_refundable_and_no_less(
    remaining: list[int], disputed: int, liability: Liability
) -> None:
    shares = dispute_shares(disputed, 0, liability=liability, remaining=remaining)
    taken = no_longer_refundable(remaining, shares.disputed)
    assert sum(taken) == min(disputed, sum(remaining))
    assert all(0 <= gone <= part for gone, part in zip(taken, remaining, strict=True))


def test_liable_parts_without_anything_left_bear_it_equally() -> None:
    shares = dispute_shares(11, 0, liability="vendor", remaining=[0, 0, 50])
    assert shares.disputed == (6, 5, 0)


def test_the_platform_may_stand_anywhere_among_the_parts() -> None:
    shares = dispute_shares(10, 2, liability="platform", remaining=[15, 85], platform_part=0)
    assert (shares.disputed, shares.fee) == ((10, 0), (2, 0))


@pytest.mark.parametrize(
    ("bearer", "fee"), [("vendor", (320, 0)), ("platform", (0, 320)), ("split_ratio", (272, 48))]
)
def test_the_processors_fee_is_borne_by_whom_the_policy_names(
    bearer: FeeBearer, fee: tuple[int, int]
) -> None:
    found = refund_shares(10_000, remaining=[8_500, 1_500], fee_minor=320, fee_bearer=bearer)
    assert found.reversal == (8_500, 1_500)
    assert found.fee == fee


def test_what_is_no_dispute_is_refused() -> None:
    with pytest.raises(AmountNotPositive):
        dispute_shares(0, 0, liability="vendor", remaining=[1, 1])
    with pytest.raises(InputInvalid):
        dispute_shares(1, -1, liability="vendor", remaining=[1, 1])
    with pytest.raises(InputInvalid):
        dispute_shares(1, 0, liability="vendor", remaining=[1])
    with pytest.raises(InputInvalid):
        refund_shares(1, remaining=[1, 1], fee_minor=-1)
