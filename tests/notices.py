"""How does the provider call in these tests?

As the sandbox does, signed with the secret that every test world has until it sets another.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from payengine.context import TenantContext
from payengine.engine import Engine
from payengine.payments import Operation
from payengine.payments.inbound import (
    LiveEndpoint,
    Receipt,
    ReceivedWebhook,
    WebhookApplier,
    WebhookFilter,
    kept_headers,
)
from payengine_sandbox.settings import DEFAULT_WEBHOOK_SECRET
from payengine_sandbox.webhooks import sign

__all__ = [
    "Doorbell",
    "Notice",
    "dispute_notice",
    "drain",
    "notice",
    "shown",
    "signed",
    "take",
]

_LATER = timedelta(hours=1)
_MOST_ROUNDS = 200


@dataclass(frozen=True)
class Notice:
    """One call, ready to be sent."""

    headers: dict[str, str]
    body: bytes

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The headers as a server gets them."""
        return [(k.encode("latin-1"), v.encode("latin-1")) for k, v in self.headers.items()]


def shown(operation: Operation, **changes: Any) -> dict[str, Any]:
    """The operation as the provider shows it: it succeeded, unless `changes` say otherwise."""
    return {
        "reference": f"sbx_{operation.id}",
        "key": operation.id,
        "kind": operation.kind,
        "status": "succeeded",
        "amount_minor": operation.amount_minor,
        "currency": operation.currency,
        "captured": operation.capture or operation.kind == "capture",
    } | changes


def signed(
    event_id: str,
    body: bytes,
    *,
    at: datetime | None = None,
    secret: str = DEFAULT_WEBHOOK_SECRET,
) -> Notice:
    """A call with these exact bytes and a right signature."""
    timestamp = int((at or datetime.now(UTC)).timestamp())
    signature = sign(secret=secret, event_id=event_id, timestamp=timestamp, body=body)
    return Notice(
        {
            "content-type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        },
        body,
    )


def notice(
    context: TenantContext,
    operation: dict[str, Any],
    *,
    event_id: str | None = None,
    happened: datetime | None = None,
) -> Notice:
    """A genuine call that tells `operation` to the tenant's account."""
    event_id = event_id or f"evt_{uuid.uuid4().hex}"
    body = {
        "id": event_id,
        "type": "operation.updated",
        "account": str(context.tenant_id),
        "created_at": happened or datetime.now(UTC),
        "operation": operation,
    }
    return signed(event_id, msgspec.json.encode(body))


def dispute_notice(context: TenantContext, key: str, **told: Any) -> Notice:
    """A genuine call that tells of a dispute over the operation sent with `key`."""
    now = datetime.now(UTC)
    event_id = f"evt_{uuid.uuid4().hex}"
    dispute = {
        "reference": f"dsp_{key}",
        "key": key,
        "operation": f"sbx_{key}",
        "status": "needs_response",
        "amount_minor": 1_000,
        "currency": "EUR",
        "reason": "fraudulent",
        "fee_minor": 0,
        "fee_returned": False,
        "evidence_due_at": now + timedelta(days=9),
    } | told
    body = {
        "id": event_id,
        "type": "dispute.updated",
        "account": str(context.tenant_id),
        "created_at": now,
        "dispute": dispute,
    }
    return signed(event_id, msgspec.json.encode(body))


@dataclass(frozen=True)
class Doorbell:
    """A tenant's endpoint, called without HTTP."""

    engine: Engine
    context: TenantContext
    endpoint: LiveEndpoint
    path: str

    @classmethod
    async def of(cls, engine: Engine, context: TenantContext, gateway: str = "sandbox") -> Doorbell:
        """A new endpoint of the tenant."""
        row, path = await engine.inbound.endpoints.create(context, gateway)
        endpoint = await engine.inbound.endpoints.resolve(row.plugin, path.rpartition("/")[2])
        return cls(engine, context, endpoint, path)

    async def ring(self, call: Notice, *, received_at: datetime | None = None) -> Receipt:
        """Let the call come in."""
        return await self.engine.inbound.receiver.receive(
            self.endpoint,
            headers=kept_headers(call.raw),
            body=call.body,
            received_at=received_at or datetime.now(UTC),
        )

    async def tell(self, operation: dict[str, Any], **more: Any) -> Receipt:
        """Let a genuine call come in that tells `operation`."""
        return await self.ring(notice(self.context, operation, **more))

    async def received(self, **wanted: Any) -> list[ReceivedWebhook]:
        """What is stored of the tenant's webhooks, the oldest first."""
        rows = await self.engine.inbound.received.page(
            self.context, WebhookFilter(**wanted), first=200
        )
        return rows[::-1]


async def take(applier: WebhookApplier, *, at: datetime) -> int:
    """One round, to the end of all that it began; how many it took up while it lasted."""
    taken = await applier.run_once(at=at)
    await applier.rest()
    return taken


async def drain(engine: Engine, *, after: timedelta = _LATER) -> int:
    """Apply what is due by then, of whatever tenant, until nothing is; how many were taken up."""
    taken = idle = 0
    for _ in range(_MOST_ROUNDS):
        found = await take(engine.inbound.applier, at=datetime.now(UTC) + after)
        taken += found
        # A round may end before anything in it did: only the second empty one says that all is.
        idle = 0 if found else idle + 1
        if idle == 2:
            return taken
        after = timedelta()
    raise AssertionError("something is due for ever")
