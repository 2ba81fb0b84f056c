"""Is the platform's share what was agreed, never below nothing and never above the sale?"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import AmountNotPositive, InputInvalid
from payengine.marketplace.commission import CommissionRule, Tier, commission, pick

_TIERS = (
    Tier(up_to=1_000_000, percent_bps=1_000),
    Tier(up_to=5_000_000, percent_bps=800),
    Tier(up_to=None, percent_bps=500),
)
_OPTIONAL = st.none() | st.integers(0, 10**6)


@given(
    st.integers(0, 10**9),
    st.integers(0, 10_000),
    st.integers(-(10**5), 10**5),
    _OPTIONAL,
    _OPTIONAL,
)
def test_commission_and_net_are_the_sale(
    amount: int, bps: int, fixed: int, least: int | None, most: int | None
) -> None:
    if least is not None and most is not None and least > most:
        least, most = most, least
    rule = CommissionRule(percent_bps=bps, fixed=fixed, min=least, max=most)
    found = commission(amount, rule)
    assert found.commission + found.vendor_net == amount
    assert 0 <= found.commission <= amount
    if most is not None:
        assert found.commission <= most
    if least is not None:
        assert found.commission >= min(least, amount)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_tiers_are_marginal_whatever_the_sale_is_cut_into(before: int, amount: int) -> None:
    """Tier by tier, unit by unit: what a slow reading of the rule gives, rounded once."""

    def owed(volume: int) -> Fraction:
        first = min(volume, 1_000_000) * Fraction(1, 10)
        second = max(min(volume, 5_000_000) - 1_000_000, 0) * Fraction(8, 100)
        return first + second + max(volume - 5_000_000, 0) * Fraction(5, 100)

    exact = owed(before + amount) - owed(before)
    found = commission(amount, CommissionRule(tiers=_TIERS), volume_before=before)
    assert abs(found.commission - exact) <= Fraction(1, 2)


def test_a_sale_across_a_boundary_pays_each_tier_its_part() -> None:
    rule = CommissionRule(tiers=_TIERS)
    assert commission(20_000, rule, volume_before=990_000).commission == 1_000 + 800


def test_volume_below_nothing_is_in_the_first_tier() -> None:
    rule = CommissionRule(tiers=_TIERS)
    assert commission(2_000, rule, volume_before=-5_000).commission == 200


def test_a_maximum_and_the_sale_itself_bound_it() -> None:
    assert commission(10_000, CommissionRule(percent_bps=5_000, max=700)).commission == 700
    assert commission(30, CommissionRule(percent_bps=290, fixed=50)).commission == 30


def test_the_base_may_be_less_than_the_sale() -> None:
    found = commission(11_000, CommissionRule(percent_bps=1_000), base_minor=10_000)
    assert (found.commission, found.vendor_net) == (1_000, 10_000)


@pytest.mark.parametrize(
    "rule",
    [
        CommissionRule(percent_bps=1, tiers=_TIERS),
        CommissionRule(percent_bps=-1),
        CommissionRule(min=2, max=1),
        CommissionRule(tiers=(Tier(up_to=None, percent_bps=1), Tier(up_to=5, percent_bps=1))),
        CommissionRule(tiers=(Tier(up_to=5, percent_bps=1), Tier(up_to=5, percent_bps=1))),
        CommissionRule(tiers=(Tier(up_to=50, percent_bps=1),)),
    ],
)
def test_a_rule_that_is_none_is_refused(rule: CommissionRule) -> None:
    with pytest.raises(InputInvalid):
        commission(100, rule)


def test_a_sale_below_nothing_is_refused() -> None:
    with pytest.raises(AmountNotPositive):
        commission(-1, CommissionRule())
    with pytest.raises(InputInvalid):
        commission(1, CommissionRule(), base_minor=-1)


def test_the_most_particular_rule_holds() -> None:
    general, own = CommissionRule(percent_bps=1_000), CommissionRule(percent_bps=800)
    assert pick([("tenant", general), ("vendor", own)]) == own
    assert pick([("category", general), ("vendor", own)]) == general
    assert pick([]) is None
    with pytest.raises(InputInvalid):
        pick([("vendor", general), ("vendor", own)])
