"""Payouts keep tenants apart on their own too, were the policies of the database gone.

Each test runs twice, as in `test_isolation_services`: as installed, and with a further policy on
every table that lets all rows through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from payengine.errors import NotFound
from payengine.ids import new_id
from payengine.marketplace.treasury import (
    CancelPayout,
    CreatePayout,
    PayoutFilter,
    PlacePayoutHold,
    ReleasePayout,
    ReleasePayoutHold,
    SavePayoutDestination,
    SavePayoutSchedule,
    SettlePayout,
)

from tests.core.marketplace.treasury.vendors import Vendor, open_vendor
from tests.engines import Till, key


async def _rows(vendor: Vendor) -> list[Any]:
    """Everything that the tenant has of payouts."""
    found = []
    async with vendor.engine.database.tenant(vendor.context.tenant_id) as session:
        for table in ("payout", "payout_destination", "payout_schedule", "payout_hold"):
            found += await session.fetch(
                f"SELECT * FROM {table} WHERE tenant_id = $1 ORDER BY id", vendor.context.tenant_id
            )
    return [tuple(row.values()) for row in found]


async def test_another_tenants_ids_are_those_of_nothing(layer: str, apart_till: Till) -> None:
    mine = await open_vendor(await apart_till.shop())
    theirs = await open_vendor(await apart_till.shop())
    payout = await theirs.pay_out(1_000)
    treasury, context = apart_till.engine.treasury, mine.context
    person = {"person": "Ada", "reason": "a test"}
    hold = await treasury.holds.place(
        theirs.context, PlacePayoutHold(idempotency_key=key(), account_id=theirs.id, **person)
    )
    before = await _rows(theirs)
    account: dict[str, Any] = {"account_id": theirs.id}
    money: dict[str, Any] = {"currency": "EUR"}
    tries: list[tuple[Callable[..., Awaitable[Any]], Any]] = [
        (treasury.create, CreatePayout(idempotency_key=key(), **account, **money)),
        (
            treasury.cancel,
            CancelPayout(idempotency_key=key(), payout_id=payout.id, reason="a test"),
        ),
        (treasury.release, ReleasePayout(idempotency_key=key(), payout_id=payout.id, **person)),
        (
            treasury.settle,
            SettlePayout(idempotency_key=key(), payout_id=payout.id, outcome="failed", **person),
        ),
        (
            treasury.destinations.save,
            SavePayoutDestination(
                idempotency_key=key(),
                **account,
                **money,
                rail="sandbox",
                kind="token",
                number="acct_mine_now",
            ),
        ),
        (
            treasury.schedules.save,
            SavePayoutSchedule(idempotency_key=key(), **account, **money, interval="daily"),
        ),
        (treasury.holds.place, PlacePayoutHold(idempotency_key=key(), **account, **person)),
        (
            treasury.holds.release,
            ReleasePayoutHold(idempotency_key=key(), hold_id=hold.id, **person),
        ),
    ]
    for change, request in tries:
        with pytest.raises(NotFound):
            await change(context, request)
    assert await _rows(theirs) == before


async def test_nothing_of_another_tenant_is_read(layer: str, apart_till: Till) -> None:
    mine = await open_vendor(await apart_till.shop())
    theirs = await open_vendor(await apart_till.shop())
    payout = await theirs.pay_out(1_000)
    await theirs.go_on()
    sent = await theirs.payout(payout.id)
    treasury, context = apart_till.engine.treasury, mine.context
    assert await treasury.page(context, PayoutFilter(), first=50) == []
    assert await treasury.page(context, PayoutFilter(account_id=theirs.id), first=50) == []
    cursor = await treasury.page(context, PayoutFilter(), first=50, after=new_id("po"))
    assert cursor == []
    assert await treasury.get_many(context, [payout.id]) == {}
    assert await treasury.batches(context, [str(sent.batch_id)]) == {}
    assert await treasury.evidence_of(context, [payout.id]) == {}
    assert await treasury.destinations.get_many(context, [sent.destination_id]) == {}
    for room in (treasury.destinations, treasury.schedules, treasury.holds):
        assert await room.of_account(context, theirs.id) == []


async def test_a_round_touches_each_tenants_payouts_alone(layer: str, apart_till: Till) -> None:
    vendors = [await open_vendor(await apart_till.shop()) for _ in range(2)]
    made = [await vendor.pay_out(1_000) for vendor in vendors]
    await vendors[0].go_on()
    for vendor, payout in zip(vendors, made, strict=True):
        sent = await vendor.payout(payout.id)
        found = await vendor.engine.treasury.page(
            vendor.context, PayoutFilter(batch_id=sent.batch_id), first=50
        )
        assert [each.id for each in found] == [payout.id]
        await vendor.assert_balanced()
