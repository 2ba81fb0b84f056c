"""What would each payment have scored when it came?

Payments are shown to the same feature code and the same rules, one after the other. A label counts
from the moment at which it became known; a model is trained when its test begins, from what was
known by then, and never sees a later day.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence

import msgspec

from payengine.errors import InputInvalid
from payengine.fraud.evaluation import ActiveRule
from payengine.fraud.memory import MemoryPast
from payengine.fraud.model.candidates import CANDIDATES, candidate_inputs
from payengine.fraud.model.training import Examples, Recipe, fit
from payengine.fraud.plan import FeaturePlan
from payengine.fraud.replay.folds import Fold
from payengine.fraud.replay.rules import Bench
from payengine.fraud.replay.worlds import DAY_S, Row, World, instant
from payengine.plugin.features import Feature
from payengine.plugin.fraud import FraudContext, Label, RuleStage
from payengine.plugin.trees import Input, TreeModel, vector_of

__all__ = ["Learning", "Past", "Scored", "Teller", "commonest_domains", "replay"]

#: Told how much of the work is done, 0 to 1, and what is being done.
Teller = Callable[[float, str], None]

_TELL_EVERY = 5_000
_MOST_DOMAINS = 8


class Scored(msgspec.Struct, frozen=True, gc=False):
    """One tested payment. `score` is the model's, or the rules' where there is none.

    `took_ns` is the processor's time, so that neighbours on a busy machine do not count.
    """

    fold: int
    row: Row
    score: float
    verdict: str
    took_ns: int


class Past:
    """The past of every tenant of a world, apart from each other."""

    def __init__(self, world: World, plan: FeaturePlan, *, stage: RuleStage, labels: bool) -> None:
        self._world = world
        self._plan = plan
        self._after_answer = stage == "post_auth"
        self._labels = labels
        self._tenants: dict[str, MemoryPast] = {}

    def observe(self, row: Row) -> FraudContext:
        """The payment with its facts; then it belongs to the past."""
        past = self._tenants.get(row.tenant)
        if past is None:
            past = self._tenants[row.tenant] = MemoryPast(self._plan, relabels=False)
        context = self._world.context(row, after_answer=self._after_answer)
        return msgspec.structs.replace(context, features=past.observe(context))

    def follow(self, row: Row) -> None:
        """What became of it: the issuer's answer at once, its label when that becomes known."""
        past = self._tenants[row.tenant]
        past.outcome(row.payment_id, declined=row.declined)
        if self._labels and row.label_at is not None:
            past.label(
                Label(
                    payment_id=row.payment_id,
                    is_fraud=bool(row.fraud),
                    observed_at=instant(row.label_at),
                    source="import",
                )
            )


class Learning:
    """The examples that models learn from, as they come."""

    def __init__(self, inputs: Sequence[Input], features: Sequence[Feature]) -> None:
        self._inputs = tuple(inputs)
        self._vector = vector_of(self._inputs, features)
        self._numbers = array("d")
        self._rows: list[Row] = []

    def add(self, row: Row, context: FraudContext) -> None:
        """A payment that some model may learn from; they come in the order of time."""
        self._numbers.extend(self._vector(context))
        self._rows.append(row)

    def examples(self, *, begin: int, end: int, known_at: int) -> Examples:
        """Those of the seconds from `begin` and before `end`, with the labels known at `known_at`.

        Nobody complained of the others, so they count as good; but of a payment that was declined
        nobody can complain, so without a label it teaches nothing.
        """
        width = len(self._inputs)
        rows = array("d")
        frauds: list[int] = []
        for index, row in enumerate(self._rows):
            known = _is_known(row, known_at)
            if begin <= row.at < end and (known or not row.declined):
                rows.extend(self._numbers[index * width : (index + 1) * width])
                frauds.append(row.fraud if known else 0)
        return Examples(inputs=self._inputs, rows=rows, frauds=frauds)

    def taught(self, *, begin: int, end: int, known_at: int) -> list[Row]:
        """The payments that `examples` is made of, in its order."""
        return [
            row
            for row in self._rows
            if begin <= row.at < end and (_is_known(row, known_at) or not row.declined)
        ]

    def model(self, fold: Fold, *, name: str, recipe: Recipe | None) -> TreeModel:
        """What is learned when the fold's test begins. Raises `InputInvalid`."""
        begin, end, known_at = (day * DAY_S for day in (fold.train, fold.train_end, fold.test))
        examples = self.examples(begin=begin, end=end, known_at=known_at)
        window = tuple(instant(each).isoformat() for each in (begin, end, known_at))
        try:
            return fit(examples, name=name, window=(window[0], window[1], window[2]), recipe=recipe)
        except ValueError as problem:
            raise InputInvalid(f"Fold {fold.number} teaches nothing: {problem}.") from None


def replay(
    world: World,
    folds: Sequence[Fold],
    *,
    bench: Bench,
    stage: RuleStage = "pre_auth",
    rules_only: bool = False,
    recipe: Recipe | None = None,
    told: Teller = lambda _done, _doing: None,
    models: dict[int, TreeModel] | None = None,
) -> Iterator[Scored]:
    """Score the folds' tests in event time; `rules_only` keeps every label and model away.

    A payment in two tests is scored for both. Trained models are put into `models`, by fold; one
    that is there already is used as it is. Raises `InputInvalid` where there is nothing to learn.
    """
    models = {} if models is None else models
    inputs = candidate_inputs(
        after_answer=stage == "post_auth",
        domains=commonest_domains(world, before=folds[0].train_end),
    )
    wanted = [*bench.features(), *(() if rules_only else CANDIDATES)]
    given = [feature for model in models.values() for feature in model.features]
    past = Past(world, FeaturePlan.of([*wanted, *given]), stage=stage, labels=not rules_only)
    learning = Learning(inputs, CANDIDATES)
    learned_days = set() if rules_only else _days(folds, "train", "train_end")
    judging: dict[int, ActiveRule] = {}
    day = -1
    tested: list[Fold] = []
    total = len(world.rows)
    for number, row in enumerate(world.rows):
        if row.at // DAY_S != day:
            day = row.at // DAY_S
            tested = [fold for fold in folds if fold.test <= day < fold.test_end]
            for fold in tested:
                if rules_only or fold.number in judging:
                    continue
                if fold.number not in models:
                    told(number / total, f"training for fold {fold.number + 1}")
                    name = f"{world.form} fold {fold.number + 1}"
                    models[fold.number] = learning.model(fold, name=name, recipe=recipe)
                judging[fold.number] = bench.model(models[fold.number])
        if number % _TELL_EVERY == 0:
            told(number / total, f"day {day}")
        began = time.thread_time_ns()
        context = past.observe(row)
        observed_ns = time.thread_time_ns() - began
        for fold in tested:
            began = time.thread_time_ns()
            said = bench.judge(context, judging.get(fold.number))
            took_ns = observed_ns + time.thread_time_ns() - began
            score = said.rules if said.model is None else said.model
            yield Scored(fold.number, row, score, said.verdict, took_ns)
        if day in learned_days:
            learning.add(row, context)
        past.follow(row)
    told(1.0, "done")


def _is_known(row: Row, at: int) -> bool:
    return row.label_at is not None and row.label_at <= at


def _days(folds: Sequence[Fold], begin: str, end: str) -> set[int]:
    return {day for fold in folds for day in range(getattr(fold, begin), getattr(fold, end))}


def commonest_domains(world: World, *, before: int) -> tuple[str, ...]:
    """The commonest e-mail domains of the days before `before`: each is worth a question."""
    if "email_domain" not in world.fields:
        return ()
    place = world.fields.index("email_domain")
    counts: dict[str, int] = {}
    for row in world.rows:
        if row.at >= before * DAY_S:
            break
        domain = row.texts[place]
        if domain is not None:
            counts[domain] = counts.get(domain, 0) + 1
    common = sorted(counts, key=lambda each: (-counts[each], each))[:_MOST_DOMAINS]
    return tuple(sorted(common))
