"""Is a person told of a change, once, and of nothing that is chance?"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.fraud.alerts import (
    SLOT,
    AlertLimits,
    Reading,
    RuleTally,
    Slot,
    add_up,
    judge,
    slot_of,
)

_NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
_LIMITS = AlertLimits()


def _week(**counts: Any) -> list[Slot]:
    """The same in each slot of eight days but the last hour."""
    slots = 8 * 24 * 4
    return [Slot(begins_at=_NOW - SLOT * (slots - at), **counts) for at in range(slots - 4)]


def _hour(**counts: Any) -> list[Slot]:
    return [Slot(begins_at=_NOW - SLOT * at, **counts) for at in (4, 3, 2, 1)]


def _read(slots: list[Slot], kind: str, subject: str = "", **more: Any) -> Reading:
    (found,) = (
        each
        for each in judge(slots, _LIMITS, at=_NOW, **more)
        if (each.kind, each.subject) == (kind, subject)
    )
    return found


def test_slots_begin_at_the_quarters() -> None:
    assert slot_of(_NOW + timedelta(minutes=29, seconds=59.9)) == _NOW + SLOT
    assert slot_of(_NOW) == _NOW


def test_windows_take_the_first_instant_and_leave_the_last() -> None:
    slots = _week(known=10, succeeded=9) + _hour(known=20, succeeded=2)
    outside = [
        Slot(begins_at=_NOW, known=1_000, succeeded=1_000),
        Slot(begins_at=_NOW - timedelta(days=7, hours=1) - SLOT, known=1_000_000),
    ]
    found = _read(slots + outside, "success_rate")
    assert (found.value, found.before, found.sample) == (0.1, 0.9, 80)
    assert found.state == "raised"


@pytest.mark.parametrize(
    ("known", "succeeded", "state"),
    [
        (20, 18, "calm"),  # as before
        (20, 16, "raised"),  # 80 of 100 instead of 90, of 80 payments: no chance
        (2, 0, "untold"),  # eight payments tell nothing
        (15, 13, "untold"),  # 52 of 60: it could be chance
        (20, 20, "calm"),  # better is no alarm
    ],
)
def test_the_success_rate(known: int, succeeded: int, state: str) -> None:
    before = _week(known=100, succeeded=93)
    assert _read(before + _hour(known=known, succeeded=succeeded), "success_rate").state == state


def test_declines_for_other_reasons() -> None:
    before = _week(declines={"insufficient_funds": 8, "do_not_honor": 2})
    same = _hour(declines={"insufficient_funds": 16, "do_not_honor": 4})
    other = _hour(declines={"insufficient_funds": 2, "issuer_unavailable": 18})
    assert _read(before + same, "decline_mix").state == "calm"
    assert _read(before + other, "decline_mix").state == "raised"


def test_another_share_is_stopped() -> None:
    before = _week(verdicts={"allow": 95, "block": 5})
    for verdicts, state in (
        ({"allow": 95, "block": 5}, "calm"),
        ({"allow": 70, "challenge": 20, "review": 10}, "raised"),
        ({"allow": 92, "block": 8}, "calm"),  # three points more
    ):
        assert _read(before + _hour(verdicts=verdicts), "stop_rate").state == state, verdicts


def test_fraud_that_became_known_in_a_day() -> None:
    before = _week(succeeded=100, frauds=0)
    for at, slot in enumerate(before):
        slot.frauds = int(at % 10 == 0)  # one of a thousand
    last_day = [each for each in before if each.begins_at >= _NOW - timedelta(days=1)]
    assert _read(before, "fraud_rate").state == "calm"
    for slot in last_day:
        slot.frauds = 1
    found = _read(before, "fraud_rate")
    assert found.state == "raised"
    assert found.value == pytest.approx(0.01)


def test_no_fraud_after_none_is_calm_and_the_first_is_not_yet_an_alarm() -> None:
    slots = _week(succeeded=100)
    assert _read(slots, "fraud_rate").state == "calm"
    slots[-1].frauds = 2
    assert _read(slots, "fraud_rate").state == "untold"
    slots[-1].frauds = 20
    assert _read(slots, "fraud_rate").state == "raised"


def test_scores_and_facts_that_moved() -> None:
    calm = {"0": 10, "-4": 80, "2": 10}
    before = _week(scores={"model": calm}, features={"card.count.1h": {"0": 90, "+0": 10}})
    day = [each for each in before if each.begins_at >= _NOW - timedelta(days=1)]
    assert _read(before, "score_shift", "model").state == "calm"
    for slot in day:
        slot.scores = {"model": {"0": 60, "-4": 20, "2": 20}}
        slot.features = {"card.count.1h": {"0": 10, "+3": 90}}
    assert _read(before, "score_shift", "model").state == "raised"
    assert _read(before, "feature_shift", "card.count.1h").state == "raised"
    kinds = {each.kind for each in judge(before, _LIMITS, at=_NOW, with_shifts=False)}
    assert not kinds & {"score_shift", "feature_shift", "fraud_rate"}


def test_a_new_rule_has_nothing_to_be_compared_with() -> None:
    slots = _week(verdicts={"allow": 1}) + _hour(scores={"new": {"0": 100}})
    assert _read(slots, "score_shift", "new").state == "untold"


@pytest.mark.parametrize(
    ("asked", "errors", "state"),
    [(100, 0, "calm"), (100, 10, "raised"), (4, 1, "untold"), (1_000, 45, "untold")],
)
def test_rules_that_fail(asked: int, errors: int, state: str) -> None:
    hour = _hour(rules={"slow": RuleTally(asked=asked, errors=errors)})
    if asked == 4:
        hour = hour[:1]
    assert _read(hour, "rule_errors", "slow").state == state


@pytest.mark.parametrize(
    ("minutes", "state"), [(0, "calm"), (191, "calm"), (200, "untold"), (240, "raised")]
)
def test_the_queue(minutes: int, state: str) -> None:
    assert _read([], "queue_age", oldest_waiting_s=minutes * 60.0).state == state


def test_chance_alone_raises_next_to_nothing() -> None:
    seeded = random.Random(11)
    raised = 0
    for _ in range(200):
        before = Slot(begins_at=_NOW - timedelta(days=2))
        now = Slot(begins_at=_NOW - SLOT)
        for slot, payments in ((before, 2_000), (now, 100)):
            slot.known = payments
            slot.succeeded = sum(seeded.random() < 0.9 for _ in range(payments))
            scores = Counter(str(int(seeded.gauss(0, 3))) for _ in range(payments))
            slot.scores = {"model": dict(scores)}
        raised += sum(each.state == "raised" for each in judge([before, now], _LIMITS, at=_NOW))
    assert raised <= 1


_SLOTS = st.builds(
    Slot,
    begins_at=st.just(_NOW),
    known=st.integers(0, 9),
    succeeded=st.integers(0, 9),
    frauds=st.integers(0, 9),
    declines=st.dictionaries(st.sampled_from("ab"), st.integers(0, 9)),
    verdicts=st.dictionaries(st.sampled_from(["allow", "block"]), st.integers(0, 9)),
    rules=st.dictionaries(st.sampled_from("xy"), st.builds(RuleTally, asked=st.integers(0, 9))),
    scores=st.dictionaries(st.sampled_from("xy"), st.dictionaries(st.just("0"), st.just(2))),
)


@given(st.lists(_SLOTS, max_size=6), st.integers(0, 6))
def test_sums_do_not_depend_on_how_they_are_parted(slots: list[Slot], at: int) -> None:
    parts = [add_up(slots[:at], begins_at=_NOW), add_up(slots[at:], begins_at=_NOW)]
    assert add_up(parts, begins_at=_NOW) == add_up(slots, begins_at=_NOW)
