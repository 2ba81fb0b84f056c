"""How good were the scores, in the field's own measures?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from payengine.fraud.model.metrics import (
    average_precision,
    card_precision,
    caught_at,
    roc_auc,
)
from payengine.fraud.replay.folds import Fold, Form
from payengine.fraud.replay.timeline import Scored
from payengine.fraud.replay.worlds import DAY_S, Row, World

__all__ = ["FALSE_RATE", "Report", "compromised", "report_of"]

#: The share of good payments that may be flagged.
FALSE_RATE = 0.005
_TOP_CARDS = 100


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the folds, and each fold's own figures; None where a measure has no meaning.

    `p50_us` and `p99_us` are the processor's time of one decision: facts in memory, rules, model.
    """

    protocol: str
    rules_only: bool
    auc: float | None
    ap: float | None
    cp100: float | None
    recall_at_fpr_0_005: float | None
    value_recall: float | None
    p50_us: float | None
    p99_us: float | None
    folds: tuple[dict[str, Any], ...]
    payments: int
    frauds: int
    stage: str
    rules: tuple[str, ...]


_MEASURES = ("auc", "ap", "cp100", "recall_at_fpr_0_005", "value_recall")


def compromised(world: World, fold: Fold) -> dict[str, int]:
    """From which second on each card was known to be misused, since the fold's training began."""
    place = world.fields.index("card") if "card" in world.fields else None
    known: dict[str, int] = {}
    if place is None:
        return known
    begin, end = fold.train * DAY_S, fold.test_end * DAY_S
    for row in world.rows:
        if row.at >= end:
            break
        card = row.texts[place]
        if row.at < begin or not row.fraud or row.label_at is None or card is None:
            continue
        known[card] = min(row.label_at, known.get(card, row.label_at))
    return known


def report_of(
    world: World,
    folds: Sequence[Fold],
    scored: Iterable[Scored],
    *,
    form: Form,
    stage: str,
    rules_only: bool,
    rules: Sequence[str],
) -> Report:
    """The figures of a replay.

    Of terminals, cards known to be misused when a day began are left out of that day, as the
    protocol of the field wants it; of a gateway everything counts.
    """
    by_fold: dict[int, list[Scored]] = {fold.number: [] for fold in folds}
    took: list[int] = []
    for one in scored:
        by_fold[one.fold].append(one)
        took.append(one.took_ns)
    took.sort()
    figures = []
    for fold in folds:
        kept = by_fold[fold.number]
        if form == "terminal":
            kept = _without(kept, compromised(world, fold), world.fields.index("card"))
        figures.append({**_spelled(fold), **_measured(world, kept)})
    return Report(
        protocol=form,
        rules_only=rules_only,
        **{name: _mean([each[name] for each in figures]) for name in _MEASURES},
        p50_us=_percentile(took, 0.5),
        p99_us=_percentile(took, 0.99),
        folds=tuple(figures),
        payments=sum(each["payments"] for each in figures),
        frauds=sum(each["frauds"] for each in figures),
        stage=stage,
        rules=tuple(rules),
    )


def _without(scored: list[Scored], known: dict[str, int], place: int) -> list[Scored]:
    def is_kept(row: Row) -> bool:
        since = known.get(row.texts[place] or "")
        return since is None or since > row.at // DAY_S * DAY_S

    return [one for one in scored if is_kept(one.row)]


def _spelled(fold: Fold) -> dict[str, Any]:
    return {
        "train_days": [fold.train, fold.train_end - 1],
        "test_days": [fold.test, fold.test_end - 1],
    }


def _measured(world: World, scored: list[Scored]) -> dict[str, Any]:
    scores = [one.score for one in scored]
    frauds = [one.row.fraud for one in scored]
    amounts = [one.row.minor for one in scored]
    caught = caught_at(scores, frauds, amounts, false_rate=FALSE_RATE)
    place = world.fields.index("card") if "card" in world.fields else None
    precision = (
        None
        if place is None
        else card_precision(
            (
                (one.row.at // DAY_S, one.row.texts[place] or "", one.score, one.row.fraud)
                for one in scored
            ),
            top=_TOP_CARDS,
        )
    )
    return {
        "payments": len(scored),
        "frauds": sum(frauds),
        "auc": _rounded(roc_auc(scores, frauds)),
        "ap": _rounded(average_precision(scores, frauds)),
        "cp100": _rounded(precision),
        "recall_at_fpr_0_005": _rounded(None if caught is None else caught.recall),
        "value_recall": _rounded(None if caught is None else caught.value_recall),
    }


def _rounded(measure: float | None) -> float | None:
    return None if measure is None else round(measure, 5)


def _mean(measures: Sequence[float | None]) -> float | None:
    there = [each for each in measures if each is not None]
    return round(sum(there) / len(there), 5) if there else None


def _percentile(ordered: Sequence[int], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1_000, 1)
