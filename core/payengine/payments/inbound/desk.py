"""Where is everything that has to do with the providers' webhooks?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from payengine.payments.inbound.applying import DisputeRecorder, WebhookApplier
from payengine.payments.inbound.endpoints import GatewayEndpoints
from payengine.payments.inbound.reading import ReceivedWebhooks
from payengine.payments.inbound.receiving import WebhookReceiver
from payengine.payments.means import Means
from payengine.payments.record import Recorder

__all__ = ["Inbound"]


@dataclass(frozen=True, slots=True)
class Inbound:
    """The addresses, what comes in there, what is done with it and what is shown of it."""

    endpoints: GatewayEndpoints
    receiver: WebhookReceiver
    applier: WebhookApplier
    received: ReceivedWebhooks

    @classmethod
    def of(
        cls, means: Means, recorder: Recorder, *, disputes: DisputeRecorder | None = None
    ) -> Self:
        """All of it; without `disputes`, webhooks about disputes are held."""
        return cls(
            endpoints=GatewayEndpoints(
                database=means.database, registry=means.registry, clock=means.clock
            ),
            receiver=WebhookReceiver(means),
            applier=WebhookApplier(means, recorder, disputes=disputes),
            received=ReceivedWebhooks(means),
        )
