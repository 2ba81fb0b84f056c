"""Pauses grow, differ a little, and end after three days to the minute."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from payengine.webhooks.schedule import GIVE_UP_AFTER, PAUSES, next_try

_BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.integers(0, 2**32))
def test_the_last_try_is_three_days_after_the_first(seed: int) -> None:
    chance, at, tries = random.Random(seed), _BEGAN, 0
    instants = [at]
    while True:
        tries += 1
        due = next_try(tries, first_tried_at=_BEGAN, at=at, chance=chance)
        if due is None:
            break
        assert due > at
        at = due
        instants.append(at)
    assert instants[-1] == _BEGAN + GIVE_UP_AFTER
    assert 12 <= len(instants) <= 20


@given(st.integers(1, 30), st.integers(0, 2**32))
def test_a_pause_is_the_schedules_within_a_tenth(tries: int, seed: int) -> None:
    due = next_try(tries, first_tried_at=_BEGAN, at=_BEGAN, chance=random.Random(seed))
    assert due is not None
    pause = PAUSES[min(tries, len(PAUSES)) - 1]
    assert pause * 0.9 <= due - _BEGAN <= pause * 1.1


def test_endpoints_that_failed_together_do_not_come_back_together() -> None:
    chance = random.Random(1)
    found = {next_try(5, first_tried_at=_BEGAN, at=_BEGAN, chance=chance) for _ in range(50)}
    assert len(found) == 50


def test_a_process_that_slept_past_the_end_tries_once_more_at_most() -> None:
    late = _BEGAN + GIVE_UP_AFTER + timedelta(days=2)
    assert next_try(3, first_tried_at=_BEGAN, at=late, chance=random.Random(1)) is None
