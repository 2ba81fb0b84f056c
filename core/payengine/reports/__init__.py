"""What do finance and compliance want to read?

Pure folds: `balance` of the lines of an account, `acceptance` of attempts and disputes, `recurring`
and `revenue` of what comes in; `periods` say which instants count, `ratios` and `export` how it is
written. What is counted is passed in.
"""

from __future__ import annotations

from payengine.reports.balance import BalanceReport, BalanceTransaction, balance_report
from payengine.reports.periods import Interval, interval
from payengine.reports.ratios import Ratio, ratio

__all__ = [
    "BalanceReport",
    "BalanceTransaction",
    "Interval",
    "Ratio",
    "balance_report",
    "interval",
    "ratio",
]
