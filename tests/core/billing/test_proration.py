"""Do credits and debits come to the exact price of what the subscriber had, second by second?"""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.billing import (
    Cadence,
    Interval,
    Item,
    ItemChange,
    Period,
    Proration,
    ProrationTerms,
    opening_amount,
    prorate,
    prorate_change,
    prorate_history,
    prorate_restart,
    remaining_part,
)
from payengine.billing.proration import Behavior, DayOfChange, Mode
from payengine.errors import InputInvalid

_EXAMPLES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100
_START = datetime(2025, 6, 1, tzinfo=UTC)
_JUNE = Period(start=_START, end=datetime(2025, 7, 1, tzinfo=UTC))
_HALF = datetime(2025, 6, 16, tzinfo=UTC)
_AMOUNTS = st.integers(0, 10**12)
_ITEMS = st.none() | st.builds(Item, amount_minor=_AMOUNTS)
_HISTORIES = st.lists(st.tuples(st.integers(0, 3_000_000), _ITEMS), max_size=8)
_ZONES = st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Asia/Kathmandu"])


def _item(amount: int) -> Item:
    return Item(amount_minor=amount)


def _lines(line: Proration) -> tuple[int, int]:
    return line.credit_minor, line.debit_minor


def _day_terms(*, zone: str = "UTC", day: DayOfChange | None = None) -> ProrationTerms:
    return ProrationTerms(mode="day", time_zone=zone, day_of_change=day)


@settings(max_examples=_EXAMPLES)
@given(first=st.builds(Item, amount_minor=_AMOUNTS), history=_HISTORIES)
def test_credits_and_debits_of_any_history_come_to_the_price_of_each_second(
    first: Item, history: list[tuple[int, Item | None]]
) -> None:
    """Exactly before rounding; each of a change's two lines is then off by half a unit at most."""
    steps = sorted(history, key=lambda step: step[0])
    changes = [ItemChange(at=_START + timedelta(seconds=s), to=item) for s, item in steps]
    found = prorate_history(_JUNE, initial=first, changes=changes)
    length = int((_JUNE.end - _JUNE.start).total_seconds())
    marks = [0, *(min(seconds, length) for seconds, _ in steps), length]
    held = [first, *(item for _, item in steps)]
    prices = [item.amount_minor if item else 0 for item in held]
    owed = Fraction(0)
    for price, (since, until) in zip(prices, itertools.pairwise(marks), strict=True):
        owed += Fraction(price * (until - since), length)
    exact = Fraction(first.amount_minor)
    for line, (old, new) in zip(found.lines, itertools.pairwise(prices), strict=True):
        exact += (new - old) * line.part
        assert abs(line.net_minor - (new - old) * line.part) <= 1
    assert exact == owed
    assert abs(first.amount_minor + found.net_minor - owed) <= len(steps)
    last = held[-1]
    assert found.next_invoice_minor == found.net_minor + (last.amount_minor if last else 0)
    assert found.next_invoice_at == _JUNE.end


@settings(max_examples=_EXAMPLES)
@given(amount=_AMOUNTS, seconds=st.integers(0, 2_592_000))
def test_a_line_is_the_exact_product_rounded_once(amount: int, seconds: int) -> None:
    part = remaining_part(_JUNE, at=_START + timedelta(seconds=seconds))
    assert part == Fraction(2_592_000 - seconds, 2_592_000)
    # 2,592,000 is 2^8 · 3^4 · 5^3: times 81 the quotient is a decimal that ends.
    eightyfold = Decimal(amount * part.numerator * 81) / Decimal(part.denominator)
    whole, rest = divmod(eightyfold, 81)
    assert prorate(amount, part) == int(whole) + (rest >= Decimal("40.5"))


@given(amount=_AMOUNTS, halves=st.integers(0, 200))
def test_a_half_goes_away_from_zero(amount: int, halves: int) -> None:
    exact = Decimal(amount) * halves / 100
    assert prorate(amount, Fraction(halves, 100)) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@settings(max_examples=_EXAMPLES)
@given(one=_ITEMS, other=_ITEMS, seconds=st.integers(-10, 2_592_010))
def test_there_and_back_at_one_instant_is_nothing(
    one: Item | None, other: Item | None, seconds: int
) -> None:
    at = _START + timedelta(seconds=seconds)
    changes = [ItemChange(at=at, to=other), ItemChange(at=at, to=one)]
    assert prorate_history(_JUNE, initial=one, changes=changes).net_minor == 0


@settings(max_examples=_EXAMPLES)
@given(
    seconds=st.lists(st.integers(-100_000, 3_000_000), min_size=2, max_size=2).map(sorted),
    mode=st.sampled_from(get_args(Mode)),
    day=st.sampled_from([None, *get_args(DayOfChange)]),
    zone=_ZONES,
)
def test_what_is_left_never_grows_and_never_leaves_0_to_1(
    seconds: list[int], mode: Mode, day: DayOfChange | None, zone: str
) -> None:
    terms = ProrationTerms(mode=mode, day_of_change=day, time_zone=zone)
    early, late = (
        remaining_part(_JUNE, at=_START + timedelta(seconds=each), terms=terms) for each in seconds
    )
    assert 1 >= early >= late >= 0


def test_before_the_start_all_is_left_and_at_the_end_nothing() -> None:
    for terms in (ProrationTerms(), _day_terms(day="consumed"), _day_terms(day="credited")):
        assert remaining_part(_JUNE, at=_JUNE.start, terms=terms) == 1
        assert remaining_part(_JUNE, at=_START - timedelta(days=9), terms=terms) == 1
        assert remaining_part(_JUNE, at=_JUNE.end, terms=terms) == 0
        assert remaining_part(_JUNE, at=_JUNE.end + timedelta(days=9), terms=terms) == 0


def test_the_day_of_a_change_is_the_new_prices_and_that_of_a_cancellation_is_used_up() -> None:
    at = _HALF + timedelta(hours=10)
    changed = prorate_change(_JUNE, at=at, old=_item(300), new=_item(600), terms=_day_terms())
    assert (changed.part, *_lines(changed)) == (Fraction(1, 2), -150, 300)
    ended = prorate_change(_JUNE, at=at, old=_item(300), new=None, terms=_day_terms())
    assert (ended.part, *_lines(ended)) == (Fraction(14, 30), -140, 0)


def test_on_the_last_day_before_the_end_nothing_is_left_to_give_back() -> None:
    noon = Period(start=_START + timedelta(hours=12), end=_JUNE.end + timedelta(hours=12))
    for day in get_args(DayOfChange):
        assert remaining_part(noon, at=_JUNE.end, terms=_day_terms(day=day)) == 0


def test_days_are_those_of_the_subscribers_calendar() -> None:
    at = datetime(2025, 6, 15, 15, tzinfo=UTC)
    period = Period(start=_START - timedelta(hours=9), end=_JUNE.end - timedelta(hours=9))
    tokyo = remaining_part(period, at=at, terms=_day_terms(zone="Asia/Tokyo"))
    before = remaining_part(
        period, at=at - timedelta(seconds=1), terms=_day_terms(zone="Asia/Tokyo")
    )
    assert (tokyo, before) == (Fraction(15, 30), Fraction(16, 30))


def test_a_period_within_one_day_has_no_days_to_share_out() -> None:
    short = Period(start=_START, end=_START + timedelta(hours=5))
    at = _START + timedelta(hours=1)
    assert remaining_part(short, at=at, terms=_day_terms()) == 1
    assert remaining_part(short, at=at, terms=_day_terms(day="consumed")) == 0
    assert remaining_part(short, at=at) == Fraction(4, 5)


def test_parts_of_a_second_do_not_count() -> None:
    at = _HALF + timedelta(microseconds=999_999)
    assert remaining_part(_JUNE, at=at) == Fraction(1, 2)
    blink = Period(start=_START, end=_START + timedelta(microseconds=10))
    assert remaining_part(blink, at=_START + timedelta(microseconds=5)) == 0


@pytest.mark.parametrize("behavior", ["create_prorations", "always_invoice"])
def test_what_did_not_change_makes_no_line(behavior: Behavior) -> None:
    terms = ProrationTerms(behavior=behavior)
    same = prorate_change(_JUNE, at=_HALF, old=_item(500), new=_item(500), terms=terms)
    assert (same.part, *_lines(same)) == (Fraction(1, 2), 0, 0)


def test_another_price_of_the_same_amount_makes_two_lines() -> None:
    old, new = Item(amount_minor=500, terms="old"), Item(amount_minor=500, terms="new")
    assert _lines(prorate_change(_JUNE, at=_HALF, old=old, new=new)) == (-250, 250)


def test_without_proration_a_change_makes_no_line() -> None:
    terms = ProrationTerms(behavior="none")
    assert _lines(prorate_change(_JUNE, at=_HALF, old=_item(500), new=_item(900), terms=terms)) == (
        0,
        0,
    )


@pytest.mark.parametrize("behavior", get_args(Behavior))
def test_in_a_trial_there_are_no_lines_and_its_end_stays(behavior: Behavior) -> None:
    found = prorate_history(
        _JUNE,
        initial=_item(1_000),
        changes=[ItemChange(at=_HALF, to=_item(3_000))],
        terms=ProrationTerms(behavior=behavior),
        in_trial=True,
    )
    assert [_lines(line) for line in found.lines] == [(0, 0)]
    assert (found.next_invoice_at, found.next_invoice_minor) == (_JUNE.end, 3_000)


def test_lines_that_were_invoiced_at_once_are_not_on_the_next_invoice() -> None:
    found = prorate_history(
        _JUNE,
        initial=_item(1_000),
        changes=[ItemChange(at=_HALF, to=_item(2_000))],
        terms=ProrationTerms(behavior="always_invoice"),
    )
    assert (found.net_minor, found.next_invoice_minor) == (500, 2_000)


@pytest.mark.parametrize(
    ("behavior", "lines"),
    [
        ("create_prorations", (-500, 9_000)),
        ("always_invoice", (-500, 9_000)),
        ("reset", (0, 9_000)),
        ("none", (0, 9_000)),
    ],
)
def test_another_interval_starts_a_period_at_the_full_price(
    behavior: Behavior, lines: tuple[int, int]
) -> None:
    found = prorate_restart(
        _JUNE,
        cadence=Cadence(anchor=_START, interval=Interval(unit="month"), anchor_day=1),
        at=_HALF,
        old=_item(1_000),
        new=_item(9_000),
        interval=Interval(unit="year"),
        terms=ProrationTerms(behavior=behavior),
    )
    assert _lines(found) == lines
    assert found.restarted is not None
    assert found.restarted.period(0) == Period(start=_HALF, end=_HALF.replace(year=2026))


def test_a_reset_without_another_interval_keeps_the_interval() -> None:
    cadence = Cadence(anchor=_START, interval=Interval(unit="month"))
    terms = ProrationTerms(behavior="reset")
    found = prorate_restart(
        _JUNE, cadence=cadence, at=_HALF, old=_item(1), new=_item(1), terms=terms
    )
    assert found.restarted is not None
    assert found.restarted.boundary(1) == _HALF.replace(month=7)
    with pytest.raises(InputInvalid):
        prorate_change(_JUNE, at=_HALF, old=_item(1), new=_item(1), terms=terms)


def test_a_partial_first_period_is_a_part_of_the_whole_one() -> None:
    cadence = Cadence(anchor=_JUNE.start, interval=Interval(unit="month"))
    starts_at = datetime(2025, 5, 20, tzinfo=UTC)
    assert opening_amount(cadence, starts_at, amount_minor=3_100) == 1_200
    assert opening_amount(cadence, cadence.anchor, amount_minor=3_100) == 3_100


@pytest.mark.parametrize("amount", [-1, 1.0, True, None])
def test_an_item_costs_a_whole_number_of_minor_units(amount: int) -> None:
    with pytest.raises(InputInvalid):
        Item(amount_minor=amount)


@pytest.mark.parametrize(
    "words",
    [{"mode": "hour"}, {"behavior": "maybe"}, {"day_of_change": "half"}, {"time_zone": "Mars"}],
)
def test_terms_that_nobody_knows_are_refused(words: dict[str, str]) -> None:
    with pytest.raises(InputInvalid):
        ProrationTerms(**words)  # type: ignore[arg-type]


def test_changes_out_of_order_are_refused() -> None:
    changes = [ItemChange(at=_HALF, to=None), ItemChange(at=_START, to=None)]
    with pytest.raises(InputInvalid):
        prorate_history(_JUNE, initial=None, changes=changes)
