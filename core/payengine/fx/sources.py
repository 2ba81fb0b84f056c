"""What becomes of what a publisher, or the tenant itself, says about rates?

Only what is a rate of a currency is kept. A publisher's list may hold currencies that nobody here
knows and is taken without them; a tenant who pushes one is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from payengine.context import TenantContext
from payengine.errors import InputInvalid, UnknownCurrency
from payengine.fx.conversion import parse_rate
from payengine.fx.rates import DailyRates, DatedRate, rate_on
from payengine.money import currency as find_currency
from payengine.plugin import ToldRates
from payengine.registry import RateDesk

__all__ = ["PUSHED", "ask_rate", "pushed_rates", "rates_told"]

#: The source of rates that a tenant pushes.
PUSHED = "tenant"

#: The most rates of one push.
_MOST_PUSHED = 1_000


def rates_told(told: ToldRates, *, source: str, base: str) -> DailyRates:
    """The rates of a source's answer; what is no currency or no rate is left out."""
    days: dict[date, dict[str, str]] = {}
    for one in told.days:
        known = {code: text for code, text in one.rates.items() if _is_rate(code, text)}
        if known:
            days.setdefault(one.day, {}).update(known)
    return DailyRates(source=source, base=base, days=days)


def pushed_rates(base: str, days: Mapping[date, Mapping[str, str]]) -> DailyRates:
    """The rates that a tenant pushes, taken as a whole or not at all.

    Raises `UnknownCurrency`, and `InputInvalid` for what is no rate, for a rate of the base in
    itself other than 1, and for more than a thousand.
    """
    find_currency(base)
    if sum(len(rates) for rates in days.values()) > _MOST_PUSHED:
        raise InputInvalid(f"At most {_MOST_PUSHED} rates are pushed at once.")
    for rates in days.values():
        for code, text in rates.items():
            find_currency(code)
            if parse_rate(text) != 1 and code == base:
                raise InputInvalid("A currency is worth 1 of itself.")
    return DailyRates(
        source=PUSHED, base=base, days={day: dict(rates) for day, rates in days.items()}
    )


async def ask_rate(
    desk: RateDesk,
    context: TenantContext,
    name: str,
    *,
    day: date,
    source: str,
    target: str,
    deadline_ms: int,
) -> DatedRate:
    """Units of `target` for 1 of `source`, as the rate source of this name has it for `day`.

    Raises what `RateDesk.ask` does, `UnknownCurrency`, and `RateNotAvailable` where no day within
    `MAX_AGE_DAYS` knows both.
    """
    find_currency(source)
    find_currency(target)
    told = await desk.ask(context, name, day=day, deadline_ms=deadline_ms)
    base = desk.source(name).manifest.base
    return rate_on(rates_told(told, source=name, base=base), day, source=source, target=target)


def _is_rate(code: str, text: str) -> bool:
    try:
        find_currency(code)
        parse_rate(text)
    except (InputInvalid, UnknownCurrency):
        return False
    return True
