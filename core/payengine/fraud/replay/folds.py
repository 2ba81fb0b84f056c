"""Which days are learned from, which are waited for, and which are tested?

Never at random: a later day is foretold from earlier ones, with the labels that were known by then.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from payengine.errors import InputInvalid

__all__ = ["HANDBOOK_START", "Fold", "Protocol", "folds_of"]

Form = Literal["terminal", "gateway"]

#: The first training day of the newest fold in Reproducible Machine Learning for Credit Card Fraud
#: Detection (25 July 2018, of a world that begins on 1 April); older folds begin a test earlier.
HANDBOOK_START = 115
_MOST_FOLDS = 50


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """How a world is cut; all lengths in days. `start_day` is where the newest fold begins."""

    form: Form
    train_days: int
    delay_days: int
    test_days: int
    folds: int
    start_day: int | None = None
    warm_up_days: int = 45

    @classmethod
    def terminal(cls) -> Protocol:
        """Four folds of a week, a week and a week."""
        return cls(form="terminal", train_days=7, delay_days=7, test_days=7, folds=4)

    @classmethod
    def gateway(cls) -> Protocol:
        """One fold: learn until day 63, wait three weeks, test until day 119."""
        return cls(form="gateway", train_days=63, delay_days=21, test_days=36, folds=1, start_day=0)


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """One cut: days from `train` on and before `train_end`, then those of `test`."""

    number: int
    train: int
    train_end: int
    test: int
    test_end: int


def folds_of(protocol: Protocol, *, days: int) -> list[Fold]:
    """The cuts of a world of so many days, the oldest first.

    Raises `InputInvalid` where they do not fit in.
    """
    lengths = (protocol.train_days, protocol.test_days, protocol.folds)
    if min(lengths) < 1 or min(protocol.delay_days, protocol.warm_up_days) < 0:
        raise InputInvalid("Days and folds are counted from 1; a delay and a warm-up from 0.")
    if protocol.folds > _MOST_FOLDS:
        raise InputInvalid(f"There are at most {_MOST_FOLDS} folds.")
    length = protocol.train_days + protocol.delay_days + protocol.test_days
    newest = protocol.start_day
    if newest is None:
        newest = min(HANDBOOK_START, days - length)
    first = newest - (protocol.folds - 1) * protocol.test_days
    test_begins = newest + protocol.train_days + protocol.delay_days
    if first < 0 or test_begins >= days:
        raise InputInvalid(
            f"The file lasts {days} days, and the folds need day {first} to "
            f"{newest + length - 1}: ask for fewer or shorter ones."
        )
    return [
        _fold(protocol, number, start=first + number * protocol.test_days)
        for number in range(protocol.folds)
    ]


def _fold(protocol: Protocol, number: int, *, start: int) -> Fold:
    train_end = start + protocol.train_days
    test = train_end + protocol.delay_days
    return Fold(
        number=number,
        train=start,
        train_end=train_end,
        test=test,
        test_end=test + protocol.test_days,
    )
