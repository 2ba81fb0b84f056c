"""The gate opens for what is better, and says why it stays shut."""

from __future__ import annotations

import random

import msgspec
import pytest
from payengine.fraud.model.gate import Trial, gate

_CHANCE = random.Random(3)
FRAUDS = [1 if each % 20 == 0 else 0 for each in range(2_000)]
GOOD = [min(1.0, max(0.0, 0.9 * each + _CHANCE.gauss(0.02, 0.01))) for each in FRAUDS]
POOR = [_CHANCE.random() / 10 for _ in FRAUDS]
TRIAL = Trial(
    frauds=FRAUDS,
    amounts=[1_000] * 2_000,
    model=GOOD,
    trained=GOOD,
    logistic=POOR,
    rules=POOR,
    champion=None,
)


def test_opens_for_a_first_model_that_beats_what_is_simpler() -> None:
    judged = gate(TRIAL)
    assert judged.passed
    assert judged.objections == ()
    assert judged.metrics["ap"] > judged.metrics["ap_logistic"]


def test_opens_for_one_as_good_as_the_champion() -> None:
    assert gate(msgspec.structs.replace(TRIAL, champion=GOOD)).passed


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": POOR, "trained": POOR, "champion": GOOD}, "champion"),
        ({"logistic": GOOD}, "logistic"),
        ({"rules": GOOD}, "rules"),
        ({"model": [each / 10 for each in GOOD], "trained": [each / 10 for each in GOOD]},
         "foretells"),
        ({"trained": POOR}, "shifted"),
        ({"frauds": [0] * 2_000}, "only 0"),
    ],
)  # fmt: skip
def test_stays_shut_and_says_why(change: dict[str, list[float]], word: str) -> None:
    judged = gate(msgspec.structs.replace(TRIAL, **change))
    assert not judged.passed
    assert any(word in each for each in judged.objections)
