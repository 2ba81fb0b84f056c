"""What is told in the tests of webhooks, and to whom?"""

from __future__ import annotations

import asyncio
from typing import Any

from payengine.context import TenantContext
from payengine.engine import Engine
from payengine.payments import MethodInput, Operation, PaymentResult
from payengine.payments.inbound import WebhookApplier
from payengine.plugin import Amount, DisputeEvent, DisputeReport

from tests.crier import BEGINNING, Stage
from tests.engines import Shop, Till, key
from tests.notices import Doorbell

__all__ = [
    "CRIER",
    "DisputeBook",
    "applier_of",
    "dispute_report",
    "held_back",
    "open_operation",
    "unheard_of",
]

CRIER = MethodInput(token="tok_any", kind="crier")


async def open_operation(hasty: Till, shop: Shop, amount: int = 3_104, **given: Any) -> Operation:
    """A payment of which nobody has heard anything: the provider took it and never answers."""
    asked = await shop.at(hasty).pay(amount, "tok_magic", **given)
    assert asked.operation is not None
    assert asked.operation.status == "unknown"
    return asked.operation


async def held_back(
    shop: Shop, stage: Stage
) -> tuple[Operation, Doorbell, asyncio.Task[PaymentResult]]:
    """A payment whose answer the crier holds back, and who waits for it."""
    stage.crier.held.add(str(shop.context.tenant_id))
    paying = asyncio.create_task(shop.pay(1_000, payment_method=CRIER))
    operation = None
    while operation is None:
        await asyncio.sleep(0.005)
        async with shop.engine.database.tenant(shop.context.tenant_id) as session:
            found = await session.fetchrow(
                "SELECT id, payment_id FROM operation WHERE tenant_id = $1", shop.context.tenant_id
            )
        if found is not None:
            (operation,) = await shop.operations(found["payment_id"])
    return operation, await Doorbell.of(shop.engine, shop.context, "crier"), paying


def unheard_of() -> dict[str, Any]:
    return {
        "reference": "sbx_nobody",
        "key": key(),
        "kind": "refund",
        "status": "succeeded",
        "amount_minor": 500,
        "currency": "EUR",
    }


class DisputeBook:
    """Keeps what it is told; waits and fails where it is told to."""

    def __init__(
        self, *, failure: Exception | None = None, pause: asyncio.Event | None = None
    ) -> None:
        self.failure = failure
        self.pause = pause
        self.begun = asyncio.Event()
        self.told: list[tuple[Any, str, str]] = []

    async def record_report(
        self, context: TenantContext, *, gateway: str, event: DisputeEvent
    ) -> None:
        self.begun.set()
        if self.pause is not None:
            await self.pause.wait()
        if self.failure is not None:
            raise self.failure
        self.told.append((context.tenant_id, gateway, event.dispute.reference))


def applier_of(engine: Engine, disputes: DisputeBook | None) -> WebhookApplier:
    """An applier of its own that tells `disputes`, as another process would have one."""
    means, recorder = engine.inbound.applier._means, engine.inbound.applier._recorder
    return WebhookApplier(means, recorder, disputes=disputes)


def dispute_report(reference: str = "dsp_1") -> DisputeEvent:
    return DisputeEvent(
        event_id=key(),
        key=None,
        provider_reference="authorize",
        dispute=DisputeReport(
            reference=reference, status="needs_response", amount=Amount(1_000, "EUR")
        ),
        occurred_at=BEGINNING,
    )
