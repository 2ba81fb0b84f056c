"""Random invoices, from plain values, so that equal ones can be built twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
from hypothesis import strategies as st
from payengine.billing.coupons import Coupon
from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoicing import InvoiceDraft
from payengine.billing.tax import TaxRules

__all__ = ["AMOUNTS", "COUPONS", "DRAFTS", "LINES", "RULES", "respelled"]

AMOUNTS = st.integers(-(10**9), 10**9)
_RATES = st.one_of(
    st.none(), st.sampled_from([0, 700, 1900, 2000, 2333]), st.just(Decimal("887.50"))
)
_INSTANTS = st.integers(0, 10**6).map(
    lambda minutes: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
LINES = st.lists(
    st.builds(
        InvoiceLine,
        amount=AMOUNTS,
        kind=st.sampled_from(["recurring", "usage", "proration"]),
        discountable=st.booleans(),
        tax_bps=_RATES,
        description=st.text(max_size=5),
        quantity=st.one_of(st.none(), st.decimals(0, 1000, places=3)),
        period_start=st.one_of(st.none(), _INSTANTS),
    ),
    max_size=8,
).map(tuple)
COUPONS = st.lists(
    st.one_of(
        st.builds(Coupon, percent_bps=st.integers(0, 10_000)),
        st.builds(Coupon, amount_off=st.integers(0, 10**9)),
    ),
    max_size=4,
).map(tuple)
RULES = st.builds(
    TaxRules,
    behavior=st.sampled_from(["exclusive", "inclusive"]),
    rounding=st.sampled_from(["invoice", "line"]),
)
DRAFTS = st.builds(
    InvoiceDraft,
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
    lines=LINES,
    coupons=COUPONS,
    tax=RULES,
    customer_credit_balance=AMOUNTS,
    minimum_charge=st.sampled_from([0, 50, 10**9]),
    period_start=st.one_of(st.none(), _INSTANTS),
)


def respelled(draft: InvoiceDraft) -> InvoiceDraft:
    """An equal draft that was read from JSON, in another time zone and with idle zeros."""
    again = msgspec.json.decode(msgspec.json.encode(draft), type=InvoiceDraft)
    lines = tuple(
        msgspec.structs.replace(
            line,
            period_start=_elsewhere(line.period_start),
            quantity=None if line.quantity is None else line.quantity + Decimal("0.0000"),
        )
        for line in again.lines
    )
    return msgspec.structs.replace(again, lines=lines, period_start=_elsewhere(again.period_start))


def _elsewhere(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(timezone(timedelta(hours=5, minutes=30)))
