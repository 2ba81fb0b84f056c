"""What do all verdicts say together?

A lattice and not a sum: of all live verdicts the strongest stands, and a person can be told which
rule it was. Whether nobody objected or nobody had anything to say is not the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from payengine.plugin.fraud import RuleMode, VerdictKind

__all__ = ["STRENGTH", "Decided", "Evaluated", "decide", "drawn"]

#: The order of strength: allow list over block, hard block over all.
STRENGTH: dict[VerdictKind, int] = {
    "abstain": 0,
    "allow": 1,
    "review": 2,
    "challenge": 3,
    "block": 4,
    "allow_list": 5,
    "hard_block": 6,
}


class Evaluated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one rule said, or what stands in its place where `error` says that it failed.

    `version` is that of the tenant's settings of the rule, 0 for its defaults; `took_us` is in
    microseconds. What is as ever is not spelled, for each decision keeps what every rule said.
    """

    rule: str
    verdict: VerdictKind
    version: int = 0
    mode: RuleMode = "live"
    reason: str = ""
    detail: str = ""
    score: float | None = None
    took_us: int = 0
    error: str = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What holds; `by` names the live rules that said it, `score` the highest of theirs."""

    verdict: VerdictKind
    by: tuple[str, ...] = ()
    score: float | None = None

    @property
    def blocks(self) -> bool:
        """Whether nothing is sent."""
        return self.verdict in ("block", "hard_block")


def decide(evaluated: Iterable[Evaluated]) -> Decided:
    """The strongest of the live verdicts; a shadow's counts for nothing. Pure."""
    verdict: VerdictKind = "abstain"
    by: list[str] = []
    score: float | None = None
    for each in evaluated:
        if each.mode != "live":
            continue
        if each.score is not None and (score is None or each.score > score):
            score = each.score
        stronger = STRENGTH[each.verdict] - STRENGTH[verdict]
        if stronger > 0:
            verdict, by = each.verdict, []
        if stronger >= 0:
            by.append(each.rule)
    return Decided(verdict=verdict, by=tuple(by), score=score)


def drawn(payment_id: str, *, share: float) -> bool:
    """Whether a payment belongs to a random share of all; the same one always does."""
    hashed = hashlib.blake2b(payment_id.encode(), digest_size=8, person=b"challenge").digest()
    return int.from_bytes(hashed, "big") < share * 2**64
