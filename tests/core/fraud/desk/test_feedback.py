"""Does what becomes known count from then on, and is it never known before?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from payengine.errors import IdempotencyConflict, InputInvalid, NotFound
from payengine.fraud.desk.feedback import KnownOutcome
from payengine.fraud.outcomes import OutcomeReport
from payengine.ids import new_id
from payengine.payments import FraudInput
from payengine.plugin import Amount, DisputeEvent, DisputeReport

from tests.engines import Shop, key


async def _report(shop: Shop, payment_id: str, **given: Any) -> list[KnownOutcome]:
    known: dict[str, Any] = {"payment_id": payment_id, "is_fraud": True}
    fields = {"idempotency_key": key()} | known | given
    return await shop.engine.fraud_desk.feedback.report(shop.context, OutcomeReport(**fields))


async def _events(shop: Shop) -> list[Any]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        return await session.fetch(
            "SELECT payment_id, data FROM event WHERE tenant_id = $1 AND type = 'fraud.labeled'"
            " ORDER BY id",
            shop.context.tenant_id,
        )


async def test_a_tenant_says_what_it_knows_and_changes_its_mind(seller: Shop) -> None:
    paid = await seller.charge(fraud=FraudInput(card_fingerprint="one"))
    one = key()
    (known,) = await _report(seller, paid.id, idempotency_key=one)
    assert (known.is_fraud, known.source, known.superseded_at) == (True, "tenant", None)
    assert await _report(seller, paid.id, idempotency_key=one) == [known]
    with pytest.raises(IdempotencyConflict):
        await _report(seller, paid.id, idempotency_key=one, is_fraud=False)
    first, second = await _report(seller, paid.id, is_fraud=False)
    assert first.superseded_at == second.observed_at
    assert (second.is_fraud, second.superseded_at) == (False, None)
    assert [row["data"]["is_fraud"] for row in await _events(seller)] == [True, False]


async def test_nobody_knows_before_the_payment_or_in_the_future(seller: Shop, rival: Shop) -> None:
    paid = await seller.charge()
    now = seller.till.clock.now(seller.context.tenant_id)
    for wrong in (paid.created_at - timedelta(seconds=1), now + timedelta(minutes=1)):
        with pytest.raises(InputInvalid):
            await _report(seller, paid.id, observed_at=wrong)
    for shop, payment_id in ((seller, new_id("pay")), (rival, paid.id)):
        with pytest.raises(NotFound):
            await _report(shop, payment_id)
    assert await rival.engine.fraud_desk.feedback.outcomes_of(rival.context, [paid.id]) == {}
    assert await _events(seller) == []


async def _dispute(shop: Shop, operation_id: str, status: Any, number: int, reason: str) -> None:
    now = shop.till.clock.now(shop.context.tenant_id)
    await shop.engine.disputes.record_report(
        shop.context,
        gateway="sandbox",
        event=DisputeEvent(
            event_id=f"evt_{number}",
            occurred_at=now,
            key=operation_id,
            provider_reference=None,
            dispute=DisputeReport(
                reference="dp_1", status=status, amount=Amount(1_000, "EUR"), reason=reason
            ),
        ),
    )


async def test_a_dispute_for_fraud_is_a_label_from_the_day_it_is_opened(seller: Shop) -> None:
    paid = await seller.charge(fraud=FraudInput(card_fingerprint="one"))
    (operation,) = await seller.operations(paid.id)
    feedback = seller.engine.fraud_desk.feedback
    with seller.till.clock.later(timedelta(days=3)) as opened:
        await _dispute(seller, operation.id, "needs_response", 1, "fraudulent")
        await _dispute(seller, operation.id, "needs_response", 1, "fraudulent")
    (known,) = (await feedback.outcomes_of(seller.context, [paid.id]))[paid.id]
    assert (known.is_fraud, known.source) == (True, "dispute")
    assert abs(known.observed_at - opened) < timedelta(minutes=1)
    with seller.till.clock.later(timedelta(days=30)):
        await _dispute(seller, operation.id, "won", 2, "fraudulent")
    _, after = (await feedback.outcomes_of(seller.context, [paid.id]))[paid.id]
    assert (after.is_fraud, after.source) == (False, "dispute")
    assert [row["payment_id"] for row in await _events(seller)] == [paid.id] * 2


async def test_a_dispute_for_another_reason_says_nothing_of_fraud(seller: Shop) -> None:
    paid = await seller.charge()
    (operation,) = await seller.operations(paid.id)
    await _dispute(seller, operation.id, "needs_response", 1, "product_not_received")
    assert await _events(seller) == []
    await _dispute(seller, operation.id, "needs_response", 2, "fraudulent")
    assert [row["data"]["is_fraud"] for row in await _events(seller)] == [True]
