"""Do coupons take off what they should, in their order, and never more than there is?"""

from __future__ import annotations

import pytest
from hypothesis import given
from payengine.billing.coupons import MOST_COUPONS, Coupon, apply_coupons
from payengine.billing.invoice_lines import InvoiceLine
from payengine.errors import CurrencyMismatch, InputInvalid

from tests.core.billing.drafts import COUPONS, LINES


def _lines(*amounts: int) -> tuple[InvoiceLine, ...]:
    return tuple(InvoiceLine(amount=amount) for amount in amounts)


@given(LINES, COUPONS)
def test_discounts_sum_alike_by_coupon_and_line_and_leave_no_line_below_zero(
    lines: tuple[InvoiceLine, ...], coupons: tuple[Coupon, ...]
) -> None:
    found = apply_coupons(lines, coupons, currency="USD")
    assert sum(found.per_coupon) == sum(found.per_line) == found.total
    assert len(found.per_coupon) == len(coupons)
    for line, discount in zip(lines, found.per_line, strict=True):
        assert 0 <= discount <= max(line.amount, 0)
        assert discount == 0 or (line.discountable and line.kind != "proration")


def test_the_second_coupon_sees_what_the_first_one_left() -> None:
    coupons = (Coupon(amount_off=100), Coupon(percent_bps=5000))
    found = apply_coupons(_lines(100, 200), coupons, currency="USD")
    assert found.per_coupon == (100, 100)
    assert found.per_line == (67, 133)


def test_a_coupon_of_one_product_leaves_the_others_alone() -> None:
    lines = (InvoiceLine(amount=1000, product="a"), InvoiceLine(amount=1000, product="b"))
    found = apply_coupons(lines, (Coupon(percent_bps=1000, products=("b",)),), currency="USD")
    assert found.per_line == (0, 100)


def test_a_proration_is_never_discounted() -> None:
    lines = (InvoiceLine(amount=1000, kind="proration"),)
    assert apply_coupons(lines, (Coupon(percent_bps=10_000),), currency="USD").total == 0


@pytest.mark.parametrize(
    "coupon",
    [
        Coupon(),
        Coupon(percent_bps=1, amount_off=1),
        Coupon(percent_bps=-1),
        Coupon(percent_bps=10_001),
        Coupon(percent_bps=True),
        Coupon(amount_off=-1),
        Coupon(amount_off=1.5),  # type: ignore[arg-type]
    ],
)
def test_a_coupon_that_is_none_is_refused(coupon: Coupon) -> None:
    with pytest.raises(InputInvalid):
        apply_coupons(_lines(100), (coupon,), currency="USD")


def test_a_coupon_of_another_currency_is_refused() -> None:
    with pytest.raises(CurrencyMismatch):
        apply_coupons(_lines(100), (Coupon(amount_off=1, currency="EUR"),), currency="USD")


def test_coupons_without_end_are_refused() -> None:
    coupons = (Coupon(percent_bps=1),) * (MOST_COUPONS + 1)
    with pytest.raises(InputInvalid):
        apply_coupons(_lines(100), coupons, currency="USD")
