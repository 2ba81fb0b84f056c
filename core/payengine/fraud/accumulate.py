"""How is a fact about the past kept current, payment by payment?

Each accumulator holds what one group of features needs of one entity, is given the entity's
payments in their order (one whose outcome comes late is put where it belongs) and says its facts
at an instant no earlier than the last one asked.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Protocol

from payengine.plugin.features import Feature

__all__ = ["Accumulator", "Known", "Row", "accumulators"]

#: (placed at, in microseconds since 1970; amount; facts …)
Row = tuple[Any, ...]
Facts = dict[str, int | float | str | None]

_MICRO = 1_000_000


class Accumulator(Protocol):
    """Some facts of one entity."""

    def add(self, row: Row) -> None:
        """A payment that passes the filter."""
        ...

    def read(self, at: int, into: Facts) -> None:
        """Put the facts as of `at` into `into`, by name."""
        ...


def accumulators(features: Sequence[Feature], facts: dict[str, int]) -> list[Accumulator]:
    """What keeps these features of one entity; `facts` says where a row holds a field."""
    parts: list[Accumulator] = []
    sums: dict[tuple[int | None, int | None], list[Feature]] = {}
    for each in features:
        of = facts[each.of] if each.of is not None else 0
        if each.last is not None and (each.window_s is not None or each.where != "all"):
            parts.append(_Listed(each, of))
        elif each.last is not None:
            parts.append(_Newest(each, of))
        elif each.measure in ("count", "sum", "mean"):
            sums.setdefault((each.window_s, each.below_minor), []).append(each)
        elif each.measure == "distinct":
            parts.append(_Distinct(each, of))
        elif each.measure == "max":
            parts.append(_Max(each))
        elif each.measure == "median" or each.window_s is not None:
            parts.append(_Listed(each, of))
        else:
            parts.append(_Ends(each, of))
    parts.extend(_Sums(group) for group in sums.values())
    return parts


def _put(rows: deque[Row], row: Row) -> None:
    """Append it, or where its outcome came late, insert it where it belongs."""
    if not rows or rows[-1][0] <= row[0]:
        rows.append(row)
        return
    index = len(rows)
    while index and rows[index - 1][0] > row[0]:
        index -= 1
    rows.insert(index, row)


class _Sums:
    """Count, sum and mean over one window."""

    __slots__ = ("_below", "_count", "_length", "_names", "_rows", "_total")

    def __init__(self, features: Sequence[Feature]) -> None:
        names = {each.measure: each.name for each in features}
        self._names = (names.get("count"), names.get("sum"), names.get("mean"))
        window = features[0].window_s
        self._length = None if window is None else window * _MICRO
        self._below = features[0].below_minor
        self._rows: deque[Row] = deque()
        self._count = 0
        self._total = 0

    def add(self, row: Row) -> None:
        amount = row[1]
        if self._below is not None and amount > self._below:
            return
        self._count += 1
        self._total += amount
        if self._length is not None:
            _put(self._rows, row)

    def read(self, at: int, into: Facts) -> None:
        length = self._length
        if length is not None:
            rows = self._rows
            start = at - length
            while rows and rows[0][0] < start:
                self._total -= rows.popleft()[1]
                self._count -= 1
        count, total, mean = self._names
        if count is not None:
            into[count] = self._count
        if total is not None:
            into[total] = self._total
        if mean is not None:
            into[mean] = self._total / self._count if self._count else None


class _Max:
    """The largest amount in a window: only those that a later one does not hide."""

    __slots__ = ("_below", "_length", "_name", "_rows")

    def __init__(self, feature: Feature) -> None:
        self._name = feature.name
        self._length = None if feature.window_s is None else feature.window_s * _MICRO
        self._below = feature.below_minor
        self._rows: deque[Row] = deque()

    def add(self, row: Row) -> None:
        if self._below is not None and row[1] > self._below:
            return
        rows = self._rows
        later: list[Row] = []
        while rows and rows[-1][0] > row[0]:
            later.append(rows.pop())
        if not later or later[-1][1] < row[1]:
            while rows and rows[-1][1] <= row[1]:
                rows.pop()
            rows.append(row)
        rows.extend(reversed(later))

    def read(self, at: int, into: Facts) -> None:
        rows = self._rows
        if self._length is not None:
            start = at - self._length
            while rows and rows[0][0] < start:
                rows.popleft()
        into[self._name] = rows[0][1] if rows else None


class _Distinct:
    """How many values of a fact in a window."""

    __slots__ = ("_below", "_length", "_name", "_of", "_rows", "_values")

    def __init__(self, feature: Feature, of: int) -> None:
        self._name = feature.name
        self._of = of
        self._length = None if feature.window_s is None else feature.window_s * _MICRO
        self._below = feature.below_minor
        self._rows: deque[Row] = deque()
        self._values: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        value = row[self._of]
        if value is None or (self._below is not None and row[1] > self._below):
            return
        self._values[value] += 1
        if self._length is not None:
            _put(self._rows, row)

    def read(self, at: int, into: Facts) -> None:
        if self._length is not None:
            rows = self._rows
            start = at - self._length
            while rows and rows[0][0] < start:
                value = rows.popleft()[self._of]
                left = self._values[value] - 1
                if left:
                    self._values[value] = left
                else:
                    del self._values[value]
        into[self._name] = len(self._values)


class _Newest:
    """Any measure over the newest so many, with their amounts in order for the median."""

    __slots__ = ("_feature", "_name", "_of", "_rows", "_sorted", "_total")

    def __init__(self, feature: Feature, of: int) -> None:
        self._feature = feature
        self._name = feature.name
        self._of = of
        self._rows: deque[Row] = deque()
        self._sorted: list[int] | None = [] if feature.measure in ("median", "max") else None
        self._total = 0

    def add(self, row: Row) -> None:
        self._rows.append(row)
        self._total += row[1]
        if self._sorted is not None:
            insort(self._sorted, row[1])
        if len(self._rows) > (self._feature.last or 0):
            gone = self._rows.popleft()[1]
            self._total -= gone
            if self._sorted is not None:
                del self._sorted[bisect_left(self._sorted, gone)]

    def read(self, at: int, into: Facts) -> None:
        measure, count = self._feature.measure, len(self._rows)
        if measure == "mean":
            into[self._name] = self._total / count if count else None
        elif measure == "count":
            into[self._name] = count
        elif measure == "sum":
            into[self._name] = self._total
        elif self._sorted is None:
            into[self._name] = _measure(self._feature, self._rows, at, self._of)
        elif not count:
            into[self._name] = None
        elif measure == "max":
            into[self._name] = self._sorted[-1]
        else:
            into[self._name] = (self._sorted[(count - 1) // 2] + self._sorted[count // 2]) / 2


class _Listed:
    """A measure that is counted anew each time, over rows kept in their order."""

    __slots__ = ("_feature", "_length", "_of", "_rows")

    def __init__(self, feature: Feature, of: int) -> None:
        self._feature = feature
        self._of = of
        self._length = None if feature.window_s is None else feature.window_s * _MICRO
        self._rows: deque[Row] = deque()

    def add(self, row: Row) -> None:
        below = self._feature.below_minor
        if below is not None and row[1] > below:
            return
        _put(self._rows, row)
        if self._feature.last is not None and len(self._rows) > self._feature.last:
            self._rows.popleft()

    def read(self, at: int, into: Facts) -> None:
        if self._length is not None:
            start = at - self._length
            while self._rows and self._rows[0][0] < start:
                self._rows.popleft()
        into[self._feature.name] = _measure(self._feature, self._rows, at, self._of)


class _Ends:
    """Since when, how long ago, and with what before."""

    __slots__ = ("_below", "_first", "_last", "_measure", "_name", "_of")

    def __init__(self, feature: Feature, of: int) -> None:
        self._name = feature.name
        self._measure = feature.measure
        self._of = of
        self._below = feature.below_minor
        self._first: int | None = None
        self._last: Row | None = None

    def add(self, row: Row) -> None:
        if self._below is not None and row[1] > self._below:
            return
        if self._first is None or row[0] < self._first:
            self._first = row[0]
        if self._last is None or row[0] >= self._last[0]:
            self._last = row

    def read(self, at: int, into: Facts) -> None:
        last = self._last
        if last is None or self._first is None:
            into[self._name] = None
        elif self._measure == "previous":
            into[self._name] = last[self._of]
        else:
            into[self._name] = (at - (self._first if self._measure == "age" else last[0])) / _MICRO


def _measure(feature: Feature, rows: deque[Row], at: int, of: int) -> Any:
    amounts = [row[1] for row in rows]
    match feature.measure:
        case "count":
            return len(amounts)
        case "sum":
            return sum(amounts)
        case "distinct":
            return len({row[of] for row in rows} - {None})
    if not amounts:
        return None
    match feature.measure:
        case "mean":
            return sum(amounts) / len(amounts)
        case "max":
            return max(amounts)
        case "median":
            amounts.sort()
            return (amounts[(len(amounts) - 1) // 2] + amounts[len(amounts) // 2]) / 2
        case "age":
            return (at - rows[0][0]) / _MICRO
        case "gap":
            return (at - rows[-1][0]) / _MICRO
    previous: str | None = rows[-1][of]
    return previous


class Known:
    """What labels say of one entity's payments."""

    __slots__ = ("_features", "_frauds", "_newest", "_of_payment", "_rows", "_run")

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = [
            (each.name, each.measure, None if each.window_s is None else each.window_s * _MICRO)
            for each in features
        ]
        #: ((observed at, placed at, payment, number), fraud), in this order.
        self._rows: list[tuple[tuple[int, int, str, int], bool]] = []
        self._of_payment: dict[tuple[str, int], tuple[int, int, str, int]] = {}
        self._frauds = 0
        self._run = 0

    def label(self, key: tuple[int, int, str, int], *, fraud: bool) -> None:
        """Take the label in; one older than what is known of the payment changes nothing."""
        payment = (key[2], key[3])
        earlier = self._of_payment.get(payment)
        if earlier is not None:
            if key < earlier:
                return
            index = bisect_left(self._rows, (earlier, False))
            self._frauds -= self._rows[index][1]
            del self._rows[index]
        self._of_payment[payment] = key
        self._frauds += fraud
        in_order = earlier is None and (not self._rows or self._rows[-1][0] < key)
        if in_order:
            self._rows.append((key, fraud))
            self._run = self._run + 1 if fraud else 0
            return
        insort(self._rows, (key, fraud))
        self._run = 0
        while self._run < len(self._rows) and self._rows[-1 - self._run][1]:
            self._run += 1

    def read(self, at: int, into: Facts) -> None:
        """Put the facts as of `at` into `into`, by name."""
        rows = self._rows
        for name, measure, length in self._features:
            first = 0 if length is None else bisect_left(rows, ((at - length,),))
            labeled = len(rows) - first
            if measure == "labeled":
                into[name] = labeled
            elif measure == "run":
                into[name] = min(self._run, labeled)
            elif measure == "last_label":
                into[name] = int(rows[-1][1]) if labeled else None
            elif length is None:
                into[name] = self._frauds
            else:
                into[name] = sum(rows[index][1] for index in range(first, len(rows)))
