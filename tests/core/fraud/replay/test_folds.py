"""Folds are cut in time, and only where they fit."""

from __future__ import annotations

import msgspec
import pytest
from payengine.errors import InputInvalid
from payengine.fraud.replay.folds import Protocol, folds_of

TERMINAL = Protocol.terminal()


def test_terminals_are_cut_as_the_handbook_cuts_them() -> None:
    folds = folds_of(TERMINAL, days=183)
    assert [fold.train for fold in folds] == [94, 101, 108, 115]
    assert [(fold.test, fold.test_end) for fold in folds][-1] == (129, 136)


def test_a_gateway_is_cut_once_from_its_first_day() -> None:
    (fold,) = folds_of(Protocol.gateway(), days=120)
    assert (fold.train, fold.train_end, fold.test, fold.test_end) == (0, 63, 84, 120)


def test_a_shorter_world_is_cut_at_its_end() -> None:
    folds = folds_of(TERMINAL, days=60)
    assert folds[-1].test_end == 60


@pytest.mark.parametrize(
    "change",
    [
        {"start_day": 20},
        {"start_day": 182},
        {"folds": 0},
        {"train_days": 0},
        {"delay_days": -1},
        {"folds": 51},
    ],
)
def test_folds_that_do_not_fit_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(InputInvalid):
        folds_of(msgspec.structs.replace(TERMINAL, **change), days=183)
