"""Is a payout taken once, and what may be done about it?"""

from __future__ import annotations

import asyncio

import pytest
from payengine.context import TenantContext
from payengine.errors import (
    AmountNotPositive,
    IdempotencyConflict,
    InputInvalid,
    InsufficientAvailableBalance,
    NotFound,
    PayoutsNotEnabled,
    PermissionDenied,
    TransitionRefused,
)
from payengine.ids import new_id
from payengine.invariants import verify
from payengine.ledger import balances
from payengine.marketplace.postings import PLATFORM
from payengine.marketplace.treasury import (
    CancelPayout,
    PayoutFilter,
    PlacePayoutHold,
    ReleasePayout,
    ReleasePayoutHold,
    SavePayoutSchedule,
    SettlePayout,
)

from tests.core.marketplace.treasury.vendors import open_vendor, paid_by
from tests.engines import Shop, key


async def test_a_payout_takes_the_money_at_once_and_arrives(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    made = await vendor.pay_out(9_000)
    assert (made.status, await vendor.balance(), await vendor.in_transit()) == (
        "pending",
        1_000,
        9_000,
    )
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "in_transit"
    await vendor.go_on()
    paid = await vendor.payout(made.id)
    assert (paid.status, await vendor.in_transit()) == ("paid", 0)
    assert paid.provider_reference == f"sbx_{made.id}"
    assert await vendor.evidence(made.id) == [("answer", "accepted"), ("lookup", "paid")]
    assert await vendor.events() == ["payout.created", "payout.in_transit", "payout.paid"]
    assert [one.amount_minor for one in paid_by(vendor.engine, vendor.context.tenant_id)] == [9_000]
    await vendor.assert_balanced()


async def test_without_an_amount_all_that_the_rail_can_send_goes_out(shop: Shop) -> None:
    vendor = await open_vendor(shop, earned=0)
    await vendor.earn(1_045, "HUF")
    await vendor.bank_at(currency="HUF")
    made = await vendor.pay_out(currency="HUF")
    assert (made.amount_minor, await vendor.balance("HUF")) == (1_000, 45)
    with pytest.raises(InsufficientAvailableBalance):
        await vendor.pay_out(currency="HUF")
    with pytest.raises(InputInvalid, match="whole multiples"):
        await vendor.pay_out(45, currency="HUF")


async def test_the_fee_is_taken_with_a_payout_and_returns_where_it_did_not_arrive(
    shop: Shop,
) -> None:
    arrives, fails = await open_vendor(shop), await open_vendor(shop)
    await fails.bank_at("acct_closed")
    for vendor in (arrives, fails):
        await vendor.engine.treasury.schedules.save(
            vendor.context,
            SavePayoutSchedule(
                idempotency_key=key(),
                account_id=vendor.id,
                currency="EUR",
                interval="manual",
                fee_minor=25,
            ),
        )
        with pytest.raises(InsufficientAvailableBalance, match=r"100\.00 EUR .* 100\.01 EUR"):
            await vendor.pay_out(9_976)
        made = await vendor.pay_out()
        assert (made.amount_minor, made.fee_minor, await vendor.balance()) == (9_975, 25, 0)
    await arrives.go_on()
    await arrives.go_on()
    assert (await arrives.balance(), await fails.balance()) == (0, 10_000)
    await arrives.earn(1_000)
    called_off = await arrives.pay_out(500)
    assert await arrives.balance() == 475
    await arrives.engine.treasury.cancel(
        arrives.context,
        CancelPayout(idempotency_key=key(), payout_id=called_off.id, reason="a mistake"),
    )
    assert await arrives.balance() == 1_000
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        (kept,) = await balances(session, shop.context.tenant_id, account=PLATFORM)
    assert kept.balance == 25
    report = await verify(shop.engine, tenant_ids=[shop.context.tenant_id])
    assert not [each for each in report.broken if each.subject.startswith("po_")]


async def test_the_same_key_pays_once(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    one = key()
    made = await asyncio.gather(*(vendor.pay_out(1_000, idempotency_key=one) for _ in range(8)))
    assert len({each.id for each in made}) == 1
    assert await vendor.balance() == 9_000
    with pytest.raises(IdempotencyConflict):
        await vendor.pay_out(2_000, idempotency_key=one)


async def test_forty_at_once_never_take_more_than_is_there(shop: Shop) -> None:
    vendor = await open_vendor(shop)

    async def one() -> bool:
        try:
            await vendor.pay_out(1_000)
        except InsufficientAvailableBalance:
            return False
        return True

    assert sum(await asyncio.gather(*(one() for _ in range(40)))) == 10
    assert await vendor.balance() == 0
    await vendor.assert_balanced()


async def test_what_may_not_be_paid_out_is_refused_and_changes_nothing(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    before = await vendor.balance()
    for amount, problem in ((0, AmountNotPositive), (10_001, InsufficientAvailableBalance)):
        with pytest.raises(problem):
            await vendor.pay_out(amount)
    with pytest.raises(InputInvalid, match="no payout destination"):
        await vendor.pay_out(1, currency="USD")
    with pytest.raises(NotFound):
        await vendor.pay_out(1, account_id=new_id("acc"))
    await vendor.set_status("paused")
    with pytest.raises(PayoutsNotEnabled):
        await vendor.pay_out(1_000)
    assert (await vendor.balance(), await vendor.events()) == (before, [])


async def test_an_account_that_is_not_verified_is_not_paid_out(shop: Shop) -> None:
    vendor = await open_vendor(shop, earned=9_000, status="pending_verification")
    with pytest.raises(PayoutsNotEnabled):
        await vendor.pay_out(9_000)
    assert await vendor.balance() == 9_000


async def test_what_was_not_sent_can_be_called_off(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    made = await vendor.pay_out(4_000)
    treasury = vendor.engine.treasury
    request = CancelPayout(idempotency_key=key(), payout_id=made.id, reason="a mistake")
    gone = await treasury.cancel(vendor.context, request)
    assert (gone.status, gone.failure_text, await vendor.balance()) == (
        "canceled",
        "a mistake",
        10_000,
    )
    again = await treasury.cancel(vendor.context, request)
    assert (again.status, await vendor.balance()) == ("canceled", 10_000)
    await vendor.go_on()
    assert paid_by(vendor.engine, vendor.context.tenant_id) == []
    sent = await vendor.pay_out(4_000)
    await vendor.go_on()
    with pytest.raises(TransitionRefused):
        await treasury.cancel(
            vendor.context, CancelPayout(idempotency_key=key(), payout_id=sent.id, reason="late")
        )
    await vendor.assert_balanced()


async def test_a_hold_keeps_back_what_waits_and_lets_it_go_when_it_is_lifted(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    treasury, context = vendor.engine.treasury, vendor.context
    made = await vendor.pay_out(4_000)
    hold = await treasury.holds.place(
        context,
        PlacePayoutHold(
            idempotency_key=key(), account_id=vendor.id, person="Ada", reason="a strange pattern"
        ),
    )
    with pytest.raises(PayoutsNotEnabled, match="on hold"):
        await vendor.pay_out(1_000)
    await vendor.go_on()
    held = await vendor.payout(made.id)
    assert (held.status, held.held_because) == ("held", "hold")
    lifted = await treasury.holds.release(
        context,
        ReleasePayoutHold(idempotency_key=key(), hold_id=hold.id, person="Ada", reason="explained"),
    )
    assert lifted.released_by == "Ada"
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "in_transit"
    assert [each.id for each in await treasury.holds.of_account(context, vendor.id)] == [hold.id]


async def test_an_account_that_was_paused_meanwhile_is_held_until_a_person_lets_it_go(
    shop: Shop,
) -> None:
    vendor = await open_vendor(shop)
    made = await vendor.pay_out(4_000)
    await vendor.set_status("paused")
    await vendor.go_on()
    held = await vendor.payout(made.id)
    assert (held.status, held.held_because) == ("held", "account_not_active")
    await vendor.set_status("active")
    released = await vendor.engine.treasury.release(
        vendor.context,
        ReleasePayout(idempotency_key=key(), payout_id=made.id, person="Ada", reason="verified"),
    )
    assert released.status == "pending"
    await vendor.go_on()
    assert (await vendor.payout(made.id)).status == "in_transit"


async def test_a_person_settles_what_the_rail_does_not_tell(shop: Shop) -> None:
    vendor = await open_vendor(shop, "acct_slow")
    made = await vendor.pay_out(4_000)
    treasury = vendor.engine.treasury
    settle = SettlePayout(
        idempotency_key=key(),
        payout_id=made.id,
        outcome="failed",
        person="Ada",
        reason="the bank's letter of Monday",
    )
    with pytest.raises(TransitionRefused):
        await treasury.settle(vendor.context, settle)
    await vendor.go_on()
    failed = await treasury.settle(vendor.context, settle)
    assert (failed.status, await vendor.balance()) == ("failed", 10_000)
    assert await vendor.evidence(made.id) == [("answer", "accepted"), ("person", "failed")]
    await vendor.go_on()
    conflicting = await vendor.payout(made.id)
    assert (conflicting.status, conflicting.needs_review) == ("failed", True)
    await vendor.assert_balanced()


async def test_payouts_are_listed_newest_first_and_filtered(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    made = [await vendor.pay_out(1_000 + n) for n in range(3)]
    treasury, context = vendor.engine.treasury, vendor.context
    first = await treasury.page(context, PayoutFilter(), first=2)
    assert [each.id for each in first][:2] == [made[2].id, made[1].id]
    rest = await treasury.page(context, PayoutFilter(), first=2, after=made[1].id)
    assert [each.id for each in rest] == [made[0].id]
    none = await treasury.page(context, PayoutFilter(status="paid"), first=5)
    assert none == []


async def test_each_step_needs_its_scope(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    bare = TenantContext(vendor.context.tenant_id, "test", "x", frozenset())
    with pytest.raises(PermissionDenied):
        await vendor.engine.treasury.page(bare, PayoutFilter(), first=1)
    with pytest.raises(PermissionDenied):
        await vendor.engine.treasury.cancel(
            bare, CancelPayout(idempotency_key=key(), payout_id=new_id("po"), reason="x")
        )
