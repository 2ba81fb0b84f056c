"""How is an amount or a text written in a file that others read?"""

from __future__ import annotations

from typing import Literal

import msgspec

from payengine.money import decimal_text

__all__ = ["StatementAmount", "safe_cell", "statement_amount"]

#: A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection").
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class StatementAmount(msgspec.Struct, frozen=True, kw_only=True):
    """As camt.053 has it: a text without sign, and whether it is a credit or a debit."""

    text: str
    indicator: Literal["CRDT", "DBIT"]


def statement_amount(amount_minor: int, currency: str) -> StatementAmount:
    """With as many decimals as ISO 4217 gives the currency; nothing is a credit of zero."""
    return StatementAmount(
        text=decimal_text(abs(amount_minor), currency),
        indicator="DBIT" if amount_minor < 0 else "CRDT",
    )


def safe_cell(text: str) -> str:
    """A text for a cell of CSV or XLSX: an apostrophe keeps it from becoming a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text
