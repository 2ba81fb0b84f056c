"""What is an amount worth in the currency that a tenant's rules compare in?

Rules compare and add up amounts, which says something only in one currency. A tenant names it; an
amount in another is converted at the rate of its day. Where nobody has told that rate, the amount
stays as it is, and its currency says so: nothing is guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction

import msgspec

from payengine.fx.book import rates_into
from payengine.fx.conversion import convert
from payengine.money import currency as find_currency
from payengine.plugin.fraud import FraudContext
from payengine.storage import Session

__all__ = ["Base", "based", "read_base", "rebased"]

_LARGEST = 2**63 - 1


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant's base currency, and how many units of it 1 of another currency is worth."""

    currency: str
    rates: Mapping[str, Fraction]

    def scales(self) -> dict[str, tuple[str, str]]:
        """By what the minor units of each currency are multiplied, and then divided, exactly."""
        digits = find_currency(self.currency).exponent
        found = {self.currency: ("1", "1")}
        for code, rate in self.rates.items():
            scale = rate * Fraction(10) ** (digits - find_currency(code).exponent)
            found[code] = (str(scale.numerator), str(scale.denominator))
        return found


def based(base: Base | None, amount_minor: int, currency: str) -> tuple[int, str]:
    """The amount in minor units of the base currency, rounded half to even, and that currency.

    Both are the amount's own where there is no base, where its rate is not known, and where the
    result would be no 64-bit integer. Pure.
    """
    if base is None or currency == base.currency:
        return amount_minor, currency
    rate = base.rates.get(currency)
    if rate is None:
        return amount_minor, currency
    found = convert(amount_minor, source=currency, target=base.currency, rate=rate)
    return (found, base.currency) if abs(found) <= _LARGEST else (amount_minor, currency)


def rebased(context: FraudContext, base: Base | None) -> FraudContext:
    """What was told before, with its amount in the base currency of now. Pure."""
    if base is None or context.base_currency == base.currency:
        return context
    minor, code = based(base, context.amount_minor, context.currency)
    return msgspec.structs.replace(context, base_minor=minor, base_currency=code)


async def read_base(
    session: Session,
    tenant_id: uuid.UUID,
    currency: str,
    *,
    day: date,
    sources: Sequence[str],
) -> Base:
    """The base currency with the rates of a day, of which none is older than four days."""
    told = await rates_into(session, tenant_id, day=day, target=currency, sources=sources)
    return Base(currency=currency, rates={code: rate.exact for code, rate in told.items()})
