"""Which of the tenant's endpoints has been told?"""

from __future__ import annotations

from payengine.webhooks.addresses import Addresses
from payengine.webhooks.by_hand import ByHand
from payengine.webhooks.delivery_log import DeliveryLog
from payengine.webhooks.endpoints import Endpoints
from payengine.webhooks.means import Means
from payengine.webhooks.pump import Pump
from payengine.webhooks.resolver import Resolver
from payengine.webhooks.room import Webhooks
from payengine.webhooks.sending import Sender

__all__ = [
    "Addresses",
    "ByHand",
    "DeliveryLog",
    "Endpoints",
    "Means",
    "Pump",
    "Resolver",
    "Sender",
    "Webhooks",
]
