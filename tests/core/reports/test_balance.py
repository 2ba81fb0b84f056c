"""Is a balance always its beginning, what happened and what left?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import CurrencyMismatch, InputInvalid
from payengine.reports.balance import (
    BalanceTransaction,
    balance_report,
    ending_balance,
    payout_reconciliation,
)
from payengine.reports.periods import Interval, interval

_T0 = datetime(2025, 6, 1, tzinfo=UTC)


def line(
    name: str,
    gross: int,
    *,
    hour: int = 0,
    fee: int = 0,
    category: str = "charge",
    currency: str = "USD",
    source: str | None = None,
    payout: str | None = None,
) -> BalanceTransaction:
    """One line, so many hours after the first of June."""
    return BalanceTransaction(
        id=name,
        created=_T0 + timedelta(hours=hour),
        reporting_category=category,
        gross=gross,
        fee=fee,
        net=gross - fee,
        currency=currency,
        source_id=source,
        automatic_payout_id=payout,
    )


_HISTORIES = st.lists(
    st.tuples(
        st.integers(1, 10**6),
        st.integers(0, 500),
        st.sampled_from(["charge", "refund", "dispute"]),
        st.booleans(),
        st.integers(0, 30),
    ),
    max_size=25,
)


def history(drawn: list[tuple[int, int, str, bool, int]]) -> list[BalanceTransaction]:
    """Sales and refunds, with a payout of everything now and then."""
    lines: list[BalanceTransaction] = []
    waiting: list[int] = []
    hour = 0
    for number, (amount, fee, category, is_paid_out, gap) in enumerate(drawn):
        hour += gap
        gross = amount if category == "charge" else -amount
        waiting.append(len(lines))
        lines.append(line(f"bt{number}", gross, hour=hour, fee=fee, category=category))
        if is_paid_out:
            payout = f"po_{number}"
            total = 0
            for index in waiting:
                old = lines[index]
                total += old.net
                lines[index] = line(
                    old.id, old.gross, hour=int((old.created - _T0).total_seconds() // 3600),
                    fee=old.fee, category=old.reporting_category, payout=payout,
                )  # fmt: skip
            waiting = []
            lines.append(line(f"out{number}", -total, hour=hour, category="payout", source=payout))
    return lines


@given(_HISTORIES, st.integers(0, 400), st.integers(0, 400))
def test_reports_of_neighbouring_periods_fit_together(
    drawn: list[tuple[int, int, str, bool, int]], one: int, other: int
) -> None:
    lines = history(drawn)
    first, second = sorted((one, other))
    instants = [_T0, *(_T0 + timedelta(hours=hour) for hour in (first, second, 10_000))]
    balance = 0
    for start, end in pairwise(instants):
        report = balance_report(lines, period=Interval(start=start, end=end), currency="USD")
        assert report.starting_balance == balance
        assert report.activity_net == sum(each.net for each in report.activity.values())
        balance = report.ending_balance
        assert balance == report.starting_balance + report.activity_net + report.payouts
        # What no payout has taken by then is the balance.
        assert ending_balance(lines, end=end).total == balance
    assert balance == sum(each.net for each in lines)


@given(_HISTORIES)
def test_every_payout_is_the_sum_of_its_lines(
    drawn: list[tuple[int, int, str, bool, int]],
) -> None:
    lines = history(drawn)
    for payout in (each for each in lines if each.reporting_category == "payout"):
        found = payout_reconciliation(lines, payout_id=str(payout.source_id))
        assert found.difference == 0
        assert found.payout_amount == -payout.net


def test_a_payout_that_does_not_fit_its_lines_says_by_how_much() -> None:
    lines = [
        line("a", 100, payout="po_1"),
        line("b", -90, category="payout", source="po_1"),
    ]
    assert payout_reconciliation(lines, payout_id="po_1").difference == -10
    assert payout_reconciliation(lines[:1], payout_id="po_1").payout_amount == 100


def test_a_payout_by_hand_is_a_line_of_the_balance() -> None:
    lines = [line("a", 100), line("b", -30, category="payout", source="po_1")]
    found = ending_balance(lines, end=_T0 + timedelta(days=1))
    assert (found.items, found.total) == (("a", "b"), 70)


def test_a_payout_that_comes_back_is_no_activity() -> None:
    lines = [line("a", 30, category="payout_reversal")]
    report = balance_report(lines, period=interval(date(2025, 6, 1), date(2025, 6, 2)),
                            currency="USD")  # fmt: skip
    assert (report.activity, report.payouts) == ({}, 30)


def test_currencies_are_never_added() -> None:
    lines = [line("a", 100), line("b", 50, currency="EUR")]
    end = _T0 + timedelta(days=1)
    with pytest.raises(CurrencyMismatch):
        ending_balance(lines, end=end)
    assert ending_balance(lines, end=end, currency="EUR").total == 50
    period = Interval(start=_T0, end=end)
    assert balance_report(lines, period=period, currency="EUR").ending_balance == 50


def test_lines_that_contradict_themselves_are_refused() -> None:
    wrong = BalanceTransaction(
        id="a", created=_T0, reporting_category="charge", gross=10, fee=1, net=10, currency="USD"
    )
    with pytest.raises(InputInvalid):
        balance_report([wrong], period=Interval(start=_T0, end=_T0), currency="USD")
