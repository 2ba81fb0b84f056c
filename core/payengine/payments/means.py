"""What is needed to move a payment?

One record of the rooms around this one, made by `payengine.engine` and handed to everything here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from payengine.clock import Clock
from payengine.registry import Registry
from payengine.storage import Database
from payengine.vault import Vault

__all__ = ["Means"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """`deadline_ms` bounds each gateway call; `nudge` tells the relay that there are events."""

    database: Database
    registry: Registry
    vault: Vault
    clock: Clock
    deadline_ms: int
    nudge: Callable[[], None]
