"""May this model take over?

Only where it is better on later payments than what it replaces, and than what is simpler: a model
that learned by heart shows it there and nowhere else. Each reason against it is said.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from payengine.fraud.model.metrics import (
    average_precision,
    caught_at,
    expected_over_observed,
    population_shift,
)

__all__ = ["Judged", "Trial", "gate"]

_FALSE_RATE = 0.005
#: What chance alone moves on a few hundred frauds.
_RECALL_SLACK = 0.02
_EXPECTED = (0.5, 2.0)
_MOST_SHIFT = 0.25
_FEWEST_FRAUDS = 20


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Later payments, what they were, and what everyone said of them.

    `trained` are the model's scores of what it learned from; `champion` is None where nothing was
    promoted before.
    """

    frauds: Sequence[int]
    amounts: Sequence[int]
    model: Sequence[float]
    trained: Sequence[float]
    logistic: Sequence[float]
    rules: Sequence[float]
    champion: Sequence[float] | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the gate opens; `objections` are sentences, empty where it does."""

    passed: bool
    objections: tuple[str, ...]
    metrics: dict[str, float]


def gate(trial: Trial) -> Judged:
    """Judge a model by later payments. Pure."""
    objections: list[str] = []
    metrics: dict[str, float] = {"payments": len(trial.frauds), "frauds": sum(trial.frauds)}
    if sum(trial.frauds) < _FEWEST_FRAUDS:
        return Judged(
            passed=False,
            objections=(f"Of later payments only {sum(trial.frauds)} are known to be frauds.",),
            metrics=metrics,
        )
    rivals = {"champion": trial.champion, "logistic": trial.logistic, "rules": trial.rules}
    precision = metrics["ap"] = average_precision(trial.model, trial.frauds) or 0.0
    for rival, scores in rivals.items():
        if scores is None:
            continue
        theirs = metrics[f"ap_{rival}"] = average_precision(scores, trial.frauds) or 0.0
        if precision < theirs or (rival != "champion" and precision == theirs):
            objections.append(
                f"Its average precision is {precision:.3f}; the {rival}'s is {theirs:.3f}."
            )
    recall = metrics["recall_at_fpr_0_005"] = _recall(trial, trial.model)
    if trial.champion is not None and recall < _recall(trial, trial.champion) - _RECALL_SLACK:
        objections.append(
            f"At half a percent of false alarms it finds {recall:.1%} of frauds, "
            f"and the champion {_recall(trial, trial.champion):.1%}."
        )
    expected = metrics["expected_over_observed"] = (
        expected_over_observed(trial.model, trial.frauds) or 0.0
    )
    if not _EXPECTED[0] <= expected <= _EXPECTED[1]:
        objections.append(f"It foretells {expected:.2f} times the frauds that came.")
    shift = metrics["shift"] = population_shift(trial.trained, trial.model)
    if shift > _MOST_SHIFT:
        objections.append(f"Its scores shifted by {shift:.2f} since it was trained.")
    return Judged(passed=not objections, objections=tuple(objections), metrics=metrics)


def _recall(trial: Trial, scores: Sequence[float]) -> float:
    caught = caught_at(scores, trial.frauds, trial.amounts, false_rate=_FALSE_RATE)
    return 0.0 if caught is None else caught.recall
