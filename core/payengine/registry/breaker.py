"""Is this gateway worth another call for this tenant?

A circuit breaker per (tenant, gateway): it opens after a row of failures, refuses for a while and
then lets one probe through. Only troubled pairs take up memory.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

__all__ = ["BreakerState", "Breakers"]

BreakerState = Literal["closed", "open", "half_open"]

#: The most pairs remembered; past it the one that failed longest ago is forgotten.
_KEPT = 10_000


@dataclass(slots=True)
class _Trouble:
    failures: int = 0
    open_until: float | None = None
    probing: bool = False


class Breakers:
    """The breakers of one process. Instants are the event loop's, in seconds."""

    def __init__(self, *, threshold: int = 5, open_for_s: float = 10.0) -> None:
        """`threshold` failures in a row open a breaker, for `open_for_s` seconds."""
        self._threshold = threshold
        self._open_for_s = open_for_s
        self._troubled: OrderedDict[tuple[uuid.UUID, str], _Trouble] = OrderedDict()

    def state(self, tenant_id: uuid.UUID, gateway: str, *, at: float) -> BreakerState:
        """What a call at `at` would meet."""
        trouble = self._troubled.get((tenant_id, gateway))
        if trouble is None or trouble.open_until is None:
            return "closed"
        return "open" if at < trouble.open_until or trouble.probing else "half_open"

    def admits(self, tenant_id: uuid.UUID, gateway: str, *, at: float) -> bool:
        """Whether a call may go out; where it is the probe, `settle` or `release` must follow."""
        if not self._troubled:
            return True
        trouble = self._troubled.get((tenant_id, gateway))
        if trouble is None or trouble.open_until is None:
            return True
        if at < trouble.open_until or trouble.probing:
            return False
        trouble.probing = True
        return True

    def settle(self, tenant_id: uuid.UUID, gateway: str, *, failed: bool, at: float) -> None:
        """Count the result of an admitted call."""
        key = (tenant_id, gateway)
        if not failed:
            if self._troubled:
                self._troubled.pop(key, None)
            return
        trouble = self._troubled.setdefault(key, _Trouble())
        self._troubled.move_to_end(key)
        trouble.failures += 1
        if trouble.probing or trouble.failures >= self._threshold:
            trouble.open_until = at + self._open_for_s
        trouble.probing = False
        while len(self._troubled) > _KEPT:
            self._troubled.popitem(last=False)

    def release(self, tenant_id: uuid.UUID, gateway: str) -> None:
        """An admitted call ended without saying anything of the gateway: let the next one probe."""
        trouble = self._troubled.get((tenant_id, gateway))
        if trouble is not None:
            trouble.probing = False
