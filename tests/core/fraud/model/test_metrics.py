"""Scores are measured as the field measures them."""

from __future__ import annotations

import pytest
from payengine.fraud.model.metrics import (
    average_precision,
    card_precision,
    caught_at,
    expected_over_observed,
    population_shift,
    roc_auc,
)


def test_perfect_order_has_full_marks() -> None:
    scores, frauds = [0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]
    assert roc_auc(scores, frauds) == 1.0
    assert average_precision(scores, frauds) == 1.0


def test_worked_example() -> None:
    # Found at ranks 1, 3 and 5 of 6.
    scores, frauds = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 0, 1, 0]
    assert average_precision(scores, frauds) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert roc_auc(scores, frauds) == pytest.approx(6 / 9)


def test_equal_scores_flatter_nobody() -> None:
    assert roc_auc([0.5] * 4, [1, 0, 0, 1]) == 0.5
    assert average_precision([0.5] * 4, [1, 0, 0, 1]) == 0.5
    assert average_precision([0.5] * 4, [0, 0, 1, 1]) == 0.5


def test_nothing_is_measured_without_frauds() -> None:
    assert roc_auc([0.1, 0.2], [0, 0]) is None
    assert average_precision([0.1], [0]) is None
    assert caught_at([0.1], [0], [5], false_rate=0.1) is None
    assert expected_over_observed([0.1], [0]) is None


def test_recall_at_a_share_of_false_alarms() -> None:
    scores = [0.9, 0.8, 0.7, *(0.6 - each / 1000 for each in range(200))]
    frauds = [1, 0, 1, *([0] * 199), 1]
    amounts = [10, 1, 30, *([1] * 199), 60]
    caught = caught_at(scores, frauds, amounts, false_rate=0.005)
    assert caught is not None
    assert caught.recall == pytest.approx(2 / 3)
    assert caught.value_recall == pytest.approx(0.4)
    assert caught.threshold == 0.7


def test_alarms_that_tie_beyond_the_share_are_none() -> None:
    caught = caught_at([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0], [1, 1, 1, 1], false_rate=0.005)
    assert caught is not None
    assert caught.recall == 0.0


def test_a_card_that_was_found_is_not_looked_for_again() -> None:
    rows = [
        (1, "a", 0.9, 1),
        (1, "a", 0.1, 0),
        (1, "b", 0.8, 0),
        (2, "a", 0.9, 1),
        (2, "b", 0.7, 1),
        (2, "c", 0.6, 0),
    ]
    # Day 1: a and b of two; day 2: b and c, as a is known.
    assert card_precision(rows, top=2) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert card_precision([], top=2) is None


def test_shift_is_nothing_among_equals_and_large_among_strangers() -> None:
    before = [each / 1000 for each in range(1000)]
    assert population_shift(before, before) == pytest.approx(0.0)
    assert population_shift(before, [0.99] * 1000) > 1.0


def test_expected_over_observed() -> None:
    assert expected_over_observed([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0]) == 2.0
