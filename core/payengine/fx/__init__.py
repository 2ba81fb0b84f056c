"""What is it worth in another currency?

Pure rules: `conversion` computes with exact rates, `rates` finds the one that holds for a date,
`quotes` promises, `settlement` says what was gained or lost, and `postings` books each apart.
"""

from __future__ import annotations

from payengine.fx.conversion import Rounding, convert, cross_rate, customer_rate, parse_rate
from payengine.fx.quotes import Quote, quote
from payengine.fx.rates import DailyRates, DatedRate, rate_on

__all__ = [
    "DailyRates",
    "DatedRate",
    "Quote",
    "Rounding",
    "convert",
    "cross_rate",
    "customer_rate",
    "parse_rate",
    "quote",
    "rate_on",
]
