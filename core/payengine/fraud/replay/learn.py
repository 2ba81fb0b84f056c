"""What is there to learn from this world, and how good is it on its last days?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from payengine.errors import InputInvalid
from payengine.fraud.model.candidates import CANDIDATES, candidate_inputs
from payengine.fraud.model.gate import Judged, Trial, gate
from payengine.fraud.model.logistic import logistic_scores
from payengine.fraud.model.metrics import average_precision, caught_at, roc_auc
from payengine.fraud.model.training import Examples, Recipe, fit, learnt, scores
from payengine.fraud.plan import FeaturePlan
from payengine.fraud.replay.rules import Bench
from payengine.fraud.replay.timeline import Learning, Past, Teller, commonest_domains
from payengine.fraud.replay.worlds import DAY_S, EPOCH, World, instant
from payengine.plugin.trees import Input, Scorer, TreeModel, sealed

__all__ = ["Lesson", "learn", "tried"]

_LATER = 0.25
_TELL_EVERY = 5_000


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be learned. `first_day`: by what a tenant without labels and sellers knows.

    `everything`: the last quarter is learned from too, so that no later payments are left that a
    gate could judge by. What is younger than `wait_days` is not learned from: its frauds are not
    all known yet.
    """

    name: str
    most_inputs: int | None = None
    first_day: bool = False
    everything: bool = False
    wait_days: int = 21
    recipe: Recipe = Recipe()


def learn(world: World, lesson: Lesson, *, told: Teller, key: bytes | None = None) -> TreeModel:
    """A model of the world's first three quarters, or of all of it; its metrics are those of the
    last quarter, by a model that never saw it.

    Raises `InputInvalid` where too few frauds are known.
    """
    if not world.rows:
        raise InputInvalid("There are no payments to learn from.")
    learning = _looked_at(world, _inputs(world, lesson), told)
    begin, end, known = world.rows[0].at, world.rows[-1].at + 1, _last_label(world)
    cut = begin + int((end - begin) * (1 - _LATER))
    ripe = max(begin + (cut - begin) // 2, cut - lesson.wait_days * DAY_S)
    early = learning.examples(begin=begin, end=ripe, known_at=cut)
    later = learning.examples(begin=cut, end=end, known_at=known)
    try:
        told(0.9, "training on the first three quarters")
        model = _fit(early, lesson, (begin, ripe, cut))
        if lesson.most_inputs is not None and len(model.inputs) > lesson.most_inputs:
            wanted = set(list(learnt(model))[: lesson.most_inputs])
            kept = tuple(each for each in early.inputs if each.name in wanted)
            model = _fit(_only(early, kept), lesson, (begin, ripe, cut))
        metrics = _metrics(scores(model, later), later)
        if lesson.everything:
            told(0.95, "training on everything")
            whole = learning.examples(begin=begin, end=end, known_at=known)
            model = _fit(_only(whole, model.inputs), lesson, (begin, end, known))
    except ValueError as problem:
        raise InputInvalid(f"Nothing can be learned: {problem}.") from None
    told(1.0, "done")
    return sealed(msgspec.structs.replace(model, metrics=metrics), key=key)


def tried(
    world: World, model: TreeModel, champion: TreeModel | None, *, bench: Bench, told: Teller
) -> Judged:
    """The gate, on the world's payments since those that the model learned from.

    A champion that learned from some of them is flattered, and the gate the narrower.
    """
    cut = _seconds(model.window.labels_until)
    learning, marks = _watched(world, model, champion, bench, told)
    known = _last_label(world)
    begin, ripe = _seconds(model.window.begin), _seconds(model.window.end)
    early = learning.examples(begin=begin, end=ripe, known_at=cut)
    end = world.rows[-1].at + 1 if world.rows else cut
    later = learning.examples(begin=cut, end=end, known_at=known)
    rows = learning.taught(begin=cut, end=end, known_at=known)
    if not sum(early.frauds) or not sum(later.frauds):
        return Judged(
            passed=False,
            objections=("No frauds are known of payments before and after it was trained.",),
            metrics={},
        )
    return gate(
        Trial(
            frauds=later.frauds,
            amounts=[row.minor for row in rows],
            model=scores(model, later),
            trained=scores(model, early),
            logistic=logistic_scores(early, later),
            rules=[marks[row.payment_id, row.at][0] for row in rows],
            champion=None
            if champion is None
            else [marks[row.payment_id, row.at][1] for row in rows],
        )
    )


def _inputs(world: World, lesson: Lesson) -> tuple[Input, ...]:
    domains = () if lesson.first_day else commonest_domains(world, before=world.days)
    inputs = candidate_inputs(domains=domains)
    if not lesson.first_day:
        return inputs
    facts = {each.name: each for each in CANDIDATES}

    def is_early(name: str) -> bool:
        fact = facts.get(name)
        return fact is None or (
            fact.entity != "seller"
            and fact.measure not in ("fraud", "labeled", "run", "last_label")
        )

    return tuple(each for each in inputs if all(is_early(name) for name in each.of))


def _looked_at(world: World, inputs: tuple[Input, ...], told: Teller) -> Learning:
    past = Past(world, FeaturePlan.of(CANDIDATES), stage="pre_auth", labels=True)
    learning = Learning(inputs, CANDIDATES)
    for number, row in enumerate(world.rows):
        if number % _TELL_EVERY == 0:
            told(0.9 * number / len(world.rows), "looking at the past")
        learning.add(row, past.observe(row))
        past.follow(row)
    return learning


def _watched(
    world: World, model: TreeModel, champion: TreeModel | None, bench: Bench, told: Teller
) -> tuple[Learning, dict[tuple[str, int], tuple[float, float]]]:
    """The examples, and of later payments what the rules and the champion said."""
    facts = [*model.features, *(() if champion is None else champion.features)]
    past = Past(world, FeaturePlan.of([*bench.features(), *facts]), stage="pre_auth", labels=True)
    learning = Learning(model.inputs, model.features)
    scorer: Callable[..., float] = (lambda _: 0.0) if champion is None else Scorer(champion).score
    cut = _seconds(model.window.labels_until)
    marks: dict[tuple[str, int], tuple[float, float]] = {}
    for number, row in enumerate(world.rows):
        if number % _TELL_EVERY == 0:
            told(number / len(world.rows), "looking at the past")
        context = past.observe(row)
        learning.add(row, context)
        if row.at >= cut:
            marks[row.payment_id, row.at] = (bench.judge(context).rules, scorer(context))
        past.follow(row)
    told(1.0, "done")
    return learning, marks


def _seconds(spelled: str) -> int:
    return int((datetime.fromisoformat(spelled) - EPOCH).total_seconds())


def _fit(examples: Examples, lesson: Lesson, seconds: tuple[int, int, int]) -> TreeModel:
    begin, end, known = (instant(each).isoformat() for each in seconds)
    return fit(examples, name=lesson.name, window=(begin, end, known), recipe=lesson.recipe)


def _only(examples: Examples, kept: tuple[Input, ...]) -> Examples:
    width = len(examples.inputs)
    places = [examples.inputs.index(each) for each in kept]
    rows = [
        examples.rows[start + place]
        for start in range(0, len(examples.rows), width)
        for place in places
    ]
    return Examples(inputs=kept, rows=rows, frauds=examples.frauds)


def _last_label(world: World) -> int:
    return max((row.label_at for row in world.rows if row.label_at is not None), default=0)


def _metrics(said: list[float], later: Examples) -> dict[str, float]:
    measures = {
        "ap": average_precision(said, later.frauds),
        "auc": roc_auc(said, later.frauds),
    }
    caught = caught_at(said, later.frauds, [1] * len(said), false_rate=0.005)
    measures["recall_at_fpr_0_005"] = None if caught is None else caught.recall
    return {name: round(value, 5) for name, value in measures.items() if value is not None}
