"""What do coupons take off, and off which lines?

In their given order, each on what the ones before it left: one rounded amount, shared out over the
lines in proportion to what is left of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from payengine.billing.invoice_lines import InvoiceLine, require_minor
from payengine.errors import CurrencyMismatch, InputInvalid
from payengine.money import allocate, round_half_away

__all__ = ["MOST_COUPONS", "Coupon", "Discounts", "apply_coupons"]

#: The coupons of one invoice.
MOST_COUPONS = 20

_WHOLE_BPS = 10_000


class Coupon(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the price (`percent_bps`, hundredths of a percent) or an amount, never both.

    An `amount_off` is in minor units of the invoice's currency; where the coupon names a `currency`
    it must be the invoice's. `products` are those it is good for; none named means all.
    """

    percent_bps: int | None = None
    amount_off: int | None = None
    currency: str | None = None
    id: str | None = None
    products: tuple[str, ...] = ()


class Discounts(msgspec.Struct, frozen=True):
    """What each coupon took off, in their order, and what each line lost; both have one sum."""

    per_coupon: tuple[int, ...]
    per_line: tuple[int, ...]

    @property
    def total(self) -> int:
        """All that was taken off, in minor units."""
        return sum(self.per_coupon)


def apply_coupons(
    lines: Sequence[InvoiceLine], coupons: Sequence[Coupon], *, currency: str
) -> Discounts:
    """What the coupons take off, never more than a line's amount.

    Raises `InputInvalid` for a coupon that is neither a part nor an amount, or both, or out of its
    bounds, and for more than `MOST_COUPONS`; `CurrencyMismatch` for one of another currency.
    """
    if len(coupons) > MOST_COUPONS:
        raise InputInvalid(f"An invoice takes at most {MOST_COUPONS} coupons.", path=("coupons",))
    left = [line.amount if line.takes_coupons else 0 for line in lines]
    per_coupon = []
    for coupon in coupons:
        _check(coupon, currency)
        weights = [
            rest if _is_good_for(coupon, line) else 0
            for line, rest in zip(lines, left, strict=True)
        ]
        amount = _amount_off(coupon, subtotal=sum(weights))
        parts = allocate(amount, weights)
        left = [rest - part for rest, part in zip(left, parts, strict=True)]
        per_coupon.append(amount)
    before = (line.amount if line.takes_coupons else 0 for line in lines)
    per_line = tuple(amount - rest for amount, rest in zip(before, left, strict=True))
    return Discounts(tuple(per_coupon), per_line)


def _amount_off(coupon: Coupon, *, subtotal: int) -> int:
    if coupon.amount_off is not None:
        return min(coupon.amount_off, subtotal)
    return round_half_away(subtotal * (coupon.percent_bps or 0), denominator=_WHOLE_BPS)


def _is_good_for(coupon: Coupon, line: InvoiceLine) -> bool:
    return not coupon.products or line.product in coupon.products


def _check(coupon: Coupon, currency: str) -> None:
    if (coupon.percent_bps is None) == (coupon.amount_off is None):
        raise InputInvalid("A coupon takes off a part or an amount.", path=("coupons",))
    if coupon.currency not in (None, currency):
        raise CurrencyMismatch(
            f"The coupon is in {coupon.currency}, the invoice in {currency}.", path=("coupons",)
        )
    if coupon.amount_off is not None:
        if require_minor(coupon.amount_off, what="coupon's amount") < 0:
            raise InputInvalid("A coupon cannot raise the price.", path=("coupons",))
    elif type(coupon.percent_bps) is not int or not 0 <= coupon.percent_bps <= _WHOLE_BPS:
        raise InputInvalid("A coupon takes off 0 to 10000 basis points.", path=("coupons",))
