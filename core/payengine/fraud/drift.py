"""Has what we see now moved away from what we used to see?

Pure. Numbers are counted in bins that never change, so that counts of different times may be
added: a score by its log-odds, half a unit wide; any other number by the power of two below it.
A difference counts only where it is both large and far more than chance would make of so few.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["bin_of", "chance", "merge", "score_bin", "shift", "stability"]

_MISSING = "none"
_TEXT = "text"
#: A bin is compared by itself where it held at least so much of what was seen before.
_LEAST_SHARE = 0.02
_REST = "rest"
#: Added to each bin, so that an empty one does not weigh without bound.
_SMOOTHING = 0.5
_FURTHEST = 12


def bin_of(value: float | str | None) -> str:
    """The bin of a feature's value: `none`, `text`, `0`, or the sign and the power of two."""
    if value is None:
        return _MISSING
    if isinstance(value, str):
        return _TEXT
    if not math.isfinite(value):
        return _MISSING
    if value == 0:
        return "0"
    return f"{'-' if value < 0 else '+'}{math.frexp(abs(value))[1] - 1}"


def score_bin(score: float | None) -> str:
    """The bin of a probability: twice its log-odds, rounded down, from -12 to 12."""
    if score is None or not 0 <= score <= 1:
        return _MISSING
    if score in (0, 1):
        return str(_FURTHEST if score else -_FURTHEST)
    place = math.floor(2 * math.log(score / (1 - score)))
    return str(max(-_FURTHEST, min(_FURTHEST, place)))


def merge(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """All counts added up, by bin."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def stability(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """The population stability index: the sum of (q - p) * ln(q / p) over the bins.

    p and q are the bins' shares before and now. Below .1 is calm, above .25 a shift, by the custom
    of credit scoring (Siddiqi, Credit Risk Scorecards). Bins that were rare before are one.
    """
    first, second = _comparable(before, now)
    all_before = sum(first.values()) + _SMOOTHING * len(first)
    all_now = sum(second.values()) + _SMOOTHING * len(first)
    index = 0.0
    for each in first:
        p = (first[each] + _SMOOTHING) / all_before
        q = (second[each] + _SMOOTHING) / all_now
        index += (q - p) * math.log(q / p)
    return index


def chance(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """What `stability` is on average where nothing has moved: (bins - 1) * (1/n + 1/m)."""
    first, _ = _comparable(before, now)
    m, n = sum(before.values()), sum(now.values())
    if not m or not n:
        return math.inf
    return (len(first) - 1) * (1 / n + 1 / m)


def shift(*, hits_before: int, of_before: int, hits_now: int, of_now: int) -> float:
    """How many standard errors the share of hits has moved up; down is negative.

    The pooled test of two proportions; 0 where either is a share of nothing.
    """
    if not of_before or not of_now:
        return 0.0
    pooled = (hits_before + hits_now) / (of_before + of_now)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / of_before + 1 / of_now))
    if spread == 0:
        return 0.0
    return (hits_now / of_now - hits_before / of_before) / spread


def _comparable(
    before: Mapping[str, int], now: Mapping[str, int]
) -> tuple[Counter[str], Counter[str]]:
    """Both over the same bins: those that were frequent before, and one for all others."""
    least = _LEAST_SHARE * sum(before.values())
    kept = {each for each, count in before.items() if count > 0 and count >= least}
    both = []
    for counts in (before, now):
        found = Counter(dict.fromkeys([*sorted(kept), _REST], 0))
        for each, count in counts.items():
            found[each if each in kept else _REST] += count
        both.append(found)
    return both[0], both[1]
