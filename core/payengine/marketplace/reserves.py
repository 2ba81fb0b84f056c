"""What is kept back of each sale, and until when?

A rolling reserve is held per sale: so many days later exactly what was taken of that sale returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import msgspec

from payengine.errors import InputInvalid
from payengine.marketplace.splits import BPS
from payengine.money import round_half_away

__all__ = ["Reserve", "ReserveRule", "held_on", "released_between", "reserve"]


class ReserveRule(msgspec.Struct, frozen=True, kw_only=True):
    """Basis points of each sale, for a number of calendar days."""

    reserve_bps: int
    reserve_days: int


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """One sale's: `reserved` minor units return on `released_on`; `available` is the rest."""

    reserved: int
    available: int
    sale_on: date
    released_on: date


def reserve(rule: ReserveRule, *, sale_minor: int, net_minor: int, sale_on: date) -> Reserve:
    """The reserve of a sale, rounded half away from zero and at most what the vendor gets of it.

    `sale_minor` is what the percentage is taken of, `net_minor` what the vendor gets.
    """
    if not 0 <= rule.reserve_bps <= BPS or rule.reserve_days < 0:
        raise InputInvalid("A reserve is 0 to 10,000 basis points for some days.")
    wanted = round_half_away(sale_minor * rule.reserve_bps, denominator=BPS)
    reserved = max(0, min(wanted, net_minor))
    return Reserve(
        reserved=reserved,
        available=net_minor - reserved,
        sale_on=sale_on,
        released_on=sale_on + timedelta(days=rule.reserve_days),
    )


def held_on(reserves: Iterable[Reserve], day: date) -> int:
    """The minor units held on a day: from each sale until the day on which its reserve returns."""
    return sum(each.reserved for each in reserves if each.sale_on <= day < each.released_on)


def released_between(reserves: Iterable[Reserve], *, after: date, until: date) -> int:
    """The minor units that return on the days after `after`, up to and including `until`."""
    return sum(each.reserved for each in reserves if after < each.released_on <= until)
