"""Is an account paid out on its days, once each?"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from payengine.errors import InputInvalid, NotFound
from payengine.ids import new_id
from payengine.marketplace.treasury import PayoutFilter, SavePayoutSchedule, StoredSchedule
from payengine.marketplace.treasury.schedules import next_due

from tests.core.marketplace.treasury.vendors import Vendor, open_vendor
from tests.engines import Shop, key


async def _save(vendor: Vendor, **given: Any) -> StoredSchedule:
    fields = {
        "idempotency_key": key(),
        "account_id": vendor.id,
        "currency": "EUR",
        "interval": "daily",
    } | given
    return await vendor.engine.treasury.schedules.save(vendor.context, SavePayoutSchedule(**fields))


async def _origins(vendor: Vendor) -> list[tuple[str, int]]:
    found = await vendor.engine.treasury.page(vendor.context, PayoutFilter(), first=50)
    return [(each.origin, each.amount_minor) for each in found]


async def test_a_daily_schedule_pays_all_on_the_next_day_and_once(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    saved = await _save(vendor)
    assert saved.due_at is not None
    with shop.till.clock.later(timedelta(days=1)) as at:
        schedules = vendor.engine.treasury.schedules
        await asyncio.gather(*(schedules.run_once(at=at) for _ in range(4)))
        assert await _origins(vendor) == [("schedule", 10_000)]
        (ran,) = await schedules.of_account(vendor.context, vendor.id)
        assert ran.last_outcome == "paid_out"
        assert ran.due_at == saved.due_at + timedelta(days=1)
    assert await vendor.balance() == 0


async def test_below_the_minimum_the_money_waits_for_the_next_day(shop: Shop) -> None:
    vendor = await open_vendor(shop, earned=2_499)
    await _save(vendor, minimum_minor=2_500)
    schedules = vendor.engine.treasury.schedules
    with shop.till.clock.later(timedelta(days=1)) as at:
        await schedules.run_once(at=at)
        (ran,) = await schedules.of_account(vendor.context, vendor.id)
        assert (ran.last_outcome, await _origins(vendor)) == ("below_minimum", [])
    await vendor.earn(1)
    with shop.till.clock.later(timedelta(days=2)) as at:
        await schedules.run_once(at=at)
        assert await _origins(vendor) == [("schedule", 2_500)]


async def test_what_is_refused_is_said_and_tried_on_the_next_day(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    await _save(vendor)
    await vendor.set_status("paused")
    schedules = vendor.engine.treasury.schedules
    with shop.till.clock.later(timedelta(days=1)) as at:
        await schedules.run_once(at=at)
        (ran,) = await schedules.of_account(vendor.context, vendor.id)
        assert (ran.last_outcome, await vendor.balance()) == ("PAYOUTS_NOT_ENABLED", 10_000)
        assert ran.due_at is not None
        assert ran.due_at > at


async def test_a_manual_schedule_pays_nothing_and_replaces_the_one_before(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    first = await _save(vendor)
    manual = await _save(vendor, interval="manual")
    assert (manual.id, manual.due_at) == (first.id, None)


async def test_money_of_the_last_days_is_not_paid_out_yet(shop: Shop) -> None:
    vendor = await open_vendor(shop, earned=10_000)
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        columns = await session.fetch(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_name = 'account_pending'"
        )
        known = {row["column_name"] for row in columns}
        assert {"account_id", "currency", "amount_minor", "available_at"} <= known
        payment_id = new_id("pay")
        row: dict[str, Any] = {
            "tenant_id": shop.context.tenant_id,
            "account_id": vendor.id,
            "currency": "EUR",
            "amount_minor": 7_000,
            "available_at": datetime.now(UTC) + timedelta(days=2),
        }
        for name in known - row.keys():
            row[name] = payment_id
        names = ", ".join(row)
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await session.execute(
            f"INSERT INTO account_pending ({names}) VALUES ({places})", *row.values()
        )
    await _save(vendor)
    schedules = vendor.engine.treasury.schedules
    with shop.till.clock.later(timedelta(days=1)) as at:
        await schedules.run_once(at=at)
        assert await _origins(vendor) == [("schedule", 3_000)]
    with shop.till.clock.later(timedelta(days=3)) as at:
        await schedules.run_once(at=at)
        assert await _origins(vendor) == [("schedule", 7_000), ("schedule", 3_000)]


async def test_what_cannot_be_a_schedule_is_refused(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    for wrong in (
        {"anchor_day": 32},
        {"minimum_minor": -1},
        {"zone": "Middle/Earth"},
        {"currency": "XXL"},
    ):
        with pytest.raises(InputInvalid):
            await _save(vendor, **wrong)
    with pytest.raises(NotFound):
        await _save(vendor, account_id=new_id("acc"))


def test_a_day_begins_at_midnight_of_its_zone() -> None:
    at = datetime(2025, 3, 28, 12, tzinfo=UTC)
    schedule = StoredSchedule(
        id="psc_x",
        account_id="acc_x",
        currency="EUR",
        cadence="weekly",
        weekday="monday",
        anchor_day=1,
        minimum_minor=0,
        zone="Europe/Berlin",
        created_at=at,
        updated_at=at,
    )
    # On 30 March 2025 the clocks went forward: midnight of the 31st is at 22:00 UTC.
    assert next_due(schedule, at=at) == datetime(2025, 3, 30, 22, tzinfo=UTC)
    assert next_due(schedule, at=at, since=date(2025, 3, 24)) == datetime(
        2025, 3, 23, 23, tzinfo=UTC
    )
