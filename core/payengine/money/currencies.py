"""What is a currency?

A code of ISO 4217 with its exponent: 2 for the dollar, 0 for the yen, 3 for the dinar of Kuwait.
"""

from __future__ import annotations

from dataclasses import dataclass

from payengine.errors import UnknownCurrency
from payengine.money.iso4217 import ROWS

__all__ = ["Currency", "currencies", "currency"]


@dataclass(frozen=True, slots=True)
class Currency:
    """One row of ISO 4217; `numeric` keeps its leading zeros."""

    code: str
    numeric: str
    name: str
    exponent: int


_BY_CODE = {row[0]: Currency(*row) for row in ROWS}


def currency(code: str) -> Currency:
    """The currency of this code, upper case as ISO writes it; raises `UnknownCurrency`."""
    try:
        return _BY_CODE[code]
    except (KeyError, TypeError):
        raise UnknownCurrency from None


def currencies() -> tuple[Currency, ...]:
    """Every currency, ordered by code."""
    return tuple(_BY_CODE.values())
