"""Is a preview the invoice, byte for byte, and does every part of it sum?

Each history is a row of invoices of one customer whose balance goes from one to the next.
`PAYENGINE_NIGHTLY` asks for 10,000 histories in place of 100.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.billing.coupons import Coupon
from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoicing import (
    Invoice,
    InvoiceDraft,
    compute_invoice,
    invoice_bytes,
    invoice_hash,
)
from payengine.billing.tax import TaxRules
from payengine.errors import AmountTooLarge, CurrencyMismatch, InputInvalid, UnknownCurrency

from tests.core.billing.drafts import DRAFTS, respelled

_HISTORIES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100


@settings(max_examples=_HISTORIES, deadline=None)
@given(st.lists(DRAFTS, min_size=1, max_size=4))
def test_a_preview_is_the_invoice_that_follows(history: list[InvoiceDraft]) -> None:
    balance = first = history[0].customer_credit_balance
    charged = owed = 0
    for draft in history:
        present = msgspec.structs.replace(draft, customer_credit_balance=balance)
        preview = compute_invoice(respelled(present))
        invoice = compute_invoice(present)
        assert invoice_bytes(preview) == invoice_bytes(invoice)
        assert invoice_hash(preview) == invoice_hash(invoice)
        balance = invoice.ending_credit_balance
        charged += invoice.charge
        owed += invoice.total
    assert charged + first == owed + balance


@given(DRAFTS)
def test_parts_sum_exactly(draft: InvoiceDraft) -> None:
    invoice = compute_invoice(draft)
    lines = invoice.lines
    assert sum(line.line.amount for line in lines) == invoice.subtotal
    assert sum(line.discount for line in lines) == sum(invoice.per_coupon)
    assert sum(line.net for line in lines) == invoice.total_excluding_tax
    assert sum(line.tax for line in lines) == sum(each.amount for each in invoice.taxes)
    assert sum(line.total for line in lines) == invoice.total
    assert invoice.total_excluding_tax + invoice.tax_total == invoice.total
    assert invoice.charge + invoice.carried_forward == invoice.amount_due
    discounted = invoice.subtotal - invoice.discount_total
    inclusive = draft.tax.behavior == "inclusive"
    assert discounted == (invoice.total if inclusive else invoice.total_excluding_tax)
    taxed = {line.line.tax_bps for line in lines} - {None}
    assert len(taxed) == len(invoice.taxes)


@given(DRAFTS, DRAFTS)
def test_other_invoices_have_other_bytes(one: InvoiceDraft, other: InvoiceDraft) -> None:
    first, second = compute_invoice(one), compute_invoice(other)
    assert (first == second) == (invoice_hash(first) == invoice_hash(second))


def test_bytes_are_read_back_as_the_same_invoice() -> None:
    draft = InvoiceDraft(
        currency="EUR",
        lines=(InvoiceLine(amount=999, tax_bps=1900),),
        coupons=(Coupon(percent_bps=1000),),
        tax=TaxRules(behavior="inclusive"),
        period_start=datetime(2025, 6, 1, tzinfo=UTC),
    )
    invoice = compute_invoice(draft)
    assert msgspec.json.decode(invoice_bytes(invoice), type=Invoice) == invoice


def test_the_spelling_does_not_change_from_one_release_to_the_next() -> None:
    draft = InvoiceDraft(currency="EUR", lines=(InvoiceLine(amount=1190, tax_bps=1900),))
    shown = "a14393c4"
    assert invoice_hash(compute_invoice(draft)).startswith(shown)


def test_what_is_too_little_to_charge_is_taken_off_the_balance() -> None:
    lines = (InvoiceLine(amount=30),)
    small = compute_invoice(InvoiceDraft(currency="USD", lines=lines, minimum_charge=50))
    assert (small.amount_due, small.charge, small.carried_forward) == (30, 0, 30)
    assert small.ending_credit_balance == -30


def test_an_invoice_without_lines_is_over_nothing() -> None:
    invoice = compute_invoice(InvoiceDraft(currency="USD", lines=()))
    assert (invoice.total, invoice.amount_due, invoice.charge) == (0, 0, 0)


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (InvoiceDraft(currency="XXY", lines=()), UnknownCurrency),
        (InvoiceDraft(currency="USD", lines=(InvoiceLine(amount=2**62),) * 3), AmountTooLarge),
        (
            InvoiceDraft(currency="USD", lines=(), coupons=(Coupon(amount_off=1, currency="EUR"),)),
            CurrencyMismatch,
        ),
        (
            InvoiceDraft(currency="USD", lines=(), period_end=datetime(2025, 1, 1)),  # noqa: DTZ001
            InputInvalid,
        ),
        (InvoiceDraft(currency="USD", lines=(), minimum_charge=-1), InputInvalid),
    ],
)
def test_a_draft_that_is_none_is_refused(draft: InvoiceDraft, error: type[Exception]) -> None:
    with pytest.raises(error):
        compute_invoice(draft)
