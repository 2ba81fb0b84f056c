"""How is a plan read from what the database shows?

Two ways that say the same: from the newest payments of an entity, row by row, and, where an entity
is too crowded for that, from sums that the database made. A plan is compiled once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from payengine.fraud.memory import Value
from payengine.fraud.plan import FACTS, LABEL_MEASURES, FeaturePlan
from payengine.plugin.features import Feature

__all__ = ["CROWD", "CompiledPlan", "Need", "Seen", "compiled"]

#: So many of an entity's newest payments are shown; of more, the database counts.
CROWD = 100
_MICRO = 1_000_000
_MOST_COMPILED = 4_096

#: (placed at, base amount, declined, facts in the order of FACTS or None)
Seen = tuple[int, int, bool | None, Sequence[str | None] | None]
Label = tuple[int, int, bool, Sequence[str | None]]
_Reader = Callable[[Any, int], Value]


class Need(msgspec.Struct, kw_only=True):
    """What a plan needs to be shown of one kind of entity.

    Payments of the last `length` microseconds (None: however old), with their `facts`; `first`:
    since when it is known; `labels` of the last `label_length`. `reach` is how far back features
    look (None: for ever), whatever is shown.
    """

    length: int | None = 0
    reach: int | None = 0
    facts: bool = False
    first: bool = False
    labels: bool = False
    label_length: int | None = 0

    def looks_behind(self, oldest: int, at: int) -> bool:
        """Whether a feature wants payments from before `oldest`."""
        return self.reach is None or at - self.reach < oldest


class CompiledPlan:
    """A plan as it is asked, and how its answers are read."""

    def __init__(self, plan: FeaturePlan) -> None:
        self.empty: dict[str, Value] = dict.fromkeys(plan.key)
        #: Which names and facts of an attempt its row keeps: each name more is an index more. The
        #: decision keeps all of them.
        self.kept = frozenset(plan.entities) | {each.of for each in plan.features if each.of}
        self.needs: dict[str, Need] = {}
        self.asked: dict[str, dict[str, str]] = {}
        #: What an entity without any past says.
        self._nothing: dict[str, dict[str, Value]] = {}
        self._rows: dict[str, list[_Rows]] = {}
        self._known: dict[str, list[Feature]] = {}
        self._counted: dict[str, list[tuple[str, int, int, _Reader]]] = {}
        for kind in plan.entities:
            features = [each for each in plan.features if each.entity == kind]
            self._known[kind] = [each for each in features if each.measure in LABEL_MEASURES]
            others = [each for each in features if each.measure not in LABEL_MEASURES]
            self._rows[kind] = [_Rows(each) for each in others]
            self.needs[kind] = _need(features)
            self._ask(kind, features)
            nothing: dict[str, Value] = {}
            for each in self._rows[kind]:
                nothing[each.name] = each.read([], [], None, 0)
            self._nothing[kind] = nothing

    def read_rows(
        self,
        kind: str,
        rows: Sequence[Seen],
        ats: Sequence[int],
        first: int | None,
        at: int,
        facts: dict[str, Value],
    ) -> None:
        """The facts of payments, from the newest of an entity's, the oldest first."""
        if not rows and first is None:
            facts.update(self._nothing[kind])
            return
        for each in self._rows[kind]:
            facts[each.name] = each.read(rows, ats, first, at)

    def read_labels(
        self, kind: str, labels: Sequence[Label], at: int, facts: dict[str, Value]
    ) -> None:
        """The facts of labels, from all those that were shown."""
        known = [
            (label[0], label[1], label[3][0] or "", int(label[3][1] or 0), label[2])
            for label in labels
            if label[0] <= at and (label[3][2] is None or int(label[3][2]) > at)
        ]
        known.sort()
        for each in self._known[kind]:
            start = _start(each, at)
            told = [label[4] for label in known if label[0] >= start]
            facts[each.name] = _told(each, told)

    def read_counted(
        self, kind: str, counted: Sequence[Any], at: int, facts: dict[str, Value]
    ) -> None:
        """The facts from what the database counted."""
        for name, part, index, reader in self._counted[kind]:
            facts[name] = reader(counted[part][index], at)

    def _ask(self, kind: str, features: Sequence[Feature]) -> None:
        lists: dict[str, list[str]] = {"windows": [], "others": [], "spans": []}
        readers = self._counted[kind] = []
        ends = False

        def place(part: str, spelled: str) -> int:
            held = lists[part]
            if spelled not in held:
                held.append(spelled)
            return held.index(spelled)

        for each in features:
            length = "" if each.window_s is None else str(each.window_s * _MICRO)
            bounds = f"{length},{_text(each.last)},{each.where},{_text(each.below_minor)}"
            if each.measure in _KNOWN:
                at = place("spans", length or "NULL")
                readers.append((each.name, 2, at, _KNOWN[each.measure]))
            elif each.measure in ("age", "gap") and _is_plain(each):
                ends = True
                readers.append((each.name, 3, each.measure == "gap", _since))
            elif each.measure in ("distinct", "median", "previous"):
                at = place("others", f'"({each.measure},{bounds},{_text(each.of)})"')
                readers.append((each.name, 1, at, _float if each.measure == "median" else _plain))
            else:
                at = place("windows", f'"(sums,{bounds},)"')
                readers.append((each.name, 0, at, _SUMS[each.measure]))
        asked = {name: "{" + ",".join(held) + "}" for name, held in lists.items() if held}
        self.asked[kind] = asked | ({"ends": "true"} if ends else {})


class _Rows:
    """One feature, read from rows."""

    __slots__ = ("_below", "_length", "_measure", "_newest", "_of", "_plain", "_where", "name")

    def __init__(self, feature: Feature) -> None:
        self.name = feature.name
        self._measure = feature.measure
        self._length = None if feature.window_s is None else feature.window_s * _MICRO
        self._newest = feature.last
        self._where = feature.where
        self._below = feature.below_minor or 0
        self._of = FACTS.index(feature.of) if feature.of is not None else 0
        self._plain = _is_plain(feature)

    def read(self, rows: Sequence[Seen], ats: Sequence[int], first: int | None, at: int) -> Value:
        measure = self._measure
        if self._plain and measure == "age":
            return None if first is None else (at - first) / _MICRO
        start = 0 if self._length is None else bisect_left(ats, at - self._length)
        where = self._where
        if where == "all":
            if self._newest is not None:
                start = max(start, len(rows) - self._newest)
            if measure == "count":
                return len(rows) - start
            kept = rows[start:] if start else rows
        else:
            kept = [row for row in rows[start:] if self._passes(row)]
            if self._newest is not None:
                kept = kept[-self._newest :]
        return self._value(kept, at)

    def _passes(self, row: Seen) -> bool:
        if self._where == "small":
            return row[1] <= self._below
        return row[2] is (self._where == "declined")

    def _value(self, kept: Sequence[Seen], at: int) -> Value:
        measure = self._measure
        if measure == "count":
            return len(kept)
        if measure == "distinct":
            return len({row[3][self._of] for row in kept if row[3] is not None} - {None})
        if measure == "sum":
            return sum(row[1] for row in kept)
        if not kept:
            return None
        if measure == "mean":
            return sum(row[1] for row in kept) / len(kept)
        if measure == "max":
            return max(row[1] for row in kept)
        if measure == "median":
            amounts = sorted(row[1] for row in kept)
            return (amounts[(len(amounts) - 1) // 2] + amounts[len(amounts) // 2]) / 2
        if measure == "age":
            return (at - kept[0][0]) / _MICRO
        if measure == "gap":
            return (at - kept[-1][0]) / _MICRO
        told = kept[-1][3]
        return None if told is None else told[self._of]


def _need(features: Sequence[Feature]) -> Need:
    need = Need()
    for each in features:
        length = None if each.window_s is None else each.window_s * _MICRO
        if each.measure in LABEL_MEASURES:
            need.labels = True
            need.label_length = _longer(need.label_length, length)
            continue
        need.facts = need.facts or each.of is not None
        if _is_plain(each) and each.measure == "age":
            need.first = True
            continue
        need.length = _longer(need.length, length)
        newest = each.where == "all" and each.last is not None and each.last <= CROWD
        if not newest and not (_is_plain(each) and each.measure in ("gap", "previous")):
            need.reach = _longer(need.reach, length)
    return need


def _longer(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def _is_plain(feature: Feature) -> bool:
    return feature.window_s is None and feature.last is None and feature.where == "all"


def _start(feature: Feature, at: int) -> int:
    return -(1 << 62) if feature.window_s is None else at - feature.window_s * _MICRO


def _told(feature: Feature, told: Sequence[bool]) -> Value:
    if feature.measure == "labeled":
        return len(told)
    if feature.measure == "fraud":
        return sum(told)
    if feature.measure == "last_label":
        return int(told[-1]) if told else None
    run = 0
    while run < len(told) and told[-1 - run]:
        run += 1
    return run


_COMPILED: dict[tuple[str, ...], CompiledPlan] = {}


def compiled(plan: FeaturePlan) -> CompiledPlan:
    """Kept by what the plan asks, which says nothing of who asks."""
    found = _COMPILED.get(plan.key)
    if found is None:
        if len(_COMPILED) >= _MOST_COMPILED:
            _COMPILED.clear()
        found = _COMPILED[plan.key] = CompiledPlan(plan)
    return found


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _plain(value: Any, at: int) -> Value:
    found: Value = value
    return found


def _float(value: Any, at: int) -> Value:
    return None if value is None else float(value)


def _since(value: Any, at: int) -> Value:
    return None if value is None else float((at - value) / _MICRO)


#: A window is (count, sum, largest, first, last).
_SUMS: dict[str, _Reader] = {
    "count": lambda window, at: int(window[0]),
    "sum": lambda window, at: int(window[1]),
    "mean": lambda window, at: window[1] / window[0] if window[0] else None,
    "max": lambda window, at: _plain(window[2], at),
    "age": lambda window, at: _since(window[3], at),
    "gap": lambda window, at: _since(window[4], at),
}
#: A span of labels is (known, frauds, run, whether the last is one).
_KNOWN: dict[str, _Reader] = {
    "labeled": lambda span, at: int(span[0]),
    "fraud": lambda span, at: int(span[1]),
    "run": lambda span, at: int(span[2]),
    "last_label": lambda span, at: None if span[3] is None else int(span[3]),
}
