"""What do the readers and the services of this room work with?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from payengine.clock import Clock
from payengine.events import EventLog
from payengine.storage import Database
from payengine.vault import Vault
from payengine.webhooks.sending import Sender

__all__ = ["Means"]

#: Connections that readers hold at a time: payments share the same pool.
_CONNECTIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """One process's; `nudge` tells the relay that there are events."""

    database: Database
    vault: Vault
    clock: Clock
    log: EventLog
    sender: Sender
    nudge: Callable[[], None]
    chance: random.Random = field(default_factory=random.SystemRandom)
    connections: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONNECTIONS))
