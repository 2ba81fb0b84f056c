"""Is tax rounded once per rate and spread so that every line has nearly its own?"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.billing.tax import TaxRules, compute_tax, exact_tax, spread, whole
from payengine.errors import InputInvalid

from tests.core.billing.drafts import AMOUNTS, RULES

_EXACT = st.lists(st.fractions(-(10**6), 10**6, max_denominator=10_000), max_size=12)
_TAXED = st.lists(st.tuples(AMOUNTS, st.sampled_from([None, 0, 700, 1900, 2333])), max_size=8)


@given(_EXACT)
def test_parts_sum_to_the_rounded_sum_each_within_a_unit(exact: list[Fraction]) -> None:
    parts = spread(exact)
    assert sum(parts) == whole(sum(exact, Fraction(0)))
    assert all(abs(part - value) < 1 for part, value in zip(parts, exact, strict=True))


@given(_EXACT)
def test_a_credit_is_the_mirror_image(exact: list[Fraction]) -> None:
    if whole(sum(exact, Fraction(0))) != 0:
        assert spread([-value for value in exact]) == [-part for part in spread(exact)]


def test_lines_that_nearly_cancel_out_keep_their_own_tax() -> None:
    found = compute_tax([3003, -3000], [2000, 2000], rules=TaxRules())
    assert found.per_line == (601, -600)
    assert found.total == 1


@given(_TAXED, RULES)
def test_lines_and_rates_have_one_sum(taxed: list[tuple[int, int | None]], rules: TaxRules) -> None:
    amounts, rates = [amount for amount, _ in taxed], [rate for _, rate in taxed]
    found = compute_tax(amounts, rates, rules=rules)
    assert sum(each.amount for each in found.per_rate) == found.total
    by_rate = {
        rate: sum((exact_tax(amount, rate, rules=rules) for amount, own in taxed if own == rate))
        for rate in rates
        if rate is not None
    }
    if rules.rounding == "invoice":
        exact = {str(rate): whole(Fraction(total)) for rate, total in by_rate.items()}
        assert {each.rate: each.amount for each in found.per_rate} == exact


@given(AMOUNTS)
def test_inclusive_tax_on_the_price_with_tax_is_the_exclusive_tax_on_the_net(net: int) -> None:
    inclusive = TaxRules(behavior="inclusive")
    gross = net + exact_tax(net, 1900, rules=TaxRules())
    assert exact_tax(gross, 1900, rules=inclusive) == exact_tax(net, 1900, rules=TaxRules())


def test_a_rate_finer_than_a_basis_point_is_exact() -> None:
    found = compute_tax([10_000], [Decimal("887.50")], rules=TaxRules())
    assert found.per_line == (888,)
    assert found.per_rate[0].rate == "887.5"


def test_rates_rise() -> None:
    found = compute_tax([1, 1, 1], [1900, 700, Decimal("887.5")], rules=TaxRules())
    assert [each.rate for each in found.per_rate] == ["700", "887.5", "1900"]


def test_equal_rates_are_one_however_they_are_spelled() -> None:
    found = compute_tax([1, 1, 1], [5000, Decimal("5000.0"), Decimal("5E+3")], rules=TaxRules())
    assert [each.amount for each in found.per_rate] == [2]


@pytest.mark.parametrize("rate", [0.19, -1, 100_001, True, Decimal("NaN"), "1900"])
def test_a_rate_that_is_none_is_refused(rate: object) -> None:
    with pytest.raises(InputInvalid):
        compute_tax([100], [rate], rules=TaxRules())  # type: ignore[list-item]
