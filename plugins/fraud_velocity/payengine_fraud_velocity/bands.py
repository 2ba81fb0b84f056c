"""How many are too many?

A count meets three thresholds; the highest that it reaches says the verdict. Zero switches a
threshold off. The scores are shares of fraud among payments that reach so far, rounded, and seen
where fraud is rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleVerdict, VerdictKind

__all__ = ["Bands", "Counted", "Scores", "Whose", "judged", "most"]

#: A threshold; 0 for never.
Threshold = Annotated[int, msgspec.Meta(ge=0, le=100_000)]

#: Whose past is counted. Each further one costs every payment a little.
Whose = Literal["device", "customer", "card", "ip"]

_FINE = RuleVerdict(verdict="allow")


class Bands(PluginSettings, frozen=True, kw_only=True):
    """From which count on a payment is reviewed, challenged or blocked; 0 for never."""

    review_at: Threshold = 0
    challenge_at: Threshold = 0
    block_at: Threshold = 0


class Counted(NamedTuple):
    """A count of somebody's past; `name` is the feature's, which takes a while to spell."""

    whose: Whose
    feature: Feature
    name: str


class Scores(NamedTuple):
    """What each band is worth, and what a count that is not nothing is worth below them."""

    low: float
    review: float
    challenge: float
    block: float


def judged(count: float, bands: Bands, *, reason: str, what: str, scores: Scores) -> RuleVerdict:
    """The verdict on `count`; `what` is the sentence that a reviewer reads after the number."""
    verdict: VerdictKind
    if bands.block_at and count >= bands.block_at:
        verdict, score = "block", scores.block
    elif bands.challenge_at and count >= bands.challenge_at:
        verdict, score = "challenge", scores.challenge
    elif bands.review_at and count >= bands.review_at:
        verdict, score = "review", scores.review
    elif count >= 1 and scores.low:
        return RuleVerdict(verdict="allow", score=scores.low)
    else:
        return _FINE
    return RuleVerdict(verdict=verdict, reason=reason, detail=f"{count:g} {what}", score=score)


def most(context: FraudContext, counted: Sequence[Counted], *, people_per_ip: int) -> float | None:
    """The largest count; an address's is divided. None where nobody of these is known."""
    largest: float | None = None
    for whose, _, name in counted:
        if getattr(context, whose) is None:
            continue
        count = context.number(name)
        if whose == "ip":
            count //= people_per_ip
        if largest is None or count > largest:
            largest = count
    return largest
