"""What is known of a payment when its way is decided, and of the gateways that could take it?

Nothing here holds a card number: of a card, its first digits at most, where somebody told them.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Literal, TypeAlias

import msgspec

from payengine.plugin import Manifest
from payengine.routing.policy import When

__all__ = ["Candidate", "Draw", "Facts", "Health", "draw_of", "fits"]

Health = Literal["closed", "open", "half_open"]

#: A number above 0 and below 1 for each name; the same for the same name.
Draw: TypeAlias = Callable[[str], float]

#: Half a step more than 52 bits are told apart from 0 and from 1.
_BITS = 52


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One payment; `country` and `card_digits` (its first 4 to 8) are None where not known."""

    payment_id: str
    amount_minor: int
    currency: str
    method: str
    country: str | None = None
    card_digits: str | None = None
    metadata: dict[str, str] = {}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that the tenant has enabled; `health` is what its breaker would say to a call."""

    name: str
    manifest: Manifest
    health: Health = "closed"


def draw_of(seed: str) -> Draw:
    """The draws of one payment: pure, so that a decision can be made again and explained."""

    def draw(name: str) -> float:
        digest: bytes = blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest) >> (64 - _BITS)
        return (place + 0.5) / (1 << _BITS)

    return draw


def fits(when: When, facts: Facts) -> bool:
    """Whether every condition that is given holds."""
    if when.currencies and facts.currency not in when.currencies:
        return False
    if when.methods and facts.method not in when.methods:
        return False
    if when.countries and facts.country not in when.countries:
        return False
    low, high = when.amount_from_minor, when.amount_to_minor
    if low is not None and facts.amount_minor < low:
        return False
    if high is not None and facts.amount_minor > high:
        return False
    if when.card_ranges and not _in_ranges(when.card_ranges, facts.card_digits):
        return False
    return all(facts.metadata.get(key) == value for key, value in when.metadata.items())


def _in_ranges(ranges: tuple[str, ...], digits: str | None) -> bool:
    if digits is None:
        return False
    for text in ranges:
        low, _, high = text.partition("-")
        # Fewer digits than the range has tell too little.
        if len(digits) >= len(low) and low <= digits[: len(low)] <= (high or low):
            return True
    return False
