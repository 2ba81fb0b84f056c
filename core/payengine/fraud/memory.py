"""What did a payment's past look like, replayed from a file?

The same numbers as `payengine.fraud.past` reads from PostgreSQL, kept in memory and brought forward
payment by payment: each is shown its past and then becomes part of it. Every fact costs a constant
number of steps in the mean, and only what the plan reads is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from payengine.fraud.accumulate import Known, Row, accumulators
from payengine.fraud.plan import LABEL_MEASURES, FeaturePlan
from payengine.plugin.features import Feature
from payengine.plugin.fraud import FraudContext, Label

__all__ = ["MemoryPast", "Value", "microseconds"]

Value = int | float | str | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


class _Seen:
    """The past of one entity."""

    __slots__ = ("approved", "declined", "known", "last_at", "plain")

    def __init__(self, kind: _Kind) -> None:
        self.last_at = -(1 << 62)
        self.plain = accumulators(kind.plain, kind.facts)
        self.declined = accumulators(kind.declined, kind.facts)
        self.approved = accumulators(kind.approved, kind.facts)
        self.known = Known(kind.labels) if kind.labels else None


class _Kind:
    """What the plan asks about one kind of entity."""

    def __init__(self, position: int, features: Iterable[Feature], facts: dict[str, int]) -> None:
        asked = list(features)
        self.position = position
        self.facts = facts
        self.labels = [each for each in asked if each.measure in LABEL_MEASURES]
        others = [each for each in asked if each.measure not in LABEL_MEASURES]
        self.plain = [each for each in others if each.where in ("all", "small")]
        self.declined = [each for each in others if each.where == "declined"]
        self.approved = [each for each in others if each.where == "approved"]
        self.empty: dict[str, Value] = {}
        self.seen: dict[str, _Seen] = {}
        for part in accumulators(others, facts):
            part.read(0, self.empty)
        if self.labels:
            Known(self.labels).read(0, self.empty)


class MemoryPast:
    """The past of one tenant's payments, in event time."""

    def __init__(
        self,
        plan: FeaturePlan,
        *,
        lists: Mapping[str, frozenset[tuple[str, str]]] | None = None,
        relabels: bool = True,
    ) -> None:
        """`lists`: of each list its (kind, value) entries, the kinds being fields of the context.

        Without `relabels` a payment's first label stands, and what was kept to change it is freed.
        """
        self._plan = plan
        self._none: dict[str, Value] = dict.fromkeys(plan.key)
        self._lists = lists or {}
        self._relabels = relabels
        read = {str(each.of) for each in plan.features if each.measure in ("distinct", "previous")}
        names = sorted(read | set(plan.entities))
        self._values = attrgetter("payment_id", *names)
        at = {name: index + 2 for index, name in enumerate(names)}
        self._kinds = [
            _Kind(1 + names.index(kind), (f for f in plan.features if f.entity == kind), at)
            for kind in plan.entities
        ]
        self._awaits_outcome = any(kind.declined or kind.approved for kind in self._kinds)
        self._awaits_label = any(kind.labels for kind in self._kinds)
        self._open: dict[str, list[tuple[Row, list[_Seen]]]] = {}
        self._made: dict[str, list[tuple[int, list[Known]]]] = {}
        self._labels: list[tuple[int, int, int, Label]] = []
        self._counter = 0
        #: When the payment last observed was placed, in microseconds since 1970.
        self.placed_at = 0

    def observe(self, context: FraudContext) -> dict[str, Value]:
        """The plan's facts as of `context.as_of`; then the payment belongs to the past."""
        at = microseconds(context.as_of)
        values = self._values(context)
        seen: list[_Seen | None] = []
        for kind in self._kinds:
            value = values[kind.position]
            if value is None:
                seen.append(None)
                continue
            found = kind.seen.get(value)
            if found is None:
                found = kind.seen[value] = _Seen(kind)
            elif found.last_at >= at:
                at = found.last_at + 1
            seen.append(found)
        self.placed_at = at
        self._learn(at)
        row: Row = (at, context.base_minor, *values[1:])
        facts = self._none.copy()
        for each in seen:
            if each is None:
                continue
            each.last_at = at
            for part in each.plain:
                part.read(at, facts)
                part.add(row)
            for part in each.declined:
                part.read(at, facts)
            for part in each.approved:
                part.read(at, facts)
            if each.known is not None:
                each.known.read(at, facts)
        self._keep(values[0], row, [each for each in seen if each is not None])
        if self._plan.lists:
            self._look_into_lists(context, facts)
        return facts

    def outcome(self, payment_id: str, *, declined: bool) -> None:
        """What the issuer said of every payment observed under this id and still without it."""
        for row, seen in self._open.pop(payment_id, ()):
            for each in seen:
                for part in each.declined if declined else each.approved:
                    part.add(row)

    def label(self, label: Label) -> None:
        """Know it from `label.observed_at` on; of a payment that was never observed, nothing."""
        made = self._made.get(label.payment_id)
        if made is not None:
            self._counter += 1
            heapq.heappush(
                self._labels,
                (microseconds(label.observed_at), made[0][0], self._counter, label),
            )

    def _keep(self, payment_id: str, row: Row, seen: list[_Seen]) -> None:
        if self._awaits_outcome:
            self._open.setdefault(payment_id, []).append((row, seen))
        if self._awaits_label:
            known = [each.known for each in seen if each.known is not None]
            self._made.setdefault(payment_id, []).append((row[0], known))

    def _learn(self, at: int) -> None:
        while self._labels and self._labels[0][0] <= at:
            observed_at, _, _, label = heapq.heappop(self._labels)
            payment_id = label.payment_id
            made = self._made.get(payment_id) if self._relabels else self._made.pop(payment_id, ())
            for number, (made_at, known) in enumerate(made or ()):
                for each in known:
                    each.label((observed_at, made_at, payment_id, number), fraud=label.is_fraud)

    def _look_into_lists(self, context: FraudContext, facts: dict[str, Value]) -> None:
        for name in self._plan.lists:
            on = {
                kind
                for kind, value in self._lists.get(name, ())
                if getattr(context, kind, None) == value
            }
            facts[f"list.listed.{name}"] = ",".join(sorted(on)) or None
