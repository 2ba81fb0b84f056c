"""Is this call the provider's, and have we heard it before?

The plugin verifies, fail-closed; what is verified is stored before it is acknowledged, and applied
later. A unique index over (tenant, plugin, provider's event id) makes a repeated fact one row.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import structlog

from payengine import faults
from payengine.errors import (
    PluginIncompatible,
    PluginNotEnabled,
    PluginNotFound,
    WebhookRejected,
)
from payengine.ids import new_id
from payengine.payments.inbound.endpoints import LiveEndpoint
from payengine.payments.inbound.models import row_of_event
from payengine.payments.inbound.requests import Headers, request_of, seal_request
from payengine.payments.means import Means
from payengine.plugin import DisputeEvent, WebhookEvent, WebhookRefused

__all__ = ["Receipt", "WebhookReceiver"]

#: How far a provider's clock may be ahead of ours.
_EARLIEST = timedelta(seconds=60)
#: Refusals are logged once in this time for each gateway: a flood of them tells nothing more.
_LOG_EVERY_S = 1.0

_log = structlog.get_logger(__name__)

#: One statement: the facts that are new, and the call that brought them; nothing where none is.
_STORE = """
    WITH given AS (
        SELECT * FROM jsonb_to_recordset($6::jsonb) AS given (
            id text, plugin text, gateway text, event_id text, kind text, said text, data jsonb,
            occurred_at timestamptz)
    ), fresh AS (
        INSERT INTO received_webhook
            (tenant_id, id, request_id, plugin, gateway, event_id, kind, said, data, state,
             occurred_at, received_at, due_at)
        SELECT $1::uuid, id, $2, plugin, gateway, event_id, kind, said, data, 'pending',
               occurred_at, $5, $5
        FROM given
        ON CONFLICT DO NOTHING
        RETURNING id
    ), kept AS (
        INSERT INTO webhook_request (tenant_id, id, endpoint_id, sealed, redacted, received_at)
        SELECT $1::uuid, $2, $3, $4, $7, $5 WHERE EXISTS (SELECT FROM fresh)
    )
    SELECT id FROM fresh
"""


class Receipt(NamedTuple):
    """How many facts a call told, and the rows that were made of those that were new."""

    events: int
    stored: tuple[str, ...]


class WebhookReceiver:
    """Takes the providers' calls in."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._logged: dict[str, float] = {}

    async def receive(
        self, endpoint: LiveEndpoint, *, headers: Headers, body: bytes, received_at: datetime
    ) -> Receipt:
        """Verify a call and store what is new in it; when this returns, it is kept for good.

        `received_at` is wall time. Raises `WebhookRejected`, and then nothing is kept.
        """
        try:
            events = await self._means.registry.parse_webhook(
                endpoint.context,
                endpoint.gateway,
                request_of(headers, body, received_at=received_at),
            )
            _check_times(events, received_at=received_at)
        except (WebhookRefused, PluginIncompatible, PluginNotEnabled, PluginNotFound) as refused:
            self._log(endpoint, refused)
            raise WebhookRejected from None
        if not events:
            return Receipt(0, ())
        stored = await self._store(
            endpoint, events, headers=headers, body=body, received_at=received_at
        )
        if stored:
            faults.point("webhook_stored")
        return Receipt(len(events), stored)

    async def _store(
        self,
        endpoint: LiveEndpoint,
        events: Sequence[WebhookEvent | DisputeEvent],
        *,
        headers: Headers,
        body: bytes,
        received_at: datetime,
    ) -> tuple[str, ...]:
        tenant_id, request_id = endpoint.context.tenant_id, new_id("wrq")
        # In one order for everybody, so that two calls with the same facts do not lock each other.
        rows = [
            row_of_event(
                event,
                webhook_id=new_id("rwh"),
                request_id=request_id,
                plugin=endpoint.plugin,
                gateway=endpoint.gateway,
                received_at=received_at,
            )
            for event in sorted(events, key=lambda event: event.event_id)
        ]
        async with self._means.database.tenant(tenant_id) as session:
            sealed, redacted = await seal_request(
                self._means.vault,
                session,
                tenant_id,
                request_id=request_id,
                headers=headers,
                body=body,
            )
            fresh = await session.fetch(
                _STORE,
                tenant_id,
                request_id,
                endpoint.id,
                sealed,
                received_at,
                [msgspec.to_builtins(row) for row in rows],
                redacted,
            )
        return tuple(row["id"] for row in fresh)

    def _log(self, endpoint: LiveEndpoint, refused: Exception) -> None:
        now = time.monotonic()
        if now - self._logged.get(endpoint.gateway, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged[endpoint.gateway] = now
            _log.info("webhook_rejected", gateway=endpoint.gateway, reason=str(refused))


def _check_times(events: Sequence[WebhookEvent | DisputeEvent], *, received_at: datetime) -> None:
    if any(event.occurred_at > received_at + _EARLIEST for event in events):
        raise WebhookRefused("it tells of what is more than 60 s in the future")
