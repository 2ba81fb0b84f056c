"""Can the paper be read, in the tenant's language and colour, and is it the same each time?"""

from __future__ import annotations

import io
from datetime import UTC, datetime

import msgspec
import pytest
from payengine.billing.coupons import Coupon
from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoice_words import LANGUAGES
from payengine.billing.invoicing import Invoice, InvoiceDraft, compute_invoice
from payengine.billing.pdf import InvoicePaper, invoice_pdf
from payengine.billing.tax import TaxRules
from payengine.errors import InputInvalid
from pypdf import PdfReader

_PAPER = InvoicePaper(
    number="INV-000042",
    issued_at=datetime(2025, 6, 30, 23, tzinfo=UTC),
    seller=("Acorn GmbH", "Eichenweg 1", "10115 Berlin"),
    buyer=("Zoë *Müller* #1 [x]", "$y_1$"),
)


def _invoice(*, behavior: str = "exclusive", balance: int = 0) -> Invoice:
    lines = (
        InvoiceLine(
            amount=123_456,
            tax_bps=1900,
            description="Team plan",
            period_start=datetime(2025, 6, 1, tzinfo=UTC),
            period_end=datetime(2025, 7, 1, tzinfo=UTC),
        ),
        InvoiceLine(amount=-1000, tax_bps=700, description="Unused time", kind="proration"),
    )
    rules = TaxRules(behavior="inclusive" if behavior == "inclusive" else "exclusive")
    draft = InvoiceDraft(
        currency="EUR",
        lines=lines,
        coupons=(Coupon(percent_bps=1000),),
        tax=rules,
        customer_credit_balance=balance,
    )
    return compute_invoice(draft)


def _pages(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def _text(invoice: Invoice, **changes: object) -> str:
    paper = msgspec.structs.replace(_PAPER, **changes)
    text = "\n".join(_pages(invoice_pdf(invoice, paper)))
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_it_shows_the_amounts_of_the_invoice() -> None:
    text = _text(_invoice())
    assert "INV-000042" in text
    for shown in ("1,234.56 EUR", "−10.00 EUR", "−123.46 EUR", "Tax 19 %", "Tax 7 %", "Total"):
        assert shown in text, shown
    assert "2025-06-01 – 2025-06-30" in text


def test_texts_are_no_markup() -> None:
    text = _text(_invoice())
    assert "Zoë *Müller* #1 [x]" in text
    assert "$y_1$" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_speaks_the_tenants_language(language: str) -> None:
    invoice = _invoice(behavior="inclusive", balance=1)
    words = LANGUAGES[language]
    text = _text(invoice, language=f"{language}-XX", due_at=_PAPER.issued_at)
    for word in (words.invoice, words.due, words.subtotal, words.tax_included, words.amount_due):
        assert word in text, word


def test_numbers_and_days_are_written_as_the_language_does() -> None:
    text = _text(_invoice(balance=-500), language="de", time_zone="Europe/Berlin")
    assert "1.234,56 EUR" in text
    assert "01.07.2025" in text  # it is past midnight in Berlin
    assert "Aus früheren Rechnungen 5,00 EUR" in " ".join(text.split())


def test_a_language_without_words_is_written_in_english() -> None:
    assert "Amount due" in _text(_invoice(), language="tlh")


def test_it_is_the_same_each_time_and_has_the_tenants_colour() -> None:
    invoice = _invoice()
    assert invoice_pdf(invoice, _PAPER) == invoice_pdf(invoice, _PAPER)
    red = msgspec.structs.replace(_PAPER, color="#ff0000")
    reader = PdfReader(io.BytesIO(invoice_pdf(invoice, red)))
    content = reader.pages[0].get_contents()
    assert content is not None
    assert b"1 0 0 scn" in content.get_data()


def test_long_invoices_go_on_over_pages_with_a_heading_on_each() -> None:
    lines = tuple(InvoiceLine(amount=100, description=f"Item {n}") for n in range(200))
    invoice = compute_invoice(InvoiceDraft(currency="JPY", lines=lines))
    pages = _pages(invoice_pdf(invoice, _PAPER))
    assert len(pages) > 3
    assert all("Description" in page for page in pages[:3])
    assert "20,000 JPY" in pages[-1]


@pytest.mark.parametrize(
    "paper",
    [
        msgspec.structs.replace(_PAPER, color="red"),
        msgspec.structs.replace(_PAPER, color='#ff0000")'),
        msgspec.structs.replace(_PAPER, language="../de"),
        msgspec.structs.replace(_PAPER, time_zone="Moon"),
        msgspec.structs.replace(_PAPER, buyer=("x",) * 13),
    ],
)
def test_paper_that_cannot_be_is_refused(paper: InvoicePaper) -> None:
    with pytest.raises(InputInvalid):
        invoice_pdf(_invoice(), paper)
