"""Does usage come to the same, whoever tells it in whatever order?"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.billing import (
    FinalizedPeriod,
    Graduated,
    Period,
    PerUnit,
    Tier,
    UsageEvent,
    aggregate,
    check_event,
    check_timestamp,
    late_adjustment,
    line_amount,
    place_event,
    receive,
    receive_all,
)
from payengine.billing.usage import Formula
from payengine.errors import (
    EventPeriodFinalized,
    EventTimestampOutOfRange,
    IdempotencyConflict,
    InputInvalid,
)

_EXAMPLES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100
_START = datetime(2025, 6, 1, tzinfo=UTC)
_JUNE = Period(start=_START, end=datetime(2025, 7, 1, tzinfo=UTC))
_FORMULAS: tuple[Formula, ...] = get_args(Formula)
_VALUES = st.decimals(-(10**9), 10**9, places=6)


def _event(name: str, *, day: float = 1, value: str = "1", key: str | None = None) -> UsageEvent:
    at = _START + timedelta(days=day)
    return UsageEvent(id=name, at=at, value=Decimal(value), key=key)


@st.composite
def _events(draw: st.DrawFn) -> list[UsageEvent]:
    """Events at instants of their own, so that the latest is one event."""
    seconds = draw(st.lists(st.integers(-100_000, 2_700_000), unique=True, max_size=12))
    return [
        UsageEvent(
            id=f"event-{number}",
            at=_START + timedelta(seconds=second),
            value=draw(_VALUES),
            key=draw(st.sampled_from(["a", "b", "c"])),
        )
        for number, second in enumerate(seconds)
    ]


@settings(max_examples=_EXAMPLES)
@given(data=st.data(), events=_events(), formula=st.sampled_from(_FORMULAS))
def test_the_order_of_arrival_and_repetitions_do_not_matter(
    data: st.DataObject, events: list[UsageEvent], formula: Formula
) -> None:
    again = data.draw(st.lists(st.sampled_from(events), max_size=5)) if events else []
    shuffled = data.draw(st.permutations(events + again))
    first, _ = receive_all(events)
    second, refused = receive_all(shuffled)
    assert refused == []
    expected = aggregate(first, formula=formula, period=_JUNE)
    assert aggregate(second, formula=formula, period=_JUNE) == expected


@settings(max_examples=_EXAMPLES)
@given(events=_events(), split=st.integers(0, 30 * 86_400))
def test_every_event_counts_in_one_of_two_periods_that_touch(
    events: list[UsageEvent], split: int
) -> None:
    middle = _START + timedelta(seconds=split)
    halves = [Period(start=_START, end=middle), Period(start=middle, end=_JUNE.end)]
    counts = [aggregate(events, formula="count", period=half) for half in halves]
    assert sum(counts) == aggregate(events, formula="count", period=_JUNE)


def test_each_formula_counts_what_it_says() -> None:
    events = [
        _event("a", day=3, value="5", key="x"),
        _event("b", day=1, value="7.25", key="y"),
        _event("c", day=2, value="-3", key="x"),
    ]
    found = {each: aggregate(events, formula=each, period=_JUNE) for each in _FORMULAS}
    assert found == {"sum": Fraction("9.25"), "count": 3, "max": Fraction("7.25"), "last": 5} | {
        "unique": 2
    }


@pytest.mark.parametrize("formula", _FORMULAS)
def test_nothing_comes_to_nothing_and_never_to_less(formula: Formula) -> None:
    assert aggregate([], formula=formula, period=_JUNE) == 0
    if formula in ("sum", "max", "last"):
        assert aggregate([_event("a", value="-5")], formula=formula, period=_JUNE) == 0


def test_long_sums_keep_every_digit() -> None:
    events = [_event("a", value="999999999999999999"), _event("b", value="0.000000000001")]
    assert aggregate(events, formula="sum", period=_JUNE) == 10**18 - 1 + Fraction(1, 10**12)


def test_of_two_latest_the_one_that_arrived_last_is_the_last() -> None:
    events = [_event("a", value="4"), _event("b", value="9"), _event("c", day=0.5, value="1")]
    assert aggregate(events, formula="last", period=_JUNE) == 9
    assert aggregate(events[::-1], formula="last", period=_JUNE) == 4


def test_the_start_belongs_to_a_period_and_its_end_to_the_next() -> None:
    edges = [_event("a", day=0), _event("b", day=30), _event("c", day=-1)]
    assert aggregate(edges, formula="count", period=_JUNE) == 1


def test_the_first_event_of_an_id_counts_and_another_content_is_refused() -> None:
    first, other = _event("a", value="5"), _event("a", value="500")
    assert receive(first, before=None) == "accepted"
    assert receive(_event("a", value="5.00"), before=first) == "duplicate"
    with pytest.raises(IdempotencyConflict):
        receive(other, before=first)
    with pytest.raises(IdempotencyConflict):
        receive(_event("a", value="5", key="x"), before=first)
    assert receive_all([first, other, first]) == ([first], [other])


@pytest.mark.parametrize(
    ("ago", "fits"),
    [
        (timedelta(days=35), True),
        (timedelta(days=35, microseconds=1), False),
        (timedelta(0), True),
        (-timedelta(minutes=5), True),
        (-timedelta(minutes=5, microseconds=1), False),
    ],
)
def test_an_event_is_35_days_old_at_most_and_5_minutes_early(ago: timedelta, fits: bool) -> None:
    if fits:
        check_timestamp(_START - ago, now=_START)
    else:
        with pytest.raises(EventTimestampOutOfRange):
            check_timestamp(_START - ago, now=_START)


def test_an_event_after_the_invoice_adjusts_its_period_or_is_refused() -> None:
    final = FinalizedPeriod(period=_JUNE, finalized_at=_JUNE.end + timedelta(hours=1))
    late = _event("late", day=29.9)
    told = _JUNE.end + timedelta(days=2)
    for instant in (final.finalized_at, told):
        assert place_event(late, told_at=instant, finalized=[final]) == final
    with pytest.raises(EventPeriodFinalized):
        place_event(late, told_at=told, finalized=[final], policy="reject")
    for policy in ("next_invoice", "reject"):
        in_time = final.finalized_at - timedelta(microseconds=1)
        assert place_event(late, told_at=in_time, finalized=[final], policy=policy) is None
        new = _event("new", day=30)
        assert place_event(new, told_at=told, finalized=[final], policy=policy) is None
    with pytest.raises(EventTimestampOutOfRange):
        place_event(late, told_at=told + timedelta(days=35), finalized=[final])


@settings(max_examples=_EXAMPLES)
@given(
    billed=st.integers(0, 40_000).map(lambda part: Fraction(part, 1_000)),
    present=st.integers(0, 40_000).map(lambda part: Fraction(part, 1_000)),
    unit=st.decimals(0, 1_000, places=3),
)
def test_an_adjustment_brings_the_period_to_what_one_invoice_would_have_said(
    billed: Fraction, present: Fraction, unit: Decimal
) -> None:
    model = Graduated(
        tiers=(Tier(up_to=Decimal(10), unit_amount=Decimal(1_000)), Tier(unit_amount=unit))
    )
    line = late_adjustment(model, billed=billed, present=present)
    assert line_amount(model, billed) + line.amount_minor == line_amount(model, present)
    assert billed + line.quantity == present


def test_a_correction_gives_back() -> None:
    model = PerUnit(unit_amount=Decimal(25))
    line = late_adjustment(model, billed=Fraction(100), present=Fraction(96))
    assert (line.quantity, line.amount_minor) == (Fraction(-4), -100)


@pytest.mark.parametrize("formula", _FORMULAS)
def test_an_event_has_what_its_meter_counts(formula: Formula) -> None:
    bare = UsageEvent(id="a", at=_START)
    if formula == "count":
        check_event(bare, formula=formula)
        assert aggregate([bare], formula=formula, period=_JUNE) == 1
    else:
        with pytest.raises(InputInvalid):
            check_event(bare, formula=formula)
        with pytest.raises(InputInvalid):
            aggregate([bare], formula=formula, period=_JUNE)


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "a\x00"])
def test_an_id_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InputInvalid):
        UsageEvent(id=name, at=_START)
    with pytest.raises(InputInvalid):
        UsageEvent(id="a", at=_START, key=name)


def test_an_event_says_when_on_earth() -> None:
    with pytest.raises(InputInvalid):
        UsageEvent(id="a", at=_START.replace(tzinfo=None))
    with pytest.raises(InputInvalid):
        UsageEvent(id="a", at=_START, value=Decimal("1e-13"))
