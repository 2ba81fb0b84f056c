"""How much tax is on each line?

The exact tax of every line is summed per rate and rounded once per rate; the rounded sum is spread
back over the rate's lines. A tenant may round on each line instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import Literal

import msgspec

from payengine.billing.invoice_lines import TaxRate, exact_rate, rate_text
from payengine.money import round_half_away

__all__ = ["RateTax", "TaxRules", "Taxes", "compute_tax", "exact_tax", "spread", "whole"]


class TaxRules(msgspec.Struct, frozen=True, kw_only=True):
    """Whether prices hold the tax (`inclusive`), and where it is rounded."""

    behavior: Literal["exclusive", "inclusive"] = "exclusive"
    rounding: Literal["invoice", "line"] = "invoice"


class RateTax(msgspec.Struct, frozen=True):
    """The tax of one rate: on how much, without the tax, and how much; in minor units."""

    rate: str
    taxable: int
    amount: int


class Taxes(msgspec.Struct, frozen=True):
    """The tax of each line and of each rate; both have one sum. Rates rise."""

    per_line: tuple[int, ...]
    per_rate: tuple[RateTax, ...]

    @property
    def total(self) -> int:
        """All tax, in minor units."""
        return sum(self.per_line)


def whole(exact: Fraction) -> int:
    """The nearest integer; a half goes away from zero."""
    return round_half_away(exact.numerator, denominator=exact.denominator)


def exact_tax(amount: int | Fraction, rate: TaxRate, *, rules: TaxRules) -> Fraction:
    """The tax on or in `amount`, not rounded; raises `InputInvalid` for a rate that is none."""
    part = exact_rate(rate)
    if rules.behavior == "inclusive":
        return Fraction(amount) * part / (1 + part)
    return Fraction(amount) * part


def compute_tax(
    amounts: Sequence[int], rates: Sequence[TaxRate | None], *, rules: TaxRules
) -> Taxes:
    """The tax of lines of these amounts, their discounts taken off, in minor units.

    A line without a rate bears none. Raises `InputInvalid` for a rate that is none.
    """
    by_rate: dict[Fraction, list[int]] = {}
    exact: dict[int, Fraction] = {}
    for index, (amount, rate) in enumerate(zip(amounts, rates, strict=True)):
        if rate is not None:
            exact[index] = exact_tax(amount, rate, rules=rules)
            by_rate.setdefault(exact_rate(rate), []).append(index)
    per_line = [0] * len(amounts)
    per_rate = []
    for part in sorted(by_rate):
        places = by_rate[part]
        shares = [exact[place] for place in places]
        parts = [whole(share) for share in shares] if rules.rounding == "line" else spread(shares)
        for place, tax in zip(places, parts, strict=True):
            per_line[place] = tax
        taxable = sum(amounts[place] for place in places)
        taxable -= sum(parts) if rules.behavior == "inclusive" else 0
        rate = rates[places[0]]
        per_rate.append(RateTax(rate_text(rate or 0), taxable, sum(parts)))
    return Taxes(tuple(per_line), tuple(per_rate))


def spread(exact: Sequence[Fraction]) -> list[int]:
    """Whole numbers near `exact` whose sum is its sum, rounded once: the largest remainder.

    Each is less than one unit from its exact value; ties go to the earlier one, and a negative sum
    is the mirror image of the positive one. Unlike `allocate` this takes values of both signs, as
    the lines of an invoice with credits have, whose sum may be near zero.
    """
    total = whole(sum(exact, Fraction(0)))
    if total < 0:
        return [-part for part in spread([-value for value in exact])]
    parts = [floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: parts[place] - exact[place])
    for place in by_remainder[: total - sum(parts)]:
        parts[place] += 1
    return parts
