"""What did the providers tell us, and what became of it?

`Inbound` is the door: `endpoints` are the addresses, `receiver` verifies and stores, `applier`
applies later what was stored, `received` shows it and plays it again.
"""

from __future__ import annotations

from payengine.payments.inbound.applying import DisputeRecorder, WebhookApplier
from payengine.payments.inbound.desk import Inbound
from payengine.payments.inbound.endpoints import GatewayEndpoints, LiveEndpoint
from payengine.payments.inbound.models import (
    GatewayEndpoint,
    KeptRequest,
    ReceivedWebhook,
    WebhookState,
)
from payengine.payments.inbound.reading import ReceivedWebhooks, WebhookFilter
from payengine.payments.inbound.receiving import Receipt, WebhookReceiver
from payengine.payments.inbound.requests import Headers, kept_headers

__all__ = [
    "DisputeRecorder",
    "GatewayEndpoint",
    "GatewayEndpoints",
    "Headers",
    "Inbound",
    "KeptRequest",
    "LiveEndpoint",
    "Receipt",
    "ReceivedWebhook",
    "ReceivedWebhooks",
    "WebhookApplier",
    "WebhookFilter",
    "WebhookReceiver",
    "WebhookState",
    "kept_headers",
]
