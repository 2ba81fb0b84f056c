"""Which request meets which fault, and which was sent before?

A fault is a pure function of the seed, the path's kind, the PayPal-Request-Id and the number of
the try. A request id is remembered for as long as PayPal's page says, and stands for the resource
that it made: sent again, PayPal shows what has become of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from fake_paypal_problems import Problem

__all__ = ["FAULTS", "Faults", "RequestIds"]

FAULTS = (
    "error_before",
    "error_after",
    "unavailable",
    "rate_limited",
    "reset_before",
    "reset_after",
    "hang_before",
    "hang_after",
)


@dataclass
class Faults:
    """How many of a thousand requests meet each fault."""

    seed: int = 0
    rates: dict[str, int] = field(default_factory=dict)
    reads: bool = False
    hang_s: float = 3.0
    met: Counter[str] = field(default_factory=Counter)
    _tries: Counter[str] = field(default_factory=Counter)

    def strike(self, method: str, kind: str, name: str) -> str | None:
        """The fault of this try of the request `name`, or None."""
        if not self.rates or (method == "GET" and not self.reads):
            return None
        self._tries[f"{kind} {name}"] += 1
        text = f"{self.seed}\x1f{kind}\x1f{name}\x1f{self._tries[f'{kind} {name}']}"
        place = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % 1000
        for fault in FAULTS:
            place -= self.rates.get(fault, 0)
            if place < 0:
                self.met[fault] += 1
                return fault
        return None


_WINDOWS = {
    "orders": timedelta(hours=6),
    "payments": timedelta(days=45),
    "vault": timedelta(hours=3),
}


class RequestIds:
    """What each request id made, by merchant and path."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, str], tuple[datetime, Any]] = {}
        self._busy: set[tuple[str, str, str]] = set()
        self._turn = threading.Lock()

    def known(self, merchant: str, path: str, request_id: str, now: datetime) -> Any:
        """What the request made when it came before, or None."""
        made = self._made.get((merchant, path, request_id))
        return made[1] if request_id and made is not None and now < made[0] else None

    def keep(self, merchant: str, path: str, request_id: str, now: datetime, made: Any) -> None:
        """Remember what the request made."""
        if request_id:
            window = next(each for name, each in _WINDOWS.items() if name in path)
            self._made[merchant, path, request_id] = (now + window, made)

    @contextmanager
    def working(self, merchant: str, path: str, request_id: str) -> Iterator[None]:
        """Inside, the same request is refused: the first is still being worked on."""
        name = (merchant, path, request_id)
        with self._turn:
            if request_id and name in self._busy:
                raise Problem(409, "PREVIOUS_REQUEST_IN_PROGRESS")
            self._busy.add(name)
        try:
            yield
        finally:
            with self._turn:
                self._busy.discard(name)
