"""What stands on an invoice before coupons and tax?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from payengine.billing.proration import Proration
from payengine.errors import AmountTooLarge, InputInvalid, UnknownCurrency
from payengine.money import currency as find_currency

__all__ = [
    "MOST_LINES",
    "InvoiceLine",
    "LineKind",
    "TaxRate",
    "canonical_line",
    "check_lines",
    "exact_rate",
    "proration_lines",
    "rate_text",
    "require_currency",
    "require_minor",
]

#: The lines of one invoice; what has more is billed on several.
MOST_LINES = 10_000

#: What a bigint of the database holds.
_MOST_MINOR = 2**63 - 1
_MOST_RATE = 100_000

LineKind = Literal["recurring", "usage", "proration", "adjustment", "one_off"]

#: In hundredths of a percent: 1900 is 19 %; a `Decimal` where that is too coarse, as for 8.875 %.
TaxRate = int | Decimal


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `amount` in minor units, negative for a credit, tax included or not as ruled.

    No coupon touches a line that is not `discountable`, nor a proration: its discount is inside.
    `tax_bps` is `None` where the line is outside of the tax, 0 where it is taxed at zero.
    """

    amount: int
    kind: LineKind = "recurring"
    discountable: bool = True
    tax_bps: TaxRate | None = None
    description: str = ""
    product: str | None = None
    price: str | None = None
    quantity: Decimal | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None

    @property
    def takes_coupons(self) -> bool:
        """Whether a coupon may lower this line: a credit has nothing to take off."""
        return self.discountable and self.kind != "proration" and self.amount > 0


def require_minor(value: object, *, what: str) -> int:
    """`value` if it is an integer that the database can hold.

    Raises `InputInvalid` for anything but an integer, `AmountTooLarge` beyond 64 bits.
    """
    if type(value) is not int:
        raise InputInvalid(f"The {what} must be an integer of minor units.")
    if abs(value) > _MOST_MINOR:
        raise AmountTooLarge(f"The {what} does not fit into 64 bits.")
    return value


def require_currency(code: str) -> None:
    """Raise `UnknownCurrency` at the input's `currency` where ISO 4217 has no such code."""
    try:
        find_currency(code)
    except UnknownCurrency as problem:
        raise UnknownCurrency(problem.message, path=("currency",)) from None


def exact_rate(rate: object) -> Fraction:
    """The rate as an exact part of one: 1900 is 19/100.

    Raises `InputInvalid` for a float, a negative rate and one above a thousand percent.
    """
    if type(rate) is not int and not (isinstance(rate, Decimal) and rate.is_finite()):
        raise InputInvalid("A tax rate is a whole or decimal number of basis points.")
    if not 0 <= rate <= _MOST_RATE:
        raise InputInvalid(f"A tax rate lies between 0 and {_MOST_RATE} basis points.")
    return Fraction(rate) / 10_000


def rate_text(rate: TaxRate) -> str:
    """The rate's one spelling: `1900`, `887.5`."""
    return _plain(Decimal(rate))


def check_lines(lines: Sequence[InvoiceLine]) -> None:
    """Refuse lines that no invoice can carry; raises `InputInvalid` and `AmountTooLarge`."""
    if len(lines) > MOST_LINES:
        raise InputInvalid(f"An invoice has at most {MOST_LINES} lines.", path=("lines",))
    for line in lines:
        require_minor(line.amount, what="amount of a line")
        if line.tax_bps is not None:
            exact_rate(line.tax_bps)
        for instant in (line.period_start, line.period_end):
            if instant is not None and instant.utcoffset() is None:
                raise InputInvalid("The instants of a line name their zone.", path=("lines",))


def proration_lines(
    proration: Proration,
    *,
    period_end: datetime,
    credit: str,
    debit: str,
    product: str | None = None,
    tax_bps: TaxRate | None = None,
) -> tuple[InvoiceLine, ...]:
    """What a change in the middle of a period puts on the next invoice: a credit and a debit.

    `credit` and `debit` describe the lines; one over nothing is left out. Both last from the change
    to `period_end`.
    """
    amounts = ((proration.credit_minor, credit), (proration.debit_minor, debit))
    return tuple(
        InvoiceLine(
            amount=amount,
            kind="proration",
            discountable=False,
            tax_bps=tax_bps,
            description=description,
            product=product,
            period_start=proration.at,
            period_end=period_end,
        )
        for amount, description in amounts
        if amount
    )


def canonical_line(line: InvoiceLine) -> InvoiceLine:
    """The same line in its one spelling: instants in UTC, decimals without idle zeros."""
    return msgspec.structs.replace(
        line,
        tax_bps=None if line.tax_bps is None else _number(line.tax_bps),
        quantity=None if line.quantity is None else Decimal(_plain(line.quantity)),
        period_start=_utc(line.period_start),
        period_end=_utc(line.period_end),
    )


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)


def _number(rate: TaxRate) -> TaxRate:
    return int(rate) if rate == int(rate) else Decimal(_plain(Decimal(rate)))


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text
