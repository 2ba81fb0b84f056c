"""How is an amount written in a bank's files?

As a decimal text with a point. It is read by its digits, never through a float.
"""

from __future__ import annotations

import re

__all__ = ["CURRENCY", "LARGEST_MINOR", "AmountUnreadable", "read_amount", "spell_amount"]

CURRENCY = "EUR"
#: 999,999,999.99 euros: the most that a SEPA order may carry (implementation guidelines, AT-04).
LARGEST_MINOR = 99_999_999_999

_DECIMAL = re.compile(r"\+?(?P<whole>\d{1,16})(?:\.(?P<part>\d{0,5}))?", re.ASCII)


class AmountUnreadable(ValueError):
    """The text is no amount with at most two decimals that count."""


def read_amount(text: str) -> int:
    """The cents that a decimal text such as `12.3` says; raises `AmountUnreadable`."""
    found = _DECIMAL.fullmatch(text.strip()[:40])
    if found is None:
        raise AmountUnreadable("this is no amount")
    part = (found["part"] or "").ljust(2, "0")
    if part[2:].strip("0"):
        raise AmountUnreadable("an amount in euros has two decimals")
    return int(found["whole"]) * 100 + int(part[:2])


def spell_amount(minor: int) -> str:
    """`1230` as `12.30`."""
    whole, cents = divmod(minor, 100)
    return f"{whole}.{cents:02d}"
