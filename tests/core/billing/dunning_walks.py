"""Walks through dunning: random events at random instants, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from payengine.billing.dunning import begin_collection, step
from payengine.billing.dunning_policy import DunningPolicy, FinalAction
from payengine.billing.dunning_state import DunningState, deadline_of, next_due
from payengine.billing.dunning_words import (
    Action,
    ChargeDeclined,
    ChargeFailed,
    ChargeHeld,
    ChargeNotFound,
    ChargeSucceeded,
    ChargeUnknown,
    CollectionKind,
    CustomerAuthenticated,
    CustomerCanceled,
    DunningEvent,
    InvoicePaid,
    InvoiceVoided,
    MethodUpdated,
    TimeCame,
)

T0 = datetime(2025, 6, 1, 8, tzinfo=UTC)
CODES = (
    "insufficient_funds",
    "do_not_honor",
    "stolen_card",
    "expired_card",
    "authentication_required",
    "processing_error",
    "testmode_decline",
    "nobody_knows_this_one",
)
_KINDS: tuple[CollectionKind, ...] = ("first", "renewal", "usage")
_FINALS: tuple[FinalAction, ...] = ("cancel", "unpaid", "leave_past_due")


class Stride(NamedTuple):
    """One step of a walk."""

    before: DunningState
    event: DunningEvent
    at: datetime
    after: DunningState
    actions: tuple[Action, ...]


class Walk(NamedTuple):
    """A whole walk, with what its beginning asked for."""

    opened: tuple[Action, ...]
    strides: list[Stride]


def walk(seed: int, *, strides: int = 24) -> Walk:
    """The walk of this seed; one in five meets a gateway that is down for hours."""
    chance = random.Random(seed)
    policy = DunningPolicy(
        retry_intervals_days=tuple(chance.choices((1, 2, 7), k=chance.randint(0, 4))),
        final_action=chance.choice(_FINALS),
        access_grace_days=chance.choice((0, 1, 3, 7, 40)),
        tries_other_methods=chance.random() < 0.8,
    )
    saved = tuple(f"pm_{number}" for number in range(chance.choice((0, 0, 1, 2))))
    state, opened = begin_collection(
        chance.choice(_KINDS), policy=policy, t0=T0, other_methods=saved
    )
    is_stubborn = chance.random() < 0.2
    at, done = T0, []
    for _ in range(strides * 2 if is_stubborn else strides):
        due = next_due(state)
        if due is not None and chance.random() < 0.7:
            at = max(at, due)
        at += timedelta(seconds=chance.choice((0, 0, 1, 300, 86_400)))
        if is_stubborn and chance.random() < 0.98:
            event: DunningEvent = _stubborn(chance, state)
        else:
            event = _event(chance, state, at)
        after, actions = step(state, event, at)
        done.append(Stride(state, event, at, after, actions))
        state = after
    return Walk(opened, done)


def walks(count: int) -> Iterator[Walk]:
    """The first `count` walks."""
    return (walk(seed) for seed in range(count))


def _stubborn(chance: random.Random, state: DunningState) -> DunningEvent:
    if state.phase == "charging" and state.technical_retries > 6 and chance.random() < 0.5:
        return ChargeUnknown(state.charge)
    return ChargeFailed(state.charge) if next_due(state) is None else TimeCame()


def _event(chance: random.Random, state: DunningState, at: datetime) -> DunningEvent:
    charge = state.charge if chance.random() < 0.9 else max(state.charge - 1, 0)
    held = chance.choice((None, at + timedelta(days=1), deadline_of(state) + timedelta(days=1)))
    answers: tuple[DunningEvent, ...] = (
        *(ChargeDeclined(charge, code, chance.choice((None, "a", "b"))) for code in CODES),
        ChargeFailed(charge, chance.choice((None, "a", "b"))),
        ChargeFailed(charge),
        ChargeUnknown(charge),
        ChargeNotFound(charge),
        ChargeHeld(charge, held),
    )
    rare: tuple[DunningEvent, ...] = (
        ChargeSucceeded(charge, others_open=chance.choice((0, 0, 1))),
        InvoicePaid(others_open=chance.choice((0, 1))),
        InvoiceVoided(),
        CustomerCanceled(),
    )
    people: tuple[DunningEvent, ...] = (MethodUpdated("pm_new"), CustomerAuthenticated())
    likes = chance.random()
    if likes < 0.08:
        return chance.choice(rare)
    if likes < 0.2:
        return chance.choice(people)
    if likes < 0.6 and state.phase in ("charging", "unknown"):
        return chance.choice(answers)
    return TimeCame() if likes < 0.85 else chance.choice(answers)
