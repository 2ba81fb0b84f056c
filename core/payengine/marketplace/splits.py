"""How is one amount divided among its owners, and how is it pulled back?

Fixed parts come first, then percentages of the full amount, then at most one remainder. The parts
are whole minor units, never negative, and sum exactly to the amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from payengine.errors import (
    AmountNotPositive,
    InputInvalid,
    RefundExceedsRemaining,
    SplitExceedsAmount,
    SplitNotExhaustive,
)
from payengine.money import allocate, round_half_away

__all__ = ["BPS", "MAX_PARTS", "FeePolicy", "SplitPart", "divide", "pull_back"]

#: Basis points in a whole.
BPS = 10_000

#: The most parts of one split.
MAX_PARTS = 100

#: `proportional`: each part gives back its share; `keep`: the platform's is touched last.
FeePolicy = Literal["proportional", "keep"]


class SplitPart(msgspec.Struct, frozen=True, kw_only=True):
    """One owner's part: exactly one of minor units, basis points of the full amount, the rest."""

    to: str
    fixed: int | None = None
    percent_bps: int | None = None
    remainder: bool = False


def divide(amount_minor: int, parts: Sequence[SplitPart]) -> list[int]:
    """The minor units of each part, in the parts' order.

    With a remainder part each percentage is rounded half away from zero on its own and the
    remainder takes what is left. Without one the percentages must exhaust what the fixed parts
    leave, and units left over go to the largest remainders. Raises `SplitExceedsAmount`,
    `SplitNotExhaustive`, and `InputInvalid` for parts that are none.
    """
    _check_parts(amount_minor, parts)
    fixed = sum(part.fixed or 0 for part in parts)
    left = amount_minor - fixed
    if left < 0:
        raise SplitExceedsAmount
    if any(part.remainder for part in parts):
        shares = [
            round_half_away(amount_minor * part.percent_bps, denominator=BPS)
            if part.percent_bps is not None
            else 0
            for part in parts
        ]
        rest = left - sum(shares)
        if rest < 0:
            raise SplitExceedsAmount
    else:
        bps = [part.percent_bps or 0 for part in parts]
        _check_exhausted(amount_minor, left=left, bps=sum(bps))
        shares, rest = allocate(left, bps) if left else [0] * len(bps), 0
    return [
        rest if part.remainder else share if part.fixed is None else part.fixed
        for part, share in zip(parts, shares, strict=True)
    ]


def _check_parts(amount_minor: int, parts: Sequence[SplitPart]) -> None:
    if amount_minor < 0:
        raise AmountNotPositive("An amount below zero cannot be split.")
    if len(parts) > MAX_PARTS:
        raise InputInvalid(f"A split has at most {MAX_PARTS} parts.")
    if sum(part.remainder for part in parts) > 1:
        raise InputInvalid("At most one part of a split takes the remainder.")
    for part in parts:
        ways = (part.fixed is not None) + (part.percent_bps is not None) + part.remainder
        if ways != 1:
            raise InputInvalid("A part of a split is fixed, a percentage or the remainder.")
        if (part.fixed or 0) < 0 or (part.percent_bps or 0) < 0:
            raise InputInvalid("A part of a split cannot be negative.")


def _check_exhausted(amount_minor: int, *, left: int, bps: int) -> None:
    """Whether percentages of the full amount come to exactly what is left of it.

    Beside fixed parts a share of a minor unit is forgiven: hardly any percentage hits a remainder.
    """
    exact = amount_minor * bps
    if exact == left * BPS:
        return
    is_beside_fixed = left < amount_minor
    if is_beside_fixed and round_half_away(exact, denominator=BPS) == left:
        return
    if exact > left * BPS:
        raise SplitExceedsAmount
    raise SplitNotExhaustive


def pull_back(
    remaining: Sequence[int],
    amount_minor: int,
    *,
    fee_policy: FeePolicy = "proportional",
    fee_part: int = -1,
) -> list[int]:
    """What each part gives back of `amount_minor`, of the minor units `remaining` of each.

    In proportion to what is still refundable, by largest remainder: no part goes below zero, and
    giving back everything empties every part. With `keep` the platform's part (`fee_part`, the
    last one unless told) gives only what the others no longer have. Raises `AmountNotPositive`
    and `RefundExceedsRemaining`.
    """
    if amount_minor <= 0:
        raise AmountNotPositive
    if any(part < 0 for part in remaining):
        raise InputInvalid("What is still refundable of a part cannot be negative.")
    if amount_minor > sum(remaining):
        raise RefundExceedsRemaining
    if fee_policy == "proportional":
        return allocate(amount_minor, remaining)
    kept = fee_part % len(remaining)
    borne = [0 if index == kept else part for index, part in enumerate(remaining)]
    first = min(amount_minor, sum(borne))
    reversal = allocate(first, borne)
    reversal[kept] = amount_minor - first
    return reversal
