"""What is learned scores in plain Python as it scored where it was learned."""

from __future__ import annotations

import math
import random

import lightgbm
import msgspec
import numpy as np
import pytest
from payengine.fraud.model.logistic import logistic_scores
from payengine.fraud.model.metrics import average_precision
from payengine.fraud.model.training import Examples, Recipe, _grown, fit, learnt, scores
from payengine.plugin.trees import Input, encoded, margin_of, read

INPUTS = (
    Input("number", ("base_minor",)),
    Input("number", ("card.count.1d",)),
    Input("number", ("card.max.7d",)),
    Input("number", ("account_age_days",)),
)
WINDOW = ("2020-01-01T00:00:00+00:00", "2020-02-01T00:00:00+00:00", "2020-02-01T00:00:00+00:00")


def examples(count: int = 3_000, *, seed: int = 1) -> Examples:
    """Fraud begins at a limit of the amount, and where a card is busy and new."""
    chance = random.Random(seed)
    rows: list[float] = []
    frauds = []
    for _ in range(count):
        amount, busy = float(chance.randrange(100, 30_000)), float(chance.randrange(6))
        largest = math.nan if chance.random() < 0.3 else chance.random()
        rows += [amount, busy, largest, 1.0]
        frauds.append(int(amount > 29_000 or (busy >= 5 and amount < 4_000)))
    return Examples(inputs=INPUTS, rows=rows, frauds=frauds)


def test_trees_score_as_they_did_where_they_grew() -> None:
    taught = examples()
    table = np.asarray(taught.rows).reshape(-1, len(INPUTS))
    grown = _grown(table, np.asarray(taught.frauds), Recipe(trees=20))
    assert isinstance(grown, lightgbm.Booster)
    model = fit(taught, name="m", window=WINDOW, recipe=Recipe(trees=20))
    kept = [taught.inputs.index(each) for each in model.inputs]
    again = _grown(table[:, kept], np.asarray(taught.frauds), Recipe(trees=20))
    margin = margin_of(model.trees)
    expected = again.predict(table[:, kept], raw_score=True)
    found = [margin(list(row)) for row in table[:, kept]]
    assert found == pytest.approx(list(expected))


def test_it_learns_what_there_is_and_says_by_what() -> None:
    model = fit(examples(), name="m", window=WINDOW, recipe=Recipe(trees=60))
    later = examples(seed=2)
    assert (average_precision(scores(model, later), later.frauds) or 0) > 0.9
    shares = learnt(model)
    assert min(shares["base_minor"], shares["card.count.1d"]) > 0.05
    assert sum(shares.values()) == pytest.approx(1.0)
    assert "account_age_days" not in [each.name for each in model.inputs]  # it never changed
    assert {each.name for each in model.features} == {"card.count.1d", "card.max.7d"}


def test_probabilities_are_about_right() -> None:
    model = fit(examples(), name="m", window=WINDOW, recipe=Recipe(trees=60))
    later = examples(seed=3)
    assert sum(scores(model, later)) == pytest.approx(sum(later.frauds), rel=0.2)


def test_the_same_examples_make_the_same_document() -> None:
    recipe = Recipe(trees=10)
    first = fit(examples(), name="m", window=WINDOW, recipe=recipe)
    second = fit(examples(), name="m", window=WINDOW, recipe=recipe)
    assert encoded(first) == encoded(second)
    assert read(encoded(first)) == first


def test_too_few_frauds_teach_nothing() -> None:
    taught = examples(500)
    few = msgspec.structs.replace(taught, frauds=[1] * 5 + [0] * 495)
    with pytest.raises(ValueError, match="5 frauds"):
        fit(few, name="m", window=WINDOW)


def test_a_straight_line_learns_a_straight_line() -> None:
    chance = random.Random(4)
    amounts = [float(chance.randrange(100, 30_000)) for _ in range(1_000)]
    rows = [each for amount in amounts for each in (amount, math.nan, 0.0, 1.0)]
    taught = Examples(inputs=INPUTS, rows=rows, frauds=[int(each > 20_000) for each in amounts])
    said = logistic_scores(taught, taught)
    assert (average_precision(said, taught.frauds) or 0) > 0.99
