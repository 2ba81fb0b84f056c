"""What is an amount worth in another currency?

A rate is exact: how many units of the target one unit of the source buys, both counted in major
units. It is a ratio of integers from beginning to end, and the product is rounded once.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Literal

from payengine.errors import CurrencyMismatch, InputInvalid
from payengine.money import currency as find_currency
from payengine.money import round_half_away

__all__ = [
    "BPS",
    "Rounding",
    "convert",
    "cross_rate",
    "customer_rate",
    "parse_rate",
    "rate_text",
    "round_by",
    "significant",
]

#: Basis points in a whole.
BPS = 10_000

#: `half_up` is symmetric (a half goes away from zero); `down` goes towards zero.
Rounding = Literal["half_even", "half_up", "down"]

_DECIMAL = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")
_RATIO = re.compile(r"([0-9]{1,40})/([0-9]{1,40})")


def parse_rate(text: str) -> Fraction:
    """A rate from a decimal (`1.0956`) or a ratio (`625/97300`), exact and above zero.

    Raises `InputInvalid` for anything else; exponents and signs are none of it.
    """
    ratio = _RATIO.fullmatch(text)
    if ratio is not None and int(ratio[2]):
        rate = Fraction(int(ratio[1]), int(ratio[2]))
    elif _DECIMAL.fullmatch(text):
        rate = Fraction(Decimal(text))
    else:
        raise InputInvalid("An exchange rate is a decimal number such as 1.0956.")
    if not rate:
        raise InputInvalid("An exchange rate is above zero.")
    return rate


def rate_text(rate: Fraction) -> str:
    """The shortest text from which `parse_rate` makes the same rate: a decimal, else a ratio."""
    twos = fives = 0
    rest = rate.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    digits = max(twos, fives)
    if rest != 1 or digits > 30:
        return f"{rate.numerator}/{rate.denominator}"
    whole = rate.numerator * 10**digits // rate.denominator
    if not digits:
        return str(whole)
    units, part = divmod(whole, 10**digits)
    return f"{units}.{part:0{digits}d}"


def significant(rate: Fraction, *, digits: int) -> str:
    """The rate for the eye, at so many significant digits; never to be computed with."""
    context = Context(prec=digits, rounding=ROUND_HALF_EVEN)
    return f"{context.divide(Decimal(rate.numerator), Decimal(rate.denominator)):f}"


def round_by(exact: Fraction, rounding: Rounding) -> int:
    """The integer that a mode makes of an exact value."""
    match rounding:
        case "half_even":
            return round(exact)
        case "half_up":
            return round_half_away(exact.numerator, denominator=exact.denominator)
        case "down":
            whole = abs(exact.numerator) // exact.denominator
            return -whole if exact < 0 else whole
        case _:
            raise InputInvalid("A rounding is half_even, half_up or down.")


def convert(
    amount_minor: int,
    *,
    source: str,
    target: str,
    rate: Fraction,
    rounding: Rounding = "half_even",
) -> int:
    """`amount_minor` of `source` in minor units of `target`, which may be 0; any sign.

    Raises `UnknownCurrency`, and `CurrencyMismatch` for a rate other than 1 within one currency.
    """
    if type(amount_minor) is not int:
        raise TypeError(f"Minor units are an integer, not {type(amount_minor).__name__}.")
    if source == target and rate != 1:
        raise CurrencyMismatch("Within one currency the exchange rate is 1.")
    digits = find_currency(target).exponent - find_currency(source).exponent
    scale = Fraction(10**digits) if digits >= 0 else Fraction(1, 10**-digits)
    return round_by(amount_minor * rate * scale, rounding)


def cross_rate(*, base_to_source: Fraction, base_to_target: Fraction) -> Fraction:
    """Source to target through a base in which both are quoted: exact, nothing is rounded."""
    return Fraction(
        base_to_target.numerator * base_to_source.denominator,
        base_to_target.denominator * base_to_source.numerator,
    )


def customer_rate(mid: Fraction, *, markup_bps: int) -> Fraction:
    """What the customer gets for a unit: the mid rate less the markup.

    Raises `InputInvalid` for a markup below 0 or of the whole and more.
    """
    if not 0 <= markup_bps < BPS:
        raise InputInvalid(f"A markup is 0 to {BPS - 1} basis points.")
    return mid * Fraction(BPS - markup_bps, BPS)
