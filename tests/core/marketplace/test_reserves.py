"""Is a reserve held per sale, and does exactly it return?"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid
from payengine.marketplace.reserves import ReserveRule, held_on, released_between, reserve

_DAY = date(2025, 6, 1)
_RULE = ReserveRule(reserve_bps=1_000, reserve_days=90)


@given(st.integers(0, 10_000), st.integers(0, 10**9), st.integers(0, 10**9))
def test_reserve_and_rest_are_what_the_vendor_gets(bps: int, sale: int, fee: int) -> None:
    rule = ReserveRule(reserve_bps=bps, reserve_days=1)
    net = sale - min(fee, sale)
    found = reserve(rule, sale_minor=sale, net_minor=net, sale_on=_DAY)
    assert found.reserved + found.available == net
    assert 0 <= found.reserved <= net


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 200)), max_size=10))
def test_what_is_held_today_is_what_was_held_and_did_not_return(
    sales: list[tuple[int, int]],
) -> None:
    held = [
        reserve(_RULE, sale_minor=sale, net_minor=sale, sale_on=_DAY + timedelta(days=after))
        for sale, after in sales
    ]
    standing = 0
    for after in range(300):
        day = _DAY + timedelta(days=after)
        standing += sum(each.reserved for each in held if each.sale_on == day)
        standing -= released_between(held, after=day - timedelta(days=1), until=day)
        assert held_on(held, day) == standing
    assert standing == 0


def test_a_sale_that_left_nothing_holds_nothing() -> None:
    assert reserve(_RULE, sale_minor=100, net_minor=-5, sale_on=_DAY).reserved == 0
    with pytest.raises(InputInvalid):
        reserve(ReserveRule(reserve_bps=10_001, reserve_days=1), sale_minor=1, net_minor=1,
                sale_on=_DAY)  # fmt: skip
