"""What changed a balance, and which of it went into which payout?

Everything is a fold of balance transactions, the lines of a merchant's account: ending = starting +
net of activity + payouts, where payouts are negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

import msgspec

from payengine.errors import CurrencyMismatch, InputInvalid
from payengine.reports.periods import Interval

__all__ = [
    "PAYOUTS",
    "Activity",
    "BalanceReport",
    "BalanceTransaction",
    "EndingBalance",
    "PayoutReconciliation",
    "balance_report",
    "ending_balance",
    "payout_reconciliation",
]

#: The categories of money that leaves or comes back from a payout; everything else is activity.
PAYOUTS = frozenset({"payout", "payout_reversal"})


class BalanceTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """One line, in minor units of its currency: `net` = `gross` − `fee`.

    `automatic_payout_id` names the payout in which the line left, if it has.
    """

    id: str
    created: datetime
    reporting_category: str
    gross: int
    fee: int
    net: int
    currency: str
    available_on: date | None = None
    source_id: str | None = None
    automatic_payout_id: str | None = None


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines, and their sums in minor units."""

    count: int
    gross: int
    fee: int
    net: int


class BalanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units of one currency; `activity` by reporting category, without payouts."""

    starting_balance: int
    activity: dict[str, Activity]
    activity_net: int
    payouts: int
    ending_balance: int


class PayoutReconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What a payout consists of; `difference` is what it paid beyond its lines."""

    by_category: dict[str, Activity]
    items: tuple[str, ...]
    payout_amount: int
    difference: int


class EndingBalance(msgspec.Struct, frozen=True, kw_only=True):
    """The lines that make up a balance because no payout has taken them, and their net."""

    items: tuple[str, ...]
    total: int


def balance_report(
    lines: Iterable[BalanceTransaction], *, period: Interval, currency: str
) -> BalanceReport:
    """The report of one currency over a period; lines of other currencies are passed over."""
    own = [line for line in _checked(lines) if line.currency == currency]
    starting = sum(line.net for line in own if line.created < period.start)
    inside = [line for line in own if period.start <= line.created < period.end]
    activity = [line for line in inside if line.reporting_category not in PAYOUTS]
    payouts = sum(line.net for line in inside if line.reporting_category in PAYOUTS)
    net = sum(line.net for line in activity)
    return BalanceReport(
        starting_balance=starting,
        activity=_by_category(activity),
        activity_net=net,
        payouts=payouts,
        ending_balance=starting + net + payouts,
    )


def payout_reconciliation(
    lines: Iterable[BalanceTransaction], *, payout_id: str
) -> PayoutReconciliation:
    """The lines that a payout took with it; without a line of its own it is what they sum to."""
    known = _checked(lines)
    items = [line for line in known if line.automatic_payout_id == payout_id]
    own = [
        line
        for line in known
        if line.source_id == payout_id and line.reporting_category == "payout"
    ]
    _check_one_currency([*items, *own])
    itemised = sum(line.net for line in items)
    paid = -sum(line.net for line in own) if own else itemised
    return PayoutReconciliation(
        by_category=_by_category(items),
        items=tuple(line.id for line in items),
        payout_amount=paid,
        difference=paid - itemised,
    )


def ending_balance(
    lines: Iterable[BalanceTransaction], *, end: datetime, currency: str | None = None
) -> EndingBalance:
    """What no payout before `end` has taken; the total is the ending balance of a report.

    A payout that names no lines of its own (one by hand) is itself such a line. Raises
    `CurrencyMismatch` where the lines are of several currencies and none was chosen.
    """
    own = [
        line for line in _checked(lines) if line.created < end and currency in (None, line.currency)
    ]
    _check_one_currency(own)
    paid = {line.source_id for line in own if line.reporting_category == "payout"}
    itemised = {line.automatic_payout_id for line in own}
    items = [
        line
        for line in own
        if not (
            line.source_id in itemised
            if line.reporting_category == "payout"
            else line.automatic_payout_id in paid
        )
    ]
    return EndingBalance(
        items=tuple(line.id for line in items), total=sum(line.net for line in items)
    )


def _checked(lines: Iterable[BalanceTransaction]) -> list[BalanceTransaction]:
    known = list(lines)
    for line in known:
        if line.net != line.gross - line.fee:
            raise InputInvalid(f"The net of {line.id} is not its gross less its fee.")
        if line.created.tzinfo is None:
            raise InputInvalid(f"The instant of {line.id} needs its offset from UTC.")
    return known


def _check_one_currency(lines: Sequence[BalanceTransaction]) -> None:
    if len({line.currency for line in lines}) > 1:
        raise CurrencyMismatch("Amounts of several currencies have no sum.")


def _by_category(lines: Sequence[BalanceTransaction]) -> dict[str, Activity]:
    found: dict[str, Activity] = {}
    for line in lines:
        before = found.get(line.reporting_category, Activity(count=0, gross=0, fee=0, net=0))
        found[line.reporting_category] = Activity(
            count=before.count + 1,
            gross=before.gross + line.gross,
            fee=before.fee + line.fee,
            net=before.net + line.net,
        )
    return found
