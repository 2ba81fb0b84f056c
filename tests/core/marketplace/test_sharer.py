"""Does every owner get and give its part of what happens to a payment, once and exactly?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payengine.errors import (
    ChargesNotEnabled,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    RefundExceedsRemaining,
    SplitNotExhaustive,
)
from payengine.events.relay import publish_batch
from payengine.ids import new_id, new_tenant_id
from payengine.marketplace.commission import CommissionRule, Tier
from payengine.marketplace.meant import EscrowInput, ShareInput, SplitInput
from payengine.payments import MethodInput

from tests.bazaar import Bazaar, platform, rest, vendor
from tests.core.payments.disputing import Court, report
from tests.engines import Shop, key

#: The sandbox refuses a refund of this amount.
_REFUSED = 2_038


@pytest.fixture
def bazaar(shop: Shop) -> Bazaar:
    """A fresh platform."""
    return Bazaar(shop)


async def test_a_sale_goes_to_its_owners(bazaar: Bazaar) -> None:
    one, two = await bazaar.vendor(), await bazaar.vendor()
    paid = await bazaar.sell(
        10_000, platform(amount_minor=1_500), vendor(two, percent_bps=2_000), rest(one)
    )
    books = await bazaar.books()
    assert books[f"vendor_payable:{one.id}"] == 6_500
    assert books[f"vendor_payable:{two.id}"] == 2_000
    assert books["platform_fee_revenue"] == 1_500
    assert "merchant_payable:main" not in books
    assert await bazaar.parts(paid) == [1_500, 2_000, 6_500]
    assert (await bazaar.events())["split.captured"] == 1
    await bazaar.shop.assert_sound()


async def test_nothing_is_shared_twice_however_often_it_is_looked_at(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, platform(percent_bps=1_000), rest(one))
    await bazaar.refund(paid, 500)
    before = await bazaar.books()
    engine = bazaar.shop.engine
    async with engine.database.tenant(bazaar.shop.context.tenant_id) as session:
        await session.execute(
            "UPDATE payment_split SET due_at = $2 WHERE tenant_id = $1",
            bazaar.shop.context.tenant_id,
            datetime(2020, 1, 1, tzinfo=UTC),
        )
    await asyncio.gather(*(bazaar.share() for _ in range(4)))
    assert await bazaar.books() == before
    assert len((await bazaar.divided(paid)).steps) == 2


async def test_partial_captures_bring_each_part_in_proportion_and_the_last_all_of_it(
    bazaar: Bazaar,
) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, platform(amount_minor=99), rest(one), capture_method="MANUAL")
    assert await bazaar.parts(paid) == [0, 0]
    await bazaar.shop.capture(paid.id, 333, final=False)
    await bazaar.share()
    assert await bazaar.parts(paid) == [33, 300]
    await bazaar.shop.capture(paid.id)
    await bazaar.share()
    assert await bazaar.parts(paid) == [99, 901]
    await bazaar.shop.assert_sound()


async def test_a_capture_may_be_divided_on_its_own(bazaar: Bazaar) -> None:
    one, two = await bazaar.vendor(), await bazaar.vendor()
    held = await bazaar.shop.hold(1_000)
    shares = (platform(percent_bps=1_000), rest(one))
    await bazaar.shop.capture(held.id, 600, final=False, shares=shares)
    await bazaar.shop.capture(held.id, shares=(vendor(two, remainder=True),))
    await bazaar.share()
    books = await bazaar.books()
    assert (books[f"vendor_payable:{one.id}"], books[f"vendor_payable:{two.id}"]) == (540, 400)
    assert books["platform_fee_revenue"] == 60
    await bazaar.refund(held)
    assert await bazaar.parts(held) == [0, 0, 0]
    assert await bazaar.owned() == {}


async def test_refunds_pull_back_in_proportion_and_the_last_empties_every_part(
    bazaar: Bazaar,
) -> None:
    one, two = await bazaar.vendor(), await bazaar.vendor()
    paid = await bazaar.sell(
        10_000,
        vendor(one, amount_minor=7_000),
        vendor(two, amount_minor=2_000),
        platform(amount_minor=1_000),
    )
    seen = []
    for amount in (3_333, 3_333, 3_334):
        await bazaar.refund(paid, amount)
        seen.append(await bazaar.parts(paid))
    assert seen == [[4_667, 1_333, 667], [2_334, 667, 333], [0, 0, 0]]
    assert await bazaar.owned() == {}
    await bazaar.shop.assert_sound()


async def test_the_platform_may_keep_its_fee_in_a_refund(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(10_000, platform(amount_minor=1_500), rest(one), fee_policy="keep")
    await bazaar.refund(paid, 5_000)
    assert await bazaar.parts(paid) == [1_500, 3_500]
    await bazaar.refund(paid)
    assert await bazaar.parts(paid) == [0, 0]


async def test_a_refund_may_say_who_gives_back_how_much(bazaar: Bazaar) -> None:
    one, two = await bazaar.vendor(), await bazaar.vendor()
    paid = await bazaar.sell(1_000, vendor(one, amount_minor=600), vendor(two, amount_minor=400))
    await bazaar.refund(paid, 300, shares=(vendor(two, remainder=True),))
    assert await bazaar.parts(paid) == [600, 100]
    with pytest.raises(RefundExceedsRemaining):
        await bazaar.refund(paid, 200, shares=(vendor(two, remainder=True),))
    stranger = await bazaar.vendor()
    with pytest.raises(InputInvalid):
        await bazaar.refund(paid, 200, shares=(rest(stranger),))
    plain = await bazaar.shop.charge(500)
    with pytest.raises(InputInvalid):
        await bazaar.refund(plain, 200, shares=(rest(one),))
    assert await bazaar.parts(paid) == [600, 100]
    await bazaar.shop.assert_sound()


async def test_a_refund_that_fails_gives_the_parts_back(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    method = MethodInput(token="tok_magic")
    paid = await bazaar.sell(10_000, platform(percent_bps=1_000), rest(one), payment_method=method)
    refused = await bazaar.shop.refund(paid.id, _REFUSED)
    await bazaar.share()
    assert refused.operation is not None
    assert refused.operation.status == "declined"
    assert await bazaar.parts(paid) == [1_000, 9_000]
    assert await bazaar.available(one) == 9_000
    await bazaar.shop.assert_sound()


async def test_a_vendor_sells_by_the_agreed_commission_and_its_volume(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    tiers = (
        Tier(up_to=10_000, percent_bps=1_000),
        Tier(up_to=None, percent_bps=500),
    )
    sale = {"vendor_id": one.id, "commission": CommissionRule(tiers=tiers)}
    first = await bazaar.sell(8_000, **sale)
    second = await bazaar.sell(8_000, **sale)
    assert await bazaar.parts(first) == [7_200, 800]
    assert await bazaar.parts(second) == [7_500, 500]  # 2,000 at 10 % and 6,000 at 5 %
    with bazaar.shop.till.clock.later(timedelta(days=40)):
        third = await bazaar.sell(8_000, **sale)
    assert await bazaar.parts(third) == [7_200, 800]


async def test_a_sale_is_of_the_day_it_was_captured_however_late_it_is_shared(
    bazaar: Bazaar,
) -> None:
    one = await bazaar.vendor(reserve_bps=1_000, reserve_days=30)
    tiers = (Tier(up_to=8_000, percent_bps=1_000), Tier(up_to=None, percent_bps=500))
    split = SplitInput(
        vendor_id=one.id,
        commission=CommissionRule(tiers=tiers),
        escrow=EscrowInput(conditions=("manual",), timeout_days=5),
    )
    plain = SplitInput(vendor_id=one.id, commission=CommissionRule(tiers=tiers))
    early = (await bazaar.shop.pay(8_000, split=plain)).payment
    kept = (await bazaar.shop.pay(1_000, split=split)).payment
    with bazaar.shop.till.clock.later(timedelta(days=40)) as then:
        late = (await bazaar.shop.pay(8_000, split=plain)).payment
        await bazaar.share(after=timedelta(days=40))
    assert sum(await bazaar.parts(early)) == sum(await bazaar.parts(late)) == 8_000
    assert (await bazaar.parts(early))[1] + (await bazaar.parts(kept))[1] == 800 + 50
    assert await bazaar.parts(late) == [7_200, 800]  # of a month of its own
    # What was to be kept back of the early sale would have returned by then.
    reserves = await bazaar.room.reserves.page(bazaar.shop.context, one.id, first=5)
    assert [each.payment_id for each in reserves] == [late.id]
    held = await bazaar.escrow(kept)
    assert held.due_at is not None
    assert held.due_at < then - timedelta(days=30)


async def test_two_first_sales_at_once_do_not_both_take_the_first_tier(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    tiers = (Tier(up_to=1_000, percent_bps=2_000), Tier(up_to=None, percent_bps=0))
    split = SplitInput(vendor_id=one.id, commission=CommissionRule(tiers=tiers))
    await asyncio.gather(*(bazaar.shop.pay(1_000, split=split) for _ in range(6)))
    await asyncio.gather(*(bazaar.share() for _ in range(3)))
    assert (await bazaar.books())["platform_fee_revenue"] == 200


async def test_disputes_pull_back_and_are_given_back_when_won(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    court = Court(bazaar.shop)
    split = SplitInput(shares=(platform(percent_bps=1_000), rest(one)))
    paid, sent = await court.charge(1_000, split=split)
    await court.hear(report(sent, amount=500, fee_minor=100))
    await bazaar.share()
    assert await bazaar.parts(paid) == [50, 450]
    assert await bazaar.available(one) == 900 - 450 - 90
    await court.hear(report(sent, "won", amount=500, fee_minor=100))
    await bazaar.share()
    assert await bazaar.parts(paid) == [100, 900]
    assert await bazaar.available(one) == 900 - 90
    await court.hear(report(sent, "won", amount=500, fee_minor=100, fee_returned=True))
    await bazaar.share()
    assert await bazaar.available(one) == 900
    await bazaar.shop.assert_sound()


async def test_a_lost_dispute_may_take_its_vendor_below_zero(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    court = Court(bazaar.shop)
    split = SplitInput(shares=(platform(percent_bps=1_000), rest(one)), liability="vendor")
    paid, sent = await court.charge(1_000, split=split)
    await court.hear(report(sent, amount=1_000, fee_minor=150))
    await court.hear(report(sent, "lost", amount=1_000, fee_minor=150))
    await bazaar.share()
    assert await bazaar.available(one) == 900 - 1_000 - 150
    assert await bazaar.parts(paid) == [0, 0]
    assert (await bazaar.books())["platform_fee_revenue"] == 100


async def test_refused_splits_write_nothing(bazaar: Bazaar) -> None:
    one, waiting = await bazaar.vendor(), await bazaar.open()
    before = await bazaar.shop.rows()
    for shares, refusal in (
        ((rest(waiting),), ChargesNotEnabled),
        ((vendor(new_id("acc"), remainder=True),), NotFound),
        ((vendor(one, percent_bps=9_900),), SplitNotExhaustive),
        ((rest(one), rest(one)), InputInvalid),
        ((ShareInput(account_id="pay_1", remainder=True),), InputInvalid),
    ):
        with pytest.raises(refusal):
            await bazaar.sell(1_000, *shares)
    with pytest.raises(InputInvalid):
        await bazaar.sell(1_000, vendor_id=one.id)  # no commission is agreed
    assert await bazaar.shop.rows() == before


async def test_the_same_key_with_another_split_is_a_conflict(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    again = key()
    first = await bazaar.sell(1_000, rest(one), idempotency_key=again)
    second = await bazaar.sell(1_000, rest(one), idempotency_key=again)
    assert first.id == second.id
    with pytest.raises(IdempotencyConflict):
        await bazaar.sell(1_000, platform(percent_bps=1_000), rest(one), idempotency_key=again)


async def test_what_cannot_be_shared_keeps_nobody_waiting(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    split = SplitInput(shares=(rest(one),))
    sick = await bazaar.shop.pay(1_000, split=split)
    async with bazaar.shop.till.as_owner(bazaar.shop.context.tenant_id) as owner:
        await owner.execute(
            "UPDATE payment_split SET vendor_id = $2, commission = $3 WHERE payment_id = $1",
            sick.payment.id,
            one.id,
            '{"fixed": "much"}',
        )
        await owner.execute(
            "UPDATE payment_part SET planned_minor = 0 WHERE payment_id = $1", sick.payment.id
        )
    well = await bazaar.sell(500, rest(one))
    assert await bazaar.parts(well) == [500]
    assert (await bazaar.divided(sick.payment)).split.tries > 0
    async with bazaar.shop.till.as_owner(bazaar.shop.context.tenant_id) as owner:
        await owner.execute(
            "UPDATE payment_split SET commission = '{}' WHERE payment_id = $1", sick.payment.id
        )
    await bazaar.share(after=timedelta(hours=1))
    assert await bazaar.parts(sick.payment) == [1_000]


async def test_a_tenant_that_divides_payments_wakes_the_sharer(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    await bazaar.sell(500, rest(one))
    sharer = bazaar.room.sharer
    later = await bazaar.shop.pay(1_000, split=SplitInput(shares=(rest(one),)))
    sharer.wake(bazaar.shop.context.tenant_id)
    while await publish_batch(bazaar.shop.engine.database):
        pass
    assert await asyncio.wait_for(sharer.run_when_woken(within=timedelta(minutes=10)), 30) >= 1
    assert await bazaar.parts(later.payment) == [1_000]
    sharer.wake(new_tenant_id())  # nobody whose payments are divided
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sharer.run_when_woken(within=timedelta(minutes=10)), 0.05)
