"""Which fault strikes this call?

A pure function of the seed, the idempotency key, the kind of operation and the number of the try:
the same seed and the same calls meet the same faults, in any order, process or year.
"""

from __future__ import annotations

from hashlib import blake2b

from payengine_sandbox.cards import Fault
from payengine_sandbox.settings import SandboxSettings

__all__ = ["draw", "is_calm", "strike"]

#: The order in which the thousandths are dealt out; part of what makes a seed replayable.
_ORDER = (
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.HANG_BEFORE,
    Fault.HANG_AFTER,
    Fault.LATE_SUCCESS,
    Fault.GARBAGE,
)
_OF_LOOKUPS = frozenset(_ORDER) - {Fault.LATE_SUCCESS}


def is_calm(settings: SandboxSettings) -> bool:
    """Whether no fault can strike."""
    return not (
        settings.error_before
        or settings.error_after
        or settings.hang_before
        or settings.hang_after
        or settings.late_success
        or settings.garbage
    )


def draw(*, seed: int, key: str, kind: str, attempt: int) -> int:
    """A number from 0 to 2**64 - 1 that belongs to this call and to no other."""
    text = f"{seed}\x1f{kind}\x1f{attempt}\x1f{key}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def strike(settings: SandboxSettings, *, key: str, kind: str, attempt: int) -> Fault | None:
    """The fault of this try, counted from 1, or None; rates beyond 1000 in all are cut off."""
    number = draw(seed=settings.seed, key=key, kind=kind, attempt=attempt)
    place = number % 1000
    for fault in _ORDER:
        place -= int(getattr(settings, fault.value))
        if place < 0:
            if kind == "lookup" and fault not in _OF_LOOKUPS:
                return None
            if fault is Fault.LATE_SUCCESS and number // 1000 % 2:
                return Fault.LATE_SUCCESS_UNHEARD
            return fault
    return None
