"""Are lines refused that no invoice can carry?"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from payengine.billing.invoice_lines import (
    MOST_LINES,
    InvoiceLine,
    canonical_line,
    check_lines,
    proration_lines,
    rate_text,
)
from payengine.billing.proration import Proration
from payengine.errors import AmountTooLarge, InputInvalid


@pytest.mark.parametrize("amount", [1.0, True, None, "1"])
def test_an_amount_is_an_integer(amount: object) -> None:
    with pytest.raises(InputInvalid):
        check_lines([InvoiceLine(amount=amount)])  # type: ignore[arg-type]


def test_an_amount_fits_the_database() -> None:
    check_lines([InvoiceLine(amount=2**63 - 1)])
    with pytest.raises(AmountTooLarge):
        check_lines([InvoiceLine(amount=2**63)])


def test_lines_without_end_are_refused() -> None:
    with pytest.raises(InputInvalid):
        check_lines([InvoiceLine(amount=1)] * (MOST_LINES + 1))


def test_an_instant_names_its_zone() -> None:
    with pytest.raises(InputInvalid):
        check_lines([InvoiceLine(amount=1, period_end=datetime(2025, 1, 1))])  # noqa: DTZ001


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1900, "1900"), (Decimal("887.50"), "887.5"), (Decimal("1E+3"), "1000"), (0, "0")],
)
def test_a_rate_has_one_spelling(rate: int | Decimal, text: str) -> None:
    assert rate_text(rate) == text
    line = canonical_line(InvoiceLine(amount=1, tax_bps=rate, quantity=Decimal("-0.0")))
    assert str(line.tax_bps) == text
    assert str(line.quantity) == "0"


def test_a_change_is_a_credit_and_a_debit_that_no_coupon_touches() -> None:
    at, end = datetime(2025, 6, 16, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)
    change = Proration(at=at, part=Fraction(1, 2), credit_minor=-500, debit_minor=1000)
    lines = proration_lines(change, period_end=end, credit="Unused", debit="Rest", tax_bps=1900)
    assert [(line.amount, line.description) for line in lines] == [(-500, "Unused"), (1000, "Rest")]
    assert not any(line.takes_coupons for line in lines)
    assert {(line.period_start, line.period_end, line.tax_bps) for line in lines} == {
        (at, end, 1900)
    }
    nothing = Proration(at=at, part=Fraction(0))
    assert proration_lines(nothing, period_end=end, credit="", debit="") == ()
