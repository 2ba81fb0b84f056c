"""What is an endpoint, and what does the log say of it?"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

__all__ = [
    "Attempt",
    "CreateEndpoint",
    "DeleteEndpoint",
    "Delivery",
    "DeliveryFilter",
    "DisableEndpoint",
    "EnableEndpoint",
    "Endpoint",
    "EndpointStatus",
    "Redeliver",
    "Redelivery",
    "RotateSecret",
    "Secret",
    "SendTest",
    "UpdateEndpoint",
]

EndpointStatus = Literal["enabled", "disabled", "deleted"]
DisabledReason = Literal["tenant", "exhausted", "gone"]
DeliveryStatus = Literal["pending", "retrying", "delivered", "failed", "exhausted", "skipped"]
#: Where an endpoint that was disabled goes on: with the event it stopped at, behind that, or with
#: what happens from now on.
Resume = Literal["left_off", "next", "now"]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tenant wants to be told of which events; an empty list of types means all.

    `position` is the last event that it is done with. `tries` counts the failures of the event
    behind it; `retry_at` is when that one is tried again.
    """

    id: str
    url: str
    description: str
    event_types: tuple[str, ...]
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    epoch: int
    position: int
    tries: int
    first_tried_at: datetime | None
    retry_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that signs, until it expires; the secret itself is shown once."""

    id: str
    endpoint_id: str
    last_four: str
    created_at: datetime
    expires_at: datetime | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one endpoint; a test has no position, as it is no event of the log."""

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    position: int | None
    status: DeliveryStatus
    tries: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a delivery; see `payengine.webhooks.sending.Reply` for the errors."""

    delivery_id: str
    number: int
    reason: Literal["event", "redelivery", "test"]
    status_code: int | None
    error: str | None
    response: str | None
    latency_ms: int
    created_at: datetime


class Redelivery(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are sent once more: those behind `position`, up to `until_position`."""

    id: str
    endpoint_id: str
    event_id: str | None
    since: datetime | None
    position: int
    until_position: int
    status: Literal["open", "done", "exhausted"]
    delivered: int
    tries: int
    first_tried_at: datetime | None
    created_at: datetime


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries of one endpoint to list."""

    endpoint_id: str
    event_id: str | None = None
    status: str | None = None


class CreateEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A new endpoint; it hears of what happens from now on."""

    idempotency_key: str
    url: str
    event_types: tuple[str, ...] = ()
    description: str = ""


class UpdateEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is None stays as it is."""

    idempotency_key: str
    endpoint_id: str
    url: str | None = None
    event_types: tuple[str, ...] | None = None
    description: str | None = None


class EnableEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Go on telling."""

    idempotency_key: str
    endpoint_id: str
    resume: Resume = "left_off"


class DisableEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Tell no more until it is enabled again."""

    idempotency_key: str
    endpoint_id: str


class DeleteEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Tell no more, for ever."""

    idempotency_key: str
    endpoint_id: str


class RotateSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret; the one before signs beside it for `overlap_s` seconds."""

    idempotency_key: str
    endpoint_id: str
    overlap_s: int = 86_400


class SendTest(msgspec.Struct, frozen=True, kw_only=True):
    """Send a message that tells of nothing, at once."""

    idempotency_key: str
    endpoint_id: str


class Redeliver(msgspec.Struct, frozen=True, kw_only=True):
    """Send one event once more, or all that occurred since an instant: give one of the two."""

    idempotency_key: str
    endpoint_id: str
    event_id: str | None = None
    since: datetime | None = None
