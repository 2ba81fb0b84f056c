"""Who bears a dispute, and who bears what a refund costs?

The whole disputed amount and its fee are taken at the opening, so no balance is asked whether it
has them: disputes, refunds and fees are what may take an account below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from payengine.errors import AmountNotPositive, InputInvalid
from payengine.marketplace.splits import pull_back
from payengine.money import allocate

__all__ = [
    "DisputeResult",
    "DisputeShares",
    "FeeBearer",
    "Liability",
    "RefundShares",
    "dispute_shares",
    "no_longer_refundable",
    "refund_shares",
    "taken_at_end",
    "taken_at_opening",
]

Liability = Literal["vendor", "platform", "split_ratio"]

DisputeResult = Literal["won", "lost"]

#: Who pays the processor's fee that a refund does not bring back.
FeeBearer = Literal["vendor", "platform", "split_ratio"]


class DisputeShares(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units for each part, in the parts' order: of the disputed amount, and of its fee."""

    disputed: tuple[int, ...]
    fee: tuple[int, ...]


def dispute_shares(
    disputed_minor: int,
    fee_minor: int,
    *,
    liability: Liability,
    remaining: Sequence[int],
    platform_part: int = -1,
) -> DisputeShares:
    """Who bears how much: in proportion to what is still refundable of the liable parts.

    `remaining` is that, in minor units, of each part; `platform_part` says which one is the
    platform's. Where the liable parts have nothing left they bear it equally.
    """
    if disputed_minor <= 0:
        raise AmountNotPositive
    if fee_minor < 0:
        raise InputInvalid("The fee of a dispute cannot be negative.")
    weights = _weights(liability, remaining=remaining, platform_part=platform_part)
    return DisputeShares(
        disputed=tuple(allocate(disputed_minor, weights)),
        fee=tuple(allocate(fee_minor, weights)),
    )


def _weights(
    liable: Liability | FeeBearer, *, remaining: Sequence[int], platform_part: int
) -> list[int]:
    platform = platform_part % len(remaining)
    chosen = [
        liable == "split_ratio" or (index == platform) == (liable == "platform")
        for index in range(len(remaining))
    ]
    if not any(chosen):
        raise InputInvalid("Nobody is there to be liable.")
    weights = [part if on else 0 for part, on in zip(remaining, chosen, strict=True)]
    return weights if any(weights) else [int(on) for on in chosen]


def no_longer_refundable(remaining: Sequence[int], disputed: Sequence[int]) -> tuple[int, ...]:
    """What a dispute takes of each part's refundable minor units; won, it is given back.

    First each share from its own part. What a part bears beyond its own is taken from what is
    refundable of the others, because the buyer gets nothing twice; what exceeds everything (the
    buyer was refunded before) takes all there is.
    """
    own = [min(part, share) for part, share in zip(remaining, disputed, strict=True)]
    left = [part - taken for part, taken in zip(remaining, own, strict=True)]
    excess = min(sum(disputed) - sum(own), sum(left))
    more = allocate(excess, left) if excess else [0] * len(left)
    return tuple(taken + extra for taken, extra in zip(own, more, strict=True))


def taken_at_opening(shares: DisputeShares) -> tuple[int, ...]:
    """What each part's balance loses when the dispute opens: its share and its fee."""
    return tuple(one + fee for one, fee in zip(shares.disputed, shares.fee, strict=True))


def taken_at_end(
    shares: DisputeShares, result: DisputeResult, *, fee_returned: bool
) -> tuple[int, ...]:
    """What each part has lost for good: nothing or the fee when won, everything when lost."""
    if result == "lost":
        return taken_at_opening(shares)
    return tuple(0 if fee_returned else fee for fee in shares.fee)


class RefundShares(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units for each part: what it gives back, and what it bears of the processor's fee."""

    reversal: tuple[int, ...]
    fee: tuple[int, ...]


def refund_shares(
    refund_minor: int,
    *,
    remaining: Sequence[int],
    fee_minor: int = 0,
    fee_bearer: FeeBearer = "platform",
    platform_part: int = -1,
) -> RefundShares:
    """A refund over what is still refundable, with the fee that the processor keeps.

    `fee_minor` is the part of the fee that this refund makes a loss; raises as `pull_back` does.
    """
    if fee_minor < 0:
        raise InputInvalid("A processor's fee cannot be negative.")
    reversal = pull_back(remaining, refund_minor)
    weights = _weights(fee_bearer, remaining=remaining, platform_part=platform_part)
    return RefundShares(reversal=tuple(reversal), fee=tuple(allocate(fee_minor, weights)))
