"""Is escrow released when everything agreed is met, and never while a dispute is open?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import InputInvalid, RefundExceedsRemaining, TransitionRefused
from payengine.marketplace.escrow import (
    EscrowFacts,
    EscrowTerms,
    Freeze,
    Refunded,
    check_release,
    due_at,
    milestone_amounts,
    milestones_standing,
    refund_before_or_after,
    state_at,
    waits_for,
)

_T0 = datetime(2025, 6, 1, 10, tzinfo=UTC)
_DAY = timedelta(days=1)
_TERMS = EscrowTerms(conditions=("delivered",), inspection_days=3, timeout_days=30)


def facts(
    *,
    delivered: int | None = None,
    approved: int | None = None,
    frozen: tuple[tuple[int, int | None], ...] = (),
) -> EscrowFacts:
    """What happened on which day after the capture."""
    return EscrowFacts(
        captured_at=_T0,
        delivered_at=None if delivered is None else _T0 + delivered * _DAY,
        approved_at=None if approved is None else _T0 + approved * _DAY,
        freezes=tuple(
            Freeze(since=_T0 + since * _DAY, until=None if until is None else _T0 + until * _DAY)
            for since, until in frozen
        ),
    )


@pytest.mark.parametrize(
    ("terms", "known", "day"),
    [
        (_TERMS, facts(), 30),
        (_TERMS, facts(delivered=4), 7),
        (_TERMS, facts(delivered=28), 30),
        (_TERMS, facts(delivered=4, frozen=((5, 15),)), 17),
        (_TERMS, facts(frozen=((5, 15), (20, 21))), 41),
        (_TERMS, facts(delivered=10, frozen=((5, 15),)), 18),
        (_TERMS, facts(delivered=10, frozen=((1, 2),)), 13),
        (_TERMS, facts(delivered=4, frozen=((7, 9),)), 9),
        (_TERMS, facts(delivered=4, frozen=((5, None),)), None),
        (_TERMS, facts(delivered=4, frozen=((8, None),)), 7),
        (EscrowTerms(conditions=("manual",)), facts(), None),
        (EscrowTerms(conditions=("manual",)), facts(approved=6, frozen=((5, 8),)), 8),
        (EscrowTerms(conditions=("delivered", "manual")), facts(delivered=1), None),
        (EscrowTerms(conditions=("delivered", "manual")), facts(delivered=1, approved=9), 9),
        (EscrowTerms(), facts(delivered=1), None),
    ],
)
def test_release_is_due(terms: EscrowTerms, known: EscrowFacts, day: int | None) -> None:
    assert due_at(terms, known) == (None if day is None else _T0 + day * _DAY)


@pytest.mark.parametrize(
    ("terms", "known", "words"),
    [
        (_TERMS, facts(), "the delivery to be recorded, or 2025-07-01T10:00:00Z"),
        (
            _TERMS,
            facts(delivered=1),
            "the inspection, until 2025-06-05T10:00:00Z, or 2025-07-01T10:00:00Z",
        ),
        (_TERMS, facts(delivered=1, frozen=((1, None),)), "the end of a dispute"),
        (
            EscrowTerms(conditions=("delivered", "manual")),
            facts(delivered=1),
            "a person's word",
        ),
        (EscrowTerms(conditions=("milestone",)), facts(), "its milestones to be accepted"),
        (EscrowTerms(timeout_days=3), facts(), "2025-06-04T10:00:00Z"),
    ],
)
def test_what_is_held_says_what_it_waits_for(
    terms: EscrowTerms, known: EscrowFacts, words: str
) -> None:
    at = _T0 + 2 * _DAY
    assert waits_for(terms, known, at=at) == words
    with pytest.raises(TransitionRefused, match=words):
        check_release(terms, known, at=at)


def test_states_follow_each_other() -> None:
    known = facts(delivered=4)
    due = _T0 + 7 * _DAY
    moment = timedelta(microseconds=1)
    assert state_at(_TERMS, known, at=due - moment) == "held"
    assert state_at(_TERMS, known, at=due) == "releasable"
    check_release(_TERMS, known, at=due)
    with pytest.raises(TransitionRefused):
        check_release(_TERMS, known, at=due - moment)
    released = EscrowFacts(captured_at=_T0, delivered_at=known.delivered_at, released_at=due)
    assert state_at(_TERMS, released, at=due) == "released"
    with pytest.raises(TransitionRefused):
        check_release(_TERMS, released, at=due + moment)
    refunded = EscrowFacts(captured_at=_T0, refunded_at=due)
    assert state_at(_TERMS, refunded, at=due) == "refunded"


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=4))
def test_a_release_is_never_due_while_a_dispute_is_open(
    delivered: int, disputes: list[tuple[int, int]]
) -> None:
    begun, frozen = 0, []
    for gap, length in disputes:
        frozen.append((begun + gap, begun + gap + length))
        begun += gap + length
    due = due_at(_TERMS, facts(delivered=delivered, frozen=tuple(frozen)))
    assert due is not None
    assert not any(_T0 + one * _DAY <= due < _T0 + end * _DAY for one, end in frozen)
    # The timeout alone counts thirty days that are not frozen.
    timeout = due_at(_TERMS, facts(frozen=tuple(frozen)))
    assert timeout is not None
    lost = sum(min(end, (timeout - _T0).days) - one for one, end in frozen
               if _T0 + one * _DAY < timeout)  # fmt: skip
    assert (timeout - _T0).days - lost == 30


def test_milestones_are_the_whole_and_leave_once() -> None:
    assert sum(milestone_amounts(10_001, [3_333, 3_333, 3_334])) == 10_001
    with pytest.raises(InputInvalid):
        milestone_amounts(100, [5_000, 4_999])
    with pytest.raises(TransitionRefused):
        milestones_standing(100, [5_000, 5_000], released=[0], refunded=[0])
    with pytest.raises(InputInvalid):
        milestones_standing(100, [5_000, 5_000], released=[2], refunded=[])


def test_a_refund_takes_what_is_held_first() -> None:
    assert refund_before_or_after(50, held=30, released=40) == Refunded(
        from_escrow=30, from_parts=20
    )
    with pytest.raises(RefundExceedsRemaining):
        refund_before_or_after(71, held=30, released=40)


def test_days_below_nothing_are_refused() -> None:
    with pytest.raises(InputInvalid):
        due_at(EscrowTerms(inspection_days=-1), facts())
