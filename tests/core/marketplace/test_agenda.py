"""Is what fails put off, longer each time, and does a world's clock bring what is due there?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.ledger import post
from payengine.ledger.moves import Move, posting_of
from payengine.marketplace.connected_models import ConnectedAccount
from payengine.marketplace.meant import SplitInput
from payengine.marketplace.treasury import SavePayoutSchedule

from tests.bazaar import Bazaar, escrow, rest
from tests.core.marketplace.treasury.vendors import open_vendor
from tests.engines import Shop, key

_DAY = timedelta(days=1)


@pytest.fixture
async def bazaar(shop: Shop) -> AsyncIterator[Bazaar]:
    """A platform whose rows are gone from every agenda afterwards."""
    yield Bazaar(shop)
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        for table in ("reserve_hold", "escrow_hold"):
            await owner.execute(f"UPDATE {table} SET retry_at = 'infinity'")


async def _tries(bazaar: Bazaar, table: str) -> list[tuple[int, timedelta | None]]:
    """(tries, how long from now until the next) of each row."""
    async with bazaar.shop.engine.database.tenant(bazaar.shop.context.tenant_id) as session:
        rows = await session.fetch(
            f"SELECT tries, retry_at FROM {table} WHERE tenant_id = $1",
            bazaar.shop.context.tenant_id,
        )
    now = datetime.now(UTC)
    return [(row["tries"], row["retry_at"] and row["retry_at"] - now) for row in rows]


async def _drain(bazaar: Bazaar, account: str, amount: int) -> None:
    """Take what is kept there away, so that it cannot be given back."""
    posting = posting_of(
        [Move(account, "merchant_payable:main", amount, "EUR")],
        transaction_id=key(),
        kind="test.drained",
    )
    tenant_id = bazaar.shop.context.tenant_id
    async with bazaar.shop.engine.database.tenant(tenant_id) as session:
        await post(session, tenant_id, [posting], at=datetime.now(UTC))


async def _reserved(bazaar: Bazaar, *, days: int = 3) -> ConnectedAccount:
    account = await bazaar.vendor(reserve_bps=1_000, reserve_days=days)
    await bazaar.sell(1_000, rest(account))
    return account


async def test_a_release_that_fails_is_put_off_longer_each_time(bazaar: Bazaar) -> None:
    sick, well = await _reserved(bazaar), await _reserved(bazaar)
    await _drain(bazaar, f"reserve:{sick.id}", 100)
    clock, reserves = bazaar.shop.till.clock, bazaar.room.reserves
    with clock.later(4 * _DAY) as then:
        await reserves.run_once(at=then)
        assert (await bazaar.standing(well)).reserved_minor == 0
        assert sorted(tries for tries, _ in await _tries(bazaar, "reserve_hold")) == [0, 1]
        await reserves.run_once(at=then)  # it is not its turn yet
        assert sorted(tries for tries, _ in await _tries(bazaar, "reserve_hold")) == [0, 1]
        for seconds, tries in ((2, 2), (3, 2), (5, 3)):
            await reserves.run_once(at=then + timedelta(seconds=seconds))
            assert max(found for found, _ in await _tries(bazaar, "reserve_hold")) == tries
    assert (await bazaar.events())["reserve.released"] == 1


async def test_what_failed_goes_when_its_cause_is_gone(bazaar: Bazaar) -> None:
    account = await bazaar.vendor()
    paid = await bazaar.sell(1_000, rest(account), escrow=escrow("manual", timeout_days=2))
    held = await bazaar.escrow(paid)
    await _drain(bazaar, f"escrow:{held.id}", 1_000)
    with bazaar.shop.till.clock.later(3 * _DAY) as then:
        await bazaar.room.escrows.run_once(at=then)
        ((tries, _),) = await _tries(bazaar, "escrow_hold")
        assert (tries, (await bazaar.escrow(paid)).status) == (1, "held")
        tenant_id = bazaar.shop.context.tenant_id
        back = [Move("merchant_payable:main", f"escrow:{held.id}", 1_000, "EUR")]
        async with bazaar.shop.engine.database.tenant(tenant_id) as session:
            posting = posting_of(back, transaction_id=key(), kind="test.returned")
            await post(session, tenant_id, [posting], at=then)
        await bazaar.room.escrows.run_once(at=then + timedelta(seconds=2))
    assert (await bazaar.escrow(paid)).status == "released"
    await bazaar.shop.assert_sound()


async def _give_clock(shop: Shop, at: datetime) -> None:
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        await owner.execute(
            "INSERT INTO test_clock (tenant_id, now_at, from_at, target_at, version, created_at)"
            " VALUES ($1, $2, $2, $2, 1, $2)",
            shop.context.tenant_id,
            at,
        )


async def _next_due(bazaar: Bazaar, room: Any, after: datetime) -> datetime:
    tenant_id = bazaar.shop.context.tenant_id
    async with bazaar.shop.engine.database.tenant(tenant_id) as session:
        due = await room.next_due(session, tenant_id, after)
    assert isinstance(due, datetime)
    return due


async def test_a_world_with_a_clock_has_its_releases_where_the_clock_stands(
    bazaar: Bazaar,
) -> None:
    now = datetime.now(UTC)
    await _give_clock(bazaar.shop, now)
    account = await _reserved(bazaar, days=3)
    paid = await bazaar.sell(1_000, rest(account), escrow=escrow("manual", timeout_days=2))
    reserves, escrows = bazaar.room.reserves, bazaar.room.escrows
    tenant_id = bazaar.shop.context.tenant_id
    with bazaar.shop.till.clock.later(30 * _DAY) as then:  # only the wall's hand
        await reserves.run_once(at=then)
        await escrows.run_once(at=then)
    assert (await bazaar.escrow(paid)).status == "held"
    due = await _next_due(bazaar, escrows, now)
    assert now + 2 * _DAY - timedelta(minutes=1) < due < now + 2 * _DAY + timedelta(minutes=1)
    assert await escrows.run_tenant(tenant_id, at=due - timedelta(seconds=1)) == 0
    assert await escrows.run_tenant(tenant_id, at=due) == 1
    assert (await bazaar.escrow(paid)).status == "released"
    returns = await _next_due(bazaar, reserves, now)
    # What left the escrow meanwhile was sold on the same day, and returns with the other.
    assert await reserves.run_tenant(tenant_id, at=returns) == 2
    assert await reserves.run_tenant(tenant_id, at=returns) == 0
    assert (await bazaar.standing(account)).available_minor == 2_000


async def test_schedules_pay_out_day_by_day_of_a_worlds_clock(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    schedules = vendor.engine.treasury.schedules
    kept = await schedules.save(
        vendor.context,
        SavePayoutSchedule(
            idempotency_key=key(), account_id=vendor.id, currency="EUR", interval="daily"
        ),
    )
    await _give_clock(shop, kept.created_at)
    assert kept.due_at is not None
    with shop.till.clock.later(2 * _DAY) as then:
        await schedules.run_once(at=then)
    at, tenant_id = kept.created_at, vendor.context.tenant_id
    outcomes = []
    for _ in range(3):
        async with vendor.engine.database.tenant(tenant_id) as session:
            due = await schedules.next_due(session, tenant_id, at)
        assert due is not None
        assert due - at <= _DAY
        assert await schedules.run_tenant(tenant_id, at=due) == 1
        (standing,) = await schedules.of_account(vendor.context, vendor.id)
        outcomes.append(standing.last_outcome)
        at = due
    assert outcomes == ["paid_out", "below_minimum", "below_minimum"]


async def test_shares_do_not_wait_for_the_relay_before_a_clock_moves_on(bazaar: Bazaar) -> None:
    account = await bazaar.vendor(delay_days=2)
    await bazaar.shop.pay(1_000, split=SplitInput(shares=(rest(account),)))
    tenant_id, at = bazaar.shop.context.tenant_id, datetime.now(UTC)
    assert await bazaar.room.sharer.run_tenant(tenant_id, at=at) == 1
    assert await bazaar.room.sharer.run_tenant(tenant_id, at=at + 5 * _DAY) == 0
    assert (await bazaar.standing(account)).pending_minor == 1_000
