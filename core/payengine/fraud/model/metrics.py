"""How well do scores tell fraud from the rest?

Payments with equal scores count as one step, so that no order among them flatters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = [
    "Caught",
    "average_precision",
    "card_precision",
    "caught_at",
    "expected_over_observed",
    "population_shift",
    "roc_auc",
]

_BINS = 10


class Caught(NamedTuple):
    """Which share of frauds, and of their value, lies above the threshold."""

    recall: float
    value_recall: float
    threshold: float


def roc_auc(scores: Sequence[float], frauds: Sequence[int]) -> float | None:
    """The chance that a fraud has a higher score than another payment; None without both."""
    bad = sum(frauds)
    good = len(frauds) - bad
    if not bad or not good:
        return None
    below = 0
    won = 0.0
    for _, here_bad, here_good in _steps(scores, frauds):
        above = good - below - here_good
        won += here_bad * (above + here_good / 2)
        below += here_good
    return won / (bad * good)


def average_precision(scores: Sequence[float], frauds: Sequence[int]) -> float | None:
    """The mean of precision over recall's steps (no interpolation); None without frauds."""
    bad = sum(frauds)
    if not bad:
        return None
    found = seen = 0
    total = 0.0
    for _, here_bad, here_good in _steps(scores, frauds):
        found += here_bad
        seen += here_bad + here_good
        total += here_bad * found / seen
    return total / bad


def caught_at(
    scores: Sequence[float], frauds: Sequence[int], amounts: Sequence[int], *, false_rate: float
) -> Caught | None:
    """At the lowest threshold that flags at most `false_rate` of good payments; None without both.

    `amounts` in minor units of one currency; a payment at the threshold is flagged.
    """
    bad = sum(frauds)
    good = len(frauds) - bad
    if not bad or not good:
        return None
    allowed = false_rate * good
    flagged = 0
    threshold = math.inf
    for score, _, here_good in _steps(scores, frauds):
        flagged += here_good
        if flagged > allowed:
            break
        threshold = score
    value = found = caught = 0
    for score, fraud, amount in zip(scores, frauds, amounts, strict=True):
        if fraud:
            value += amount
            if score >= threshold:
                found += 1
                caught += amount
    return Caught(found / bad, caught / value if value else 0.0, threshold)


def card_precision(rows: Iterable[tuple[int, str, float, int]], *, top: int = 100) -> float | None:
    """Of the `top` cards with the highest scores of a day, the share that saw fraud that day.

    `rows` are (day, card, score, fraud). The mean over the days; a card that was found is not
    looked for again (Reproducible Machine Learning for Credit Card Fraud Detection, chapter 4).
    """
    days: dict[int, dict[str, tuple[float, int]]] = {}
    for day, card, score, fraud in rows:
        cards = days.setdefault(day, {})
        highest, any_fraud = cards.get(card, (-math.inf, 0))
        cards[card] = (max(highest, score), max(any_fraud, fraud))
    found: set[str] = set()
    shares = []
    for day in sorted(days):
        cards = {card: said for card, said in days[day].items() if card not in found}
        best = sorted(cards, key=lambda card: (-cards[card][0], card))[:top]
        hit = [card for card in best if cards[card][1]]
        shares.append(len(hit) / top)
        found.update(hit)
    return sum(shares) / len(shares) if shares else None


def expected_over_observed(scores: Sequence[float], frauds: Sequence[int]) -> float | None:
    """The frauds that the probabilities foretell, over those that came; None where none came."""
    observed = sum(frauds)
    return sum(scores) / observed if observed else None


def population_shift(before: Sequence[float], after: Sequence[float]) -> float:
    """The population stability index over the deciles of `before`; below 0.1 nothing moved."""
    if not before or not after:
        return 0.0
    ordered = sorted(before)
    cuts = sorted({ordered[len(ordered) * step // _BINS] for step in range(1, _BINS)})
    shift = 0.0
    for was, now in zip(_shares(before, cuts), _shares(after, cuts), strict=True):
        shift += (now - was) * math.log(now / was)
    return shift


def _shares(scores: Sequence[float], cuts: Sequence[float]) -> list[float]:
    from bisect import bisect_right

    counts = [0] * (len(cuts) + 1)
    for score in scores:
        counts[bisect_right(cuts, score)] += 1
    return [max(count / len(scores), 1e-4) for count in counts]


def _steps(scores: Sequence[float], frauds: Sequence[int]) -> Iterator[tuple[float, int, int]]:
    """(score, frauds, others) from the highest score down, equal scores together."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    index = 0
    while index < len(order):
        score = scores[order[index]]
        bad = count = 0
        while index < len(order) and scores[order[index]] == score:
            bad += frauds[order[index]]
            count += 1
            index += 1
        yield score, bad, count - bad
