"""What does the engine hold of this room?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from payengine.webhooks.by_hand import ByHand
from payengine.webhooks.delivery_log import DeliveryLog
from payengine.webhooks.endpoints import Endpoints
from payengine.webhooks.means import Means
from payengine.webhooks.pump import Pump

__all__ = ["Webhooks"]


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The services of the room, and the pump that sends."""

    endpoints: Endpoints
    log: DeliveryLog
    by_hand: ByHand
    pump: Pump

    @classmethod
    def of(cls, means: Means) -> Self:
        """All of it, on the same means."""
        return cls(Endpoints(means), DeliveryLog(means), ByHand(means), Pump(means))
