"""When should a person be told that something about the payments has changed?

Pure. Each slot of time has its counts; the latest are compared with those of the week before, by a
reading for each thing that is watched. A reading that has too little to go by tells nothing: it
neither opens an alert nor closes one, and between the limit and what is calm all stays as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from payengine.fraud.drift import chance, merge, shift, stability

__all__ = [
    "BASELINE",
    "LONG",
    "SHORT",
    "SLOT",
    "AlertKind",
    "AlertLimits",
    "Reading",
    "RuleTally",
    "Slot",
    "add_up",
    "judge",
    "slot_of",
]

#: Slots begin at the full quarters of an hour, UTC.
SLOT = timedelta(minutes=15)
#: What is compared: the last hour for what moves fast, the last day for what moves slowly.
SHORT = timedelta(hours=1)
LONG = timedelta(days=1)
#: With what: so long before that.
BASELINE = timedelta(days=7)

AlertKind = Literal[
    "success_rate",
    "decline_mix",
    "stop_rate",
    "fraud_rate",
    "score_shift",
    "feature_shift",
    "rule_errors",
    "queue_age",
]
State = Literal["raised", "calm", "untold"]

#: The weakest change, in standard errors, that is no chance: one in 30,000 on either side.
_STANDARD_ERRORS = 4.0
#: A distribution's distance must be so many times what chance makes of it.
_TIMES_CHANCE = 4.0
#: Below this part of its limit a reading is calm again.
_CALM = 0.8
_LEAST_NOW = 50
_LEAST_BEFORE = 200
_LEAST_FRAUDS = 5
_LEAST_ERRORS = 5
_NEXT_TO_NONE = 1e-9
_STOPPED = ("review", "challenge", "block", "hard_block")


class AlertLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on a tenant wants to be told.

    Of the success rate and of the share that is stopped: a change by so many hundredths. Of the
    fraud rate: so many times what it was. Of distributions: the stability index. Of a rule: the
    share of its evaluations that fail. Of the queue: how long the oldest review has waited.
    """

    success_drop: float = 0.05
    stop_change: float = 0.05
    fraud_times: float = 1.5
    stability: float = 0.25
    rule_errors: float = 0.05
    queue_age_minutes: int = 240


class RuleTally(msgspec.Struct, kw_only=True):
    """Of one rule: how often it was asked, spoke up, and failed."""

    asked: int = 0
    hits: int = 0
    errors: int = 0


class Slot(msgspec.Struct, kw_only=True):
    """What happened between `begins_at` and fifteen minutes later, exclusive.

    `known` payments were made then and have an outcome, of which `succeeded` is a part. `frauds`
    became known then, whenever their payments were made.
    """

    begins_at: datetime
    known: int = 0
    succeeded: int = 0
    frauds: int = 0
    declines: dict[str, int] = {}
    verdicts: dict[str, int] = {}
    rules: dict[str, RuleTally] = {}
    scores: dict[str, dict[str, int]] = {}
    features: dict[str, dict[str, int]] = {}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one thing looks like now: its `value` against the `limit`, and what it was `before`."""

    kind: AlertKind
    state: State
    value: float
    before: float
    limit: float
    sample: int
    subject: str = ""


def slot_of(at: datetime) -> datetime:
    """When the slot that holds `at` began."""
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def add_up(slots: Iterable[Slot], *, begins_at: datetime) -> Slot:
    """One slot with the sums of all."""
    total = Slot(begins_at=begins_at)
    slots = list(slots)
    for each in slots:
        total.known += each.known
        total.succeeded += each.succeeded
        total.frauds += each.frauds
        for rule, tally in each.rules.items():
            sums = total.rules.setdefault(rule, RuleTally())
            sums.asked += tally.asked
            sums.hits += tally.hits
            sums.errors += tally.errors
    total.declines = merge(each.declines for each in slots)
    total.verdicts = merge(each.verdicts for each in slots)
    total.scores = _merged(each.scores for each in slots)
    total.features = _merged(each.features for each in slots)
    return total


def judge(
    slots: Sequence[Slot],
    limits: AlertLimits,
    *,
    at: datetime,
    oldest_waiting_s: float = 0.0,
    with_shifts: bool = True,
) -> list[Reading]:
    """All readings at the end of a slot, `at`; slots that are older than needed do not matter.

    `oldest_waiting_s` is the age of the review that waits the longest. `with_shifts`: compare the
    distributions too.
    """
    short, before_short = _windows(slots, SHORT, at=at)
    readings = [
        _success_rate(before_short, short, limits),
        _distribution("decline_mix", before_short.declines, short.declines, limit=limits.stability),
        _stop_rate(before_short, short, limits),
        *_rule_errors(short, limits),
        _queue_age(oldest_waiting_s, limits),
    ]
    if with_shifts:
        long, before_long = _windows(slots, LONG, at=at)
        readings.append(_fraud_rate(before_long, long, limits))
        readings += _shifts("score_shift", before_long.scores, long.scores, limits)
        readings += _shifts("feature_shift", before_long.features, long.features, limits)
    return readings


def _windows(slots: Sequence[Slot], length: timedelta, *, at: datetime) -> tuple[Slot, Slot]:
    """The window that ends `at`, and what was before it."""
    begin = at - length
    now = [each for each in slots if begin <= each.begins_at < at]
    before = [each for each in slots if begin - BASELINE <= each.begins_at < begin]
    return add_up(now, begins_at=begin), add_up(before, begins_at=begin - BASELINE)


def _merged(counts: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    total: dict[str, Counter[str]] = {}
    for each in counts:
        for name, bins in each.items():
            total.setdefault(name, Counter()).update(bins)
    return {name: dict(bins) for name, bins in total.items()}


def _state(value: float, limit: float, *, told: bool, certain: bool = True) -> State:
    if not told:
        return "untold"
    if value >= limit:
        return "raised" if certain else "untold"
    return "calm" if value < _CALM * limit else "untold"


def _success_rate(before: Slot, now: Slot, limits: AlertLimits) -> Reading:
    was, now_is = _share(before.succeeded, before.known), _share(now.succeeded, now.known)
    errors = shift(
        hits_before=before.succeeded,
        of_before=before.known,
        hits_now=now.succeeded,
        of_now=now.known,
    )
    told = now.known >= _LEAST_NOW and before.known >= _LEAST_BEFORE
    certain = errors <= -_STANDARD_ERRORS
    return Reading(
        kind="success_rate",
        state=_state(was - now_is, limits.success_drop, told=told, certain=certain),
        value=now_is,
        before=was,
        limit=limits.success_drop,
        sample=now.known,
    )


def _stop_rate(before: Slot, now: Slot, limits: AlertLimits) -> Reading:
    hits_before, of_before = _stopped(before)
    hits_now, of_now = _stopped(now)
    was, now_is = _share(hits_before, of_before), _share(hits_now, of_now)
    errors = shift(hits_before=hits_before, of_before=of_before, hits_now=hits_now, of_now=of_now)
    told = of_now >= _LEAST_NOW and of_before >= _LEAST_BEFORE
    certain = abs(errors) >= _STANDARD_ERRORS
    return Reading(
        kind="stop_rate",
        state=_state(abs(now_is - was), limits.stop_change, told=told, certain=certain),
        value=now_is,
        before=was,
        limit=limits.stop_change,
        sample=of_now,
    )


def _fraud_rate(before: Slot, now: Slot, limits: AlertLimits) -> Reading:
    """Frauds that became known in a day against the payments of that day, as card schemes do."""
    was, now_is = _share(before.frauds, before.succeeded), _share(now.frauds, now.succeeded)
    errors = shift(
        hits_before=min(before.frauds, before.succeeded),
        of_before=before.succeeded,
        hits_now=min(now.frauds, now.succeeded),
        of_now=now.succeeded,
    )
    told = now.succeeded >= _LEAST_NOW and before.succeeded >= _LEAST_BEFORE
    certain = errors >= _STANDARD_ERRORS and now.frauds >= _LEAST_FRAUDS
    # Where there was none, any is more; and where there is still none, that is calm.
    limit = max(limits.fraud_times * was, _NEXT_TO_NONE)
    return Reading(
        kind="fraud_rate",
        state=_state(now_is, limit, told=told, certain=certain),
        value=now_is,
        before=was,
        limit=limits.fraud_times,
        sample=now.succeeded,
    )


def _distribution(
    kind: AlertKind,
    before: Mapping[str, int],
    now: Mapping[str, int],
    *,
    limit: float,
    subject: str = "",
) -> Reading:
    sample = sum(now.values())
    told = sample >= _LEAST_NOW and sum(before.values()) >= _LEAST_BEFORE
    value = stability(before, now) if told else 0.0
    certain = told and value >= _TIMES_CHANCE * chance(before, now)
    return Reading(
        kind=kind,
        subject=subject,
        state=_state(value, limit, told=told, certain=certain),
        value=value,
        before=0.0,
        limit=limit,
        sample=sample,
    )


def _shifts(
    kind: AlertKind,
    before: Mapping[str, Mapping[str, int]],
    now: Mapping[str, Mapping[str, int]],
    limits: AlertLimits,
) -> Iterator[Reading]:
    for name in sorted(now):
        yield _distribution(
            kind, before.get(name, {}), now[name], limit=limits.stability, subject=name
        )


def _rule_errors(now: Slot, limits: AlertLimits) -> Iterator[Reading]:
    for name, tally in sorted(now.rules.items()):
        share = _share(tally.errors, tally.asked)
        certain = tally.errors >= _LEAST_ERRORS
        yield Reading(
            kind="rule_errors",
            subject=name,
            state=_state(share, limits.rule_errors, told=tally.asked > 0, certain=certain),
            value=share,
            before=0.0,
            limit=limits.rule_errors,
            sample=tally.asked,
        )


def _queue_age(oldest_waiting_s: float, limits: AlertLimits) -> Reading:
    minutes = oldest_waiting_s / 60
    return Reading(
        kind="queue_age",
        state=_state(minutes, limits.queue_age_minutes, told=True),
        value=minutes,
        before=0.0,
        limit=limits.queue_age_minutes,
        sample=1,
    )


def _stopped(slot: Slot) -> tuple[int, int]:
    return sum(slot.verdicts.get(each, 0) for each in _STOPPED), sum(slot.verdicts.values())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
