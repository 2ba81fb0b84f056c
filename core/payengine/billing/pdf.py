"""What does the invoice look like on paper?

A pure function: the same invoice, words and colours make the same bytes. It takes some hundredths
of a second of computing, so a server calls it in a thread.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import resources
from typing import Any, Literal

import msgspec

from payengine.billing.invoice_words import (
    InvoiceWords,
    amount_text,
    day_text,
    number_text_in,
    words_of,
)
from payengine.billing.invoicing import ComputedLine, Invoice
from payengine.billing.wall_clock import local_date, time_zone
from payengine.errors import InputInvalid

__all__ = ["InvoicePaper", "invoice_pdf"]

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z0-9]{1,8}){0,3}")

#: Comes with the compiler, so that paper looks the same on every machine.
_FONT = "Libertinus Serif"

#: The lines of an address.
_MOST_ADDRESS_LINES = 12
_MOMENT = timedelta(microseconds=1)


class InvoicePaper(msgspec.Struct, frozen=True, kw_only=True):
    """What the paper shows beside the invoice: the parties, the tenant's language and colour.

    Days are those of `time_zone`. `color` is `#rrggbb`. A script that the built-in font lacks needs
    `fonts`, by family, found in the folders `font_folders`.
    """

    number: str
    issued_at: datetime
    due_at: datetime | None = None
    seller: tuple[str, ...] = ()
    buyer: tuple[str, ...] = ()
    language: str = "en"
    color: str = "#1f4e79"
    time_zone: str = "UTC"
    paper: Literal["a4", "us-letter"] = "a4"
    footer: str = ""
    note: str = ""
    fonts: tuple[str, ...] = ()
    font_folders: tuple[str, ...] = ()


def invoice_pdf(invoice: Invoice, paper: InvoicePaper) -> bytes:
    """The invoice as PDF/A-2b, for keeping; raises `InputInvalid` for a colour or language.

    Languages without words of ours are written in English.
    """
    if not _COLOR.fullmatch(paper.color):
        raise InputInvalid("A colour is written #rrggbb.", path=("color",))
    if not _LANGUAGE.fullmatch(paper.language):
        raise InputInvalid("A language is a tag such as de or de-AT.", path=("language",))
    if max(len(paper.seller), len(paper.buyer)) > _MOST_ADDRESS_LINES:
        raise InputInvalid(f"An address has at most {_MOST_ADDRESS_LINES} lines.")
    import typst

    template = resources.files("payengine.billing").joinpath("invoice.typ").read_bytes()
    fonts = typst.Fonts(include_system_fonts=False, font_paths=list(paper.font_folders))
    return typst.compile(
        template,
        format="pdf",
        font_paths=fonts,
        sys_inputs={"data": msgspec.json.encode(_data(invoice, paper)).decode()},
        pdf_standards=["a-2b"],
        timestamp=int(paper.issued_at.timestamp()),
    )


def _data(invoice: Invoice, paper: InvoicePaper) -> dict[str, Any]:
    words = words_of(paper.language)
    return {
        "title": f"{words.invoice} {paper.number}",
        "heading": words.invoice,
        "language": paper.language.partition("-")[0].lower(),
        "color": paper.color,
        "paper": paper.paper,
        "fonts": [*paper.fonts, _FONT],
        "footer": paper.footer,
        "note": paper.note,
        "seller": paper.seller,
        "buyer": paper.buyer,
        "labels": words,
        "facts": _facts(invoice, paper, words),
        "lines": [_line(line, invoice.currency, paper, words) for line in invoice.lines],
        "sums": _sums(invoice, words),
    }


def _facts(invoice: Invoice, paper: InvoicePaper, words: InvoiceWords) -> list[dict[str, str]]:
    facts = [(words.number, paper.number), (words.issued, _day(paper.issued_at, paper, words))]
    if paper.due_at is not None:
        facts.append((words.due, _day(paper.due_at, paper, words)))
    period = _period(invoice.period_start, invoice.period_end, paper, words)
    facts += [(words.period, period)] if period else []
    return [{"name": name, "value": value} for name, value in facts]


def _line(
    computed: ComputedLine, currency: str, paper: InvoicePaper, words: InvoiceWords
) -> dict[str, str]:
    line = computed.line
    quantity = "" if line.quantity is None else number_text_in(f"{line.quantity:f}", words=words)
    rate = "" if line.tax_bps is None else _percent(str(Decimal(line.tax_bps)), words)
    return {
        "description": line.description or line.product or "",
        "period": _period(line.period_start, line.period_end, paper, words),
        "quantity": quantity,
        "tax_rate": rate,
        "amount": amount_text(line.amount, currency, words=words),
    }


def _sums(invoice: Invoice, words: InvoiceWords) -> list[dict[str, Any]]:
    taxes = words.tax_included if invoice.tax.behavior == "inclusive" else words.tax
    rows = [(words.subtotal, invoice.subtotal, False)]
    rows += [(words.discount, -amount, False) for amount in invoice.per_coupon if amount]
    if invoice.taxes:
        rows.append((words.net, invoice.total_excluding_tax, False))
    rows += [
        (f"{taxes} {_percent(each.rate, words)}", each.amount, False) for each in invoice.taxes
    ]
    rows.append((words.total, invoice.total, True))
    if invoice.credit_applied > 0:
        rows.append((words.credit_applied, -invoice.credit_applied, False))
    elif invoice.credit_applied < 0:
        rows.append((words.carried_over, -invoice.credit_applied, False))
    rows.append((words.amount_due, invoice.amount_due, True))
    return [
        {"name": name, "value": amount_text(amount, invoice.currency, words=words), "strong": bold}
        for name, amount, bold in rows
    ]


def _percent(basis_points: str, words: InvoiceWords) -> str:
    percent = Decimal(basis_points).scaleb(-2)
    text = f"{percent:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{number_text_in(text or '0', words=words)} %"


def _day(at: datetime, paper: InvoicePaper, words: InvoiceWords) -> str:
    return day_text(local_date(at, time_zone(paper.time_zone)), words=words)


def _period(
    start: datetime | None, end: datetime | None, paper: InvoicePaper, words: InvoiceWords
) -> str:
    """From the first to the last day, which is the one before the end."""
    if start is None or end is None:
        return ""
    last = max(end - _MOMENT, start)
    return f"{_day(start, paper, words)} – {_day(last, paper, words)}"
