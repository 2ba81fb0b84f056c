"""How is a quantity or a unit price written, and computed with, without loss?

Both are decimals, such as "0.0006": 18 digits before the point and 12 after it at most. They are
written as texts and computed as exact fractions; only an amount is rounded, once, by whoever sums
it up.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from payengine.errors import InputInvalid

__all__ = ["DECIMAL_PLACES", "check_decimal", "parse_decimal", "spell_decimal"]

#: Digits after the point.
DECIMAL_PLACES = 12
_WHOLE_DIGITS = 18
_WRITTEN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SCALE = 10**DECIMAL_PLACES


def parse_decimal(text: str | int, *, name: str = "number") -> Decimal:
    """The decimal that is written; raises `InputInvalid` where it is none or has too many digits.

    A power of ten ("1e3"), a float and a comma are not accepted; a minus is.
    """
    written = str(text) if type(text) is int else text
    most = _WHOLE_DIGITS + DECIMAL_PLACES + 2
    if not isinstance(written, str) or len(written) > most or not _WRITTEN.fullmatch(written):
        raise InputInvalid(f"The {name} is a decimal number, written as a text.", path=(name,))
    number = Decimal(written)
    check_decimal(number, name=name, negative=True)
    return number


def check_decimal(number: Decimal, *, name: str, negative: bool = False) -> None:
    """Raise `InputInvalid` unless finite, within the digits and, save `negative`, not below zero.

    Trailing zeros count for nothing.
    """
    if not number.is_finite() or number.adjusted() >= _WHOLE_DIGITS:
        raise InputInvalid(f"The {name} has more than {_WHOLE_DIGITS} digits.", path=(name,))
    *_, exponent = number.as_tuple()
    if not isinstance(exponent, int) or exponent < -30 or (Fraction(number) * _SCALE) % 1:
        raise InputInvalid(
            f"The {name} has more than {DECIMAL_PLACES} digits after the point.", path=(name,)
        )
    if number < 0 and not negative:
        raise InputInvalid(f"The {name} is not negative.", path=(name,))


def spell_decimal(number: Fraction) -> str:
    """The number as a text without needless zeros; raises `ValueError` if 12 places do not do."""
    scaled = number * _SCALE
    if scaled.denominator != 1:
        raise ValueError(f"{number} needs more than {DECIMAL_PLACES} digits after the point.")
    whole, rest = divmod(abs(scaled.numerator), _SCALE)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{rest:0{DECIMAL_PLACES}d}".rstrip("0").rstrip(".")
