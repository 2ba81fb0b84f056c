"""Which fault strikes a request to the fake?

A pure function of the seed, the account, the idempotency key (or the address) and how often that
was asked: the same seed and the same requests meet the same faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

__all__ = ["FAULTS", "Faults"]

#: The name of each fault, in the order in which the dice are read. `before` nothing is done,
#: `after` it is done and its result kept; `kept_500` does nothing, and the error itself is kept.
FAULTS = (
    "rate_limit",
    "error_before",
    "error_after",
    "kept_500",
    "reset_before",
    "reset_after",
    "hang_before",
    "hang_after",
)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How many of a thousand requests that write meet each fault; with `reads`, others too."""

    seed: int = 0
    reads: bool = False
    rate_limit: int = 0
    error_before: int = 0
    error_after: int = 0
    kept_500: int = 0
    reset_before: int = 0
    reset_after: int = 0
    hang_before: int = 0
    hang_after: int = 0

    def strike(self, *, name: str, attempt: int, writes: bool) -> str | None:
        """The fault of this try, counted from 1, or None."""
        if not writes and not self.reads:
            return None
        text = f"{self.seed}\x1f{name}\x1f{attempt}"
        place = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % 1000
        for fault in FAULTS:
            if fault == "kept_500" and not writes:
                continue
            place -= int(getattr(self, fault))
            if place < 0:
                return fault
        return None
