"""Is each quarter of an hour counted once, exactly, and does an alert open and close by itself?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from payengine.fraud.alerts import SLOT, RuleTally, Slot, slot_of
from payengine.fraud.desk.watching import Alert, AlertFilter

from tests.engines import Shop

_SETTLED = timedelta(minutes=5)


async def _watch(shop: Shop, *, at: datetime) -> int:
    """Look at this tenant alone, as if it were then."""
    return await shop.engine.fraud_desk.watching._watch(shop.context.tenant_id, at=at)


async def _made_at(shop: Shop, payment_id: str, at: datetime) -> None:
    """Let a decision have been made then."""
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute(
            "UPDATE fraud_decision SET decided_at = $3 WHERE tenant_id = $1 AND payment_id = $2",
            shop.context.tenant_id,
            payment_id,
            at,
        )


async def _slots(shop: Shop) -> list[Slot]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT document FROM fraud_slot WHERE tenant_id = $1 ORDER BY begins_at",
            shop.context.tenant_id,
        )
    return [msgspec.convert(row["document"], Slot) for row in rows]


async def _events(shop: Shop) -> list[Any]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        return await session.fetch(
            "SELECT type, data FROM event WHERE tenant_id = $1 AND type LIKE 'fraud.alert%'"
            " ORDER BY id",
            shop.context.tenant_id,
        )


async def _alerts(shop: Shop, **wanted: Any) -> list[Alert]:
    watching = shop.engine.fraud_desk.watching
    return await watching.page(shop.context, AlertFilter(**wanted), first=20)


async def _plant(shop: Shop, slots: list[Slot], *, next_slot_at: datetime) -> None:
    """A past of the tenant, as it would have been counted."""
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute(
            "INSERT INTO fraud_watch (tenant_id, next_slot_at, due_at) VALUES ($1, $2, $2)"
            " ON CONFLICT (tenant_id) DO UPDATE SET next_slot_at = $2, due_at = $2",
            shop.context.tenant_id,
            next_slot_at,
        )
        for slot in slots:
            await session.execute(
                "INSERT INTO fraud_slot (tenant_id, begins_at, document) VALUES ($1, $2, $3)",
                shop.context.tenant_id,
                slot.begins_at,
                msgspec.to_builtins(slot),
            )


async def test_a_slot_is_counted_once_after_its_end_and_exactly(seller: Shop) -> None:
    start = slot_of(datetime.now(UTC)) + 40 * SLOT
    await _plant(seller, [], next_slot_at=start)
    inside = [
        await seller.charge(),
        await seller.charge(),
        (await seller.pay(6_000)).payment,
        (await seller.pay(token="tok_decline_insufficient_funds")).payment,
    ]
    instants = [start, start + SLOT / 2, start + SLOT / 2, start + SLOT - timedelta.resolution]
    for payment, at in zip(inside, instants, strict=True):
        await _made_at(seller, payment.id, at)
    for at in (start - timedelta.resolution, start + SLOT):
        await _made_at(seller, (await seller.charge()).id, at)
    settled = start + SLOT + _SETTLED
    assert await _watch(seller, at=settled - timedelta.resolution) == 0
    counted = await asyncio.gather(*(_watch(seller, at=settled) for _ in "123"))
    assert sum(counted) == 1
    (slot,) = await _slots(seller)
    assert slot.begins_at == start
    assert (slot.known, slot.succeeded, slot.declines) == (3, 2, {"insufficient_funds": 1})
    assert slot.verdicts == {"allow": 3, "block": 1}
    assert slot.rules["amounts"] == RuleTally(asked=4, hits=1)
    assert slot.scores["amounts"] == {"-10": 3, "4": 1}


async def test_what_was_missed_is_counted_one_after_the_other(seller: Shop) -> None:
    start = slot_of(datetime.now(UTC)) + 40 * SLOT
    await _plant(seller, [], next_slot_at=start)
    for number in (0, 3, 9):
        await _made_at(seller, (await seller.charge()).id, start + number * SLOT)
    late = start + 12 * SLOT
    assert [await _watch(seller, at=late) for _ in "123"] == [8, 3, 0]
    assert [each.begins_at for each in await _slots(seller)] == [
        start + number * SLOT for number in (0, 3, 9)
    ]


def _past(ends_at: datetime, **counts: Any) -> list[Slot]:
    return [Slot(begins_at=ends_at - SLOT * at, **counts) for at in range(7 * 96, 0, -1)]


async def test_an_alert_opens_once_and_closes_when_it_is_over(seller: Shop, rival: Shop) -> None:
    end = slot_of(datetime.now(UTC))
    bad = [Slot(begins_at=end - SLOT * at, known=40, succeeded=20) for at in (4, 3, 2, 1)]
    good = _past(end - 4 * SLOT, known=10, succeeded=9)
    await _plant(seller, good + bad, next_slot_at=end)
    settled = end + SLOT + _SETTLED
    assert await _watch(seller, at=settled) == 1
    (alert,) = await _alerts(seller)
    assert (alert.kind, alert.subject, alert.closed_at) == ("success_rate", "", None)
    assert alert.opened_at == end + SLOT
    assert (alert.reading["value"], alert.reading["sample"]) == (0.5, 120)
    assert await _watch(seller, at=settled + SLOT) == 1
    assert [row["type"] for row in await _events(seller)] == ["fraud.alert_opened"]
    # An hour in which all is well again.
    well = [Slot(begins_at=end + SLOT * at, known=40, succeeded=37) for at in (2, 3, 4, 5)]
    await _plant(seller, well, next_slot_at=end + 6 * SLOT)
    assert await _watch(seller, at=settled + 6 * SLOT) == 1
    assert await _alerts(seller) == []
    (over,) = await _alerts(seller, is_open=False)
    assert over.id == alert.id
    assert over.closed_at == end + 7 * SLOT
    opened, closed = await _events(seller)
    assert (opened["type"], closed["type"]) == ("fraud.alert_opened", "fraud.alert_closed")
    assert opened["data"]["reading"]["state"] == "raised"
    assert closed["data"]["id"] == alert.id
    counts = seller.engine.fraud_desk.watching.counts
    assert counts["success_rate", "opened"] >= 1
    assert counts["success_rate", "closed"] >= 1
    assert await _alerts(rival) == await _alerts(rival, is_open=False) == []
    found = await rival.engine.fraud_desk.watching.get_many(rival.context, [alert.id])
    assert found == {}


async def test_what_nothing_tells_of_any_more_is_closed_after_a_day(seller: Shop) -> None:
    end = slot_of(datetime.now(UTC))
    failing = {"gone": RuleTally(asked=100, errors=50)}
    await _plant(seller, [Slot(begins_at=end - SLOT, rules=failing)], next_slot_at=end)
    await _watch(seller, at=end + SLOT + _SETTLED)
    assert [(each.kind, each.subject) for each in await _alerts(seller)] == [
        ("rule_errors", "gone")
    ]
    await _plant(seller, [], next_slot_at=end + 24 * 4 * SLOT)
    await _watch(seller, at=end + SLOT + _SETTLED + timedelta(days=1))
    assert await _alerts(seller) == []


async def test_a_review_that_waits_for_long_is_told(seller: Shop) -> None:
    await seller.pay(token="tok_fraud_review")
    start = slot_of(datetime.now(UTC)) + 20 * SLOT
    await _plant(seller, [], next_slot_at=start)
    assert await _watch(seller, at=start + SLOT + _SETTLED) == 1
    (alert,) = await _alerts(seller, kind="queue_age")
    assert 240 <= alert.reading["value"] <= 330


async def test_one_round_looks_at_every_tenant_that_is_due(seller: Shop, rival: Shop) -> None:
    at = datetime.now(UTC)
    for _ in range(50):
        await seller.engine.fraud_desk.watching.run_once(at=at, limit=500)
        async with seller.engine.database.worker() as session:
            watched = await session.fetchval(
                "SELECT count(*) FROM fraud_watch WHERE tenant_id = ANY ($1) AND due_at > $2",
                [seller.context.tenant_id, rival.context.tenant_id],
                at,
            )
        if watched == 2:
            return
    pytest.fail("some tenant was never looked at")
