"""How often do payments succeed at each gateway lately?

Counts of one segment (a currency and a method) of one tenant. What was long ago counts less: a
gateway's own older outcomes fade with each new one, and all that is known of it fades with each
outcome of the segment, so that a gateway that nobody asked for a while is asked again. A row of
failures that its rate does not explain marks it as down at once. Pure but for its own counts: no
clock, no chance.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from payengine.routing.facts import Draw

__all__ = ["WHOLE", "Ranking", "Segment", "TenantRates"]

#: Shares are counted in millionths.
WHOLE = 1_000_000

#: A gateway's rate is that of its last sixteen outcomes or so.
_FADES = 0.94
#: And what is known of it halves with every seventy outcomes of the segment.
_FORGETS = 0.99
#: How many outcomes the segment's own rate counts for where little is known of a gateway.
_PRIOR = 2.0
_ASSUMED = 0.8
#: Before any gateway of a segment has so many outcomes, they are asked in turn.
_FIRST_TURNS = 5
#: A gateway is down after so unlikely a row of failures.
_UNLIKELY = 0.0015
_SHORTEST_ROW = 3
_LOWEST_BASE = 0.5
_HIGHEST_BASE = 0.95
#: How much an outcome that is not known yet is worth against one that is.
_CURIOSITY = 0.8
_SEGMENTS = 64


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Gateways from the first choice on; `odds` are the millionths for being the first."""

    order: tuple[str, ...]
    odds: dict[str, int]
    reason: str
    detail: dict[str, Any] = {}


class _Arm:
    """What is known of one gateway."""

    __slots__ = ("base", "good", "known", "row", "seen", "tick")

    def __init__(self) -> None:
        self.good = 0.0
        self.known = 0.0
        self.seen = 0
        #: Failures in a row, and its rate before they began.
        self.row = 0
        self.base = _LOWEST_BASE
        self.tick = 0

    def fade(self, tick: int) -> None:
        """Forget what the outcomes of others since have made old."""
        if tick != self.tick:
            factor = _FORGETS ** (tick - self.tick)
            self.good *= factor
            self.known *= factor
            self.tick = tick

    def is_down(self) -> bool:
        """Whether its row of failures is no accident."""
        return self.row >= _SHORTEST_ROW and (1.0 - self.base) ** self.row < _UNLIKELY


class Segment:
    """The gateways of one currency and method."""

    def __init__(self) -> None:
        self._arms: dict[str, _Arm] = {}
        self._tick = 0

    def tell(self, gateway: str, *, succeeded: bool) -> None:
        """One more outcome."""
        self._tick += 1
        arm = self._arms.get(gateway)
        if arm is None:
            arm = self._arms[gateway] = _Arm()
            arm.tick = self._tick
        arm.fade(self._tick)
        arm.good = arm.good * _FADES + succeeded
        arm.known = arm.known * _FADES + 1.0
        arm.seen += 1
        if succeeded:
            arm.row = 0
            arm.base = min(max(self._rate(arm, _ASSUMED), _LOWEST_BASE), _HIGHEST_BASE)
        else:
            arm.row += 1

    def rank(self, names: Sequence[str], *, explore_percent: int, draw: Draw) -> Ranking:
        """The best gateway first, or now and then another one, to learn how it does.

        Another one comes first for `explore_percent` of the draws and no more, once any is known.
        """
        arms = {name: self._arms.get(name) or _Arm() for name in names}
        if all(arm.seen < _FIRST_TURNS for arm in arms.values()):
            return _in_turn(arms, draw)
        for arm in arms.values():
            arm.fade(self._tick)
        pooled = _pooled(arms.values())
        rates = {name: self._rate(arm, pooled) for name, arm in arms.items()}
        best_first = sorted(
            names, key=lambda name: (arms[name].is_down() * arms[name].row, -rates[name], name)
        )
        best, others = best_first[0], best_first[1:]
        detail = {
            "rates": {name: round(rate, 3) for name, rate in rates.items()},
            "down": [name for name in best_first if arms[name].is_down()],
        }
        if not others:
            return Ranking(order=(best,), odds={best: WHOLE}, reason="best", detail=detail)
        curious = max(others, key=lambda name: self._promise(arms[name], rates[name]))
        odds = {best: WHOLE - explore_percent * (WHOLE // 100)}
        odds[curious] = WHOLE - odds[best]
        if draw("explore") * 100 >= explore_percent:
            return Ranking(order=tuple(best_first), odds=odds, reason="best", detail=detail)
        rest = [name for name in best_first if name != curious]
        return Ranking(order=(curious, *rest), odds=odds, reason="explored", detail=detail)

    def _rate(self, arm: _Arm, otherwise: float) -> float:
        return (arm.good + _PRIOR * otherwise) / (arm.known + _PRIOR)

    def _promise(self, arm: _Arm, rate: float) -> float:
        """How much there is to learn: an upper bound of what the rate may be."""
        room = math.log1p(self._tick) / (arm.known + 1.0)
        return rate + _CURIOSITY * math.sqrt(room)


def _pooled(arms: Iterator[_Arm] | Any) -> float:
    known = good = 0.0
    for arm in arms:
        known += arm.known
        good += arm.good
    return (good + _PRIOR * _ASSUMED) / (known + _PRIOR)


def _in_turn(arms: dict[str, _Arm], draw: Draw) -> Ranking:
    """Whoever was asked the least; of several such, the draw decides, for all with equal odds."""
    order = sorted(arms, key=lambda name: (arms[name].seen, draw(f"turn {name}")))
    least = arms[order[0]].seen
    equals = [name for name in order if arms[name].seen == least]
    share = WHOLE // len(equals)
    odds = dict.fromkeys(equals, share)
    odds[order[0]] += WHOLE - share * len(equals)
    return Ranking(order=tuple(order), odds=odds, reason="in_turn")


class TenantRates:
    """The segments of one tenant, those used last."""

    __slots__ = ("_segments",)

    def __init__(self) -> None:
        self._segments: OrderedDict[tuple[str, str], Segment] = OrderedDict()

    def segment(self, *, currency: str, method: str) -> Segment:
        """The segment, which may know nothing yet."""
        key = (currency, method)
        found = self._segments.get(key)
        if found is None:
            found = self._segments[key] = Segment()
            while len(self._segments) > _SEGMENTS:
                self._segments.popitem(last=False)
        else:
            self._segments.move_to_end(key)
        return found
