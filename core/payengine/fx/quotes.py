"""Which rate was promised, and until when?

A quote keeps its rounding and both amounts in minor units, so that nothing is computed again later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

import msgspec

from payengine.errors import AmountNotPositive, AmountTooSmall, FxQuoteExpired
from payengine.fx.conversion import Rounding, convert, customer_rate, rate_text

__all__ = ["LOCKS", "Lock", "Quote", "Worth", "check_usable", "expires_at", "quote", "worth"]

Lock = Literal["none", "five_minutes", "hour", "day"]

#: How long a rate is promised; `none` is a rate to look at.
LOCKS: dict[Lock, timedelta] = {
    "none": timedelta(0),
    "five_minutes": timedelta(minutes=5),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units of the target: at the mid rate, what the customer gets, and the difference."""

    mid_minor: int
    customer_minor: int
    markup_minor: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """Both amounts in minor units; rates as exact texts; usable before `expires_at`."""

    source_currency: str
    source_minor: int
    target_currency: str
    target_minor: int
    mid_minor: int
    markup_minor: int
    mid_rate: str
    customer_rate: str
    markup_bps: int
    rounding: Rounding
    rate_source: str
    rate_date: str
    created_at: datetime
    expires_at: datetime


def worth(
    amount_minor: int,
    *,
    source: str,
    target: str,
    mid: Fraction,
    markup_bps: int = 0,
    rounding: Rounding = "half_even",
) -> Worth:
    """Each of the two products is rounded once; the markup is what lies between them."""
    at_mid = convert(amount_minor, source=source, target=target, rate=mid, rounding=rounding)
    paid = convert(
        amount_minor,
        source=source,
        target=target,
        rate=customer_rate(mid, markup_bps=markup_bps),
        rounding=rounding,
    )
    return Worth(mid_minor=at_mid, customer_minor=paid, markup_minor=at_mid - paid)


def expires_at(created_at: datetime, lock: Lock) -> datetime:
    """The first instant at which the promise holds no more."""
    return created_at + LOCKS[lock]


def quote(
    amount_minor: int,
    *,
    source: str,
    target: str,
    mid: Fraction,
    created_at: datetime,
    lock: Lock,
    rate_source: str,
    rate_date: str,
    markup_bps: int = 0,
    rounding: Rounding = "half_even",
) -> Quote:
    """Promise a conversion.

    Raises `AmountNotPositive`, and `AmountTooSmall` where the customer would get nothing.
    """
    if amount_minor <= 0:
        raise AmountNotPositive
    found = worth(
        amount_minor,
        source=source,
        target=target,
        mid=mid,
        markup_bps=markup_bps,
        rounding=rounding,
    )
    if found.customer_minor <= 0:
        raise AmountTooSmall
    return Quote(
        source_currency=source,
        source_minor=amount_minor,
        target_currency=target,
        target_minor=found.customer_minor,
        mid_minor=found.mid_minor,
        markup_minor=found.markup_minor,
        mid_rate=rate_text(mid),
        customer_rate=rate_text(customer_rate(mid, markup_bps=markup_bps)),
        markup_bps=markup_bps,
        rounding=rounding,
        rate_source=rate_source,
        rate_date=rate_date,
        created_at=created_at,
        expires_at=expires_at(created_at, lock),
    )


def check_usable(expires: datetime, *, at: datetime) -> None:
    """Raise `FxQuoteExpired` from the very instant `expires` on; both aware."""
    if at >= expires:
        raise FxQuoteExpired
