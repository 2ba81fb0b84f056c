"""Do the phases of a subscription follow each other without a gap?"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.billing import Interval, Phase, lay_out, phase_at, trial_end
from payengine.errors import InputInvalid

_MONTH = Interval(unit="month")
_START = datetime(2025, 1, 31, 12, tzinfo=UTC)


def _day(at: datetime | None) -> str | None:
    return at.isoformat()[:10] if at else None


def _trial(days: int) -> Phase:
    return Phase(name="trial", interval=Interval(unit="day", count=days), periods=1, is_trial=True)


def test_the_end_of_a_trial_is_the_anchor_of_what_is_paid() -> None:
    start = _START - timedelta(days=14)
    trial, paid = lay_out([_trial(14), Phase(name="paid", interval=_MONTH)], starts_at=start)
    assert (trial.ends_at, paid.starts_at, paid.cadence.anchor) == (_START, _START, _START)
    assert [_day(each) for each in paid.cadence.boundaries(2)] == [
        "2025-01-31",
        "2025-02-28",
        "2025-03-31",
    ]


def test_a_trial_ends_by_the_subscribers_clock() -> None:
    start = datetime(2025, 3, 20, 17, tzinfo=UTC)
    assert trial_end(start, days=14) == start + timedelta(days=14)
    assert trial_end(start, days=14, time_zone="Europe/Paris") == start + timedelta(
        days=14, hours=-1
    )


def test_a_trial_of_the_same_interval_is_a_phase_of_its_own_all_the_same() -> None:
    trial = Phase(name="trial", interval=_MONTH, periods=1, is_trial=True)
    _, paid = lay_out([trial, Phase(name="paid", interval=_MONTH)], starts_at=_START)
    assert [_day(each) for each in paid.cadence.boundaries(1)] == ["2025-02-28", "2025-03-28"]


def test_the_same_interval_goes_on_and_loses_no_day() -> None:
    cheap = Phase(name="cheap", interval=_MONTH, periods=1)
    spans = lay_out([cheap, Phase(name="full", interval=_MONTH)], starts_at=_START)
    assert _day(spans[1].starts_at) == "2025-02-28"
    assert _day(spans[1].cadence.period_at(spans[1].starts_at).end) == "2025-03-31"


def test_another_interval_begins_at_the_boundary_and_keeps_the_day() -> None:
    monthly = Phase(name="monthly", interval=_MONTH, periods=1)
    yearly = Phase(name="yearly", interval=Interval(unit="month", count=3))
    spans = lay_out([monthly, yearly], starts_at=_START)
    assert [_day(each) for each in spans[1].cadence.boundaries(1)] == ["2025-02-28", "2025-05-31"]


def test_an_instant_has_the_phase_that_holds_then() -> None:
    phases = [_trial(7), Phase(name="paid", interval=_MONTH, periods=2)]
    spans = lay_out(phases, starts_at=_START)
    names = {
        days: span.phase.name if (span := phase_at(spans, _START + timedelta(days=days))) else None
        for days in (-1, 0, 6, 7, 40, 100)
    }
    assert names == {-1: None, 0: "trial", 6: "trial", 7: "paid", 40: "paid", 100: None}


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(
            Phase,
            name=st.just("phase"),
            interval=st.builds(
                Interval, unit=st.sampled_from(["day", "week", "month"]), count=st.integers(1, 6)
            ),
            periods=st.integers(1, 5),
            is_trial=st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_each_phase_starts_where_the_one_before_ends_and_on_a_boundary(phases: list[Phase]) -> None:
    spans = lay_out(phases, starts_at=_START, time_zone="Europe/Paris")
    assert spans[0].starts_at == _START
    for one, other in itertools.pairwise(spans):
        assert one.ends_at == other.starts_at
    for span in spans:
        assert span.cadence.period_at(span.starts_at).start == span.starts_at
        periods = span.cadence.periods_from(span.starts_at)
        assert span.phase.periods is not None
        last = list(itertools.islice(periods, span.phase.periods))[-1]
        assert last.end == span.ends_at


def test_phases_that_cannot_be_are_refused() -> None:
    endless = Phase(name="endless", interval=_MONTH)
    with pytest.raises(InputInvalid):
        lay_out([endless, endless], starts_at=_START)
    with pytest.raises(InputInvalid):
        lay_out([], starts_at=_START)
    with pytest.raises(InputInvalid):
        Phase(name="none", interval=_MONTH, periods=0)
    with pytest.raises(InputInvalid):
        Phase(name="for ever", interval=_MONTH, is_trial=True)
