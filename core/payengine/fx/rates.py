"""Which rate holds for a date?

A source tells the rates of business days against one base. On a day without rates the last one
before it holds, if it is at most four days old; both the date and the source are kept with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction

import msgspec

from payengine.errors import RateNotAvailable
from payengine.fx.conversion import cross_rate, parse_rate, rate_text

__all__ = ["MAX_AGE_DAYS", "DailyRates", "DatedRate", "rate_on"]

#: How many days back a rate may lie.
MAX_AGE_DAYS = 4


class DailyRates(msgspec.Struct, frozen=True, kw_only=True):
    """For each day, units of each currency for 1 of `base`, as exact decimal texts."""

    source: str
    base: str
    days: Mapping[date, Mapping[str, str]]


class DatedRate(msgspec.Struct, frozen=True, kw_only=True):
    """An exact rate as a text, the day on which it was set, and who said so."""

    rate: str
    rate_date: date
    rate_source: str

    @property
    def exact(self) -> Fraction:
        """The rate to compute with."""
        return parse_rate(self.rate)


def rate_on(rates: DailyRates, day: date, *, source: str, target: str) -> DatedRate:
    """Units of `target` for 1 of `source`, by the rates of the last day that knows both.

    A pair that does not include the base is crossed through it, exactly. Raises
    `RateNotAvailable` where no day within `MAX_AGE_DAYS` knows both.
    """
    for back in range(MAX_AGE_DAYS + 1):
        known = rates.days.get(day - timedelta(days=back))
        if known is None:
            continue
        legs = [_leg(known, rates.base, code) for code in (source, target)]
        if legs[0] is None or legs[1] is None:
            continue
        if source == rates.base:
            text = legs[1]
        else:
            crossed = cross_rate(
                base_to_source=parse_rate(legs[0]), base_to_target=parse_rate(legs[1])
            )
            text = rate_text(crossed)
        return DatedRate(rate=text, rate_date=day - timedelta(days=back), rate_source=rates.source)
    raise RateNotAvailable


def _leg(known: Mapping[str, str], base: str, code: str) -> str | None:
    return "1" if code == base else known.get(code)
