"""What are a gateway endpoint and a received webhook?

An endpoint is an address of one tenant's for one gateway. A webhook request is a provider's call as
it came; each verified fact in it is one received webhook, with a state of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from payengine.plugin import DisputeEvent, WebhookEvent, from_plain, to_plain

__all__ = [
    "GatewayEndpoint",
    "KeptRequest",
    "ReceivedWebhook",
    "WebhookKind",
    "WebhookState",
    "event_of_row",
    "row_of_event",
]

WebhookKind = Literal["authorize", "increment", "capture", "void", "refund", "dispute"]

#: `pending` waits to be applied, `applied` changed something, `stale` said nothing that was not
#: known, `unmatched` is about an operation that nobody here asked for, `held` failed too often.
WebhookState = Literal["pending", "applied", "stale", "unmatched", "held"]


class GatewayEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of an endpoint; its path is shown once, when it is made.

    `slot` is 1 or 2: a gateway has two live endpoints at most.
    """

    id: str
    plugin: str
    gateway: str
    slot: int
    last_four: str
    created_at: datetime
    revoked_at: datetime | None = None


class ReceivedWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """One verified fact of a provider's call.

    `event_id` is the provider's, `said` the outcome's or the dispute's status in it, `data` the
    whole message. `problem` says why it is not applied, `due_at` when it is tried next. `tries`
    counts how often it was taken up, `failures` how often that went wrong.
    """

    id: str
    request_id: str
    plugin: str
    gateway: str
    event_id: str
    kind: WebhookKind
    said: str
    data: dict[str, Any]
    state: WebhookState
    occurred_at: datetime
    received_at: datetime
    problem: str | None = None
    needs_review: bool = False
    payment_id: str | None = None
    operation_id: str | None = None
    settled_at: datetime | None = None
    due_at: datetime | None = None
    tries: int = 0
    failures: int = 0
    version: int = 1


class KeptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's call as it came, without hop-by-hop headers and cookies.

    `redacted` says that a card number was taken out of what is kept.
    """

    id: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at: datetime
    redacted: bool


def row_of_event(
    event: WebhookEvent | DisputeEvent,
    *,
    webhook_id: str,
    request_id: str,
    plugin: str,
    gateway: str,
    received_at: datetime,
) -> ReceivedWebhook:
    """The row of a fact that has just been verified; it is due at once."""
    kind: WebhookKind
    if isinstance(event, DisputeEvent):
        kind, said = "dispute", str(event.dispute.status)
    else:
        kind, said = event.kind, str(event.outcome.status)
    return ReceivedWebhook(
        id=webhook_id,
        request_id=request_id,
        plugin=plugin,
        gateway=gateway,
        event_id=event.event_id,
        kind=kind,
        said=said,
        data=to_plain(event),
        state="pending",
        occurred_at=event.occurred_at,
        received_at=received_at,
        due_at=received_at,
    )


def event_of_row(row: ReceivedWebhook) -> WebhookEvent | DisputeEvent:
    """The message that the row holds."""
    if row.kind == "dispute":
        return from_plain(row.data, DisputeEvent)
    return from_plain(row.data, WebhookEvent)
