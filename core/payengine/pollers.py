"""What does a room take by itself when it is due?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Poller"]


@dataclass(frozen=True, slots=True)
class Poller:
    """A room's work, asked every `every_s` seconds to take what is due at the instant given."""

    name: str
    run_once: Callable[[datetime], Awaitable[object]]
    every_s: float
