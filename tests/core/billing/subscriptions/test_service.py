"""Do subscriptions become what their mutations say, with the invoices that go with it?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from payengine.billing.subscriptions.models import (
    CancelSubscription,
    WantedItem,
    WantedPhase,
    WithdrawScheduledChange,
)
from payengine.errors import Conflict, IdempotencyConflict, InputInvalid, NotFound

from tests.core.billing.invoices.selling import JULY, JUNE
from tests.core.billing.subscriptions.shops import SubscriptionShop, amounts, edit
from tests.engines import key

_HALF = datetime(2025, 6, 16, tzinfo=UTC)
_AUGUST = datetime(2025, 8, 1, tzinfo=UTC)


async def test_a_creation_issues_the_first_invoice_and_waits_for_its_payment(
    shop: SubscriptionShop,
) -> None:
    made = await shop.create(await shop.seller.price(1_000), quantity=3)
    assert (made.status, made.access, made.version) == ("incomplete", "withheld", 1)
    assert (made.period_start, made.period_end, made.due_at) == (JUNE, JULY, None)
    (invoice,) = await shop.invoices()
    assert (invoice["total"], invoice["reason"], invoice["status"]) == (
        3_000,
        "subscription_create",
        "open",
    )
    await shop.pay()
    paid = await shop.read(made.id)
    assert (paid.status, paid.access, paid.due_at) == ("active", "granted", JULY)
    assert await shop.told("subscription.created", "subscription.activated") == [
        "subscription.created",
        "subscription.activated",
    ]


async def test_a_key_makes_one_subscription(shop: SubscriptionShop) -> None:
    request = await shop.wanted(await shop.seller.price())
    first = await shop.room.subscriptions.create(shop.context, request)
    again = await shop.room.subscriptions.create(shop.context, request)
    assert first == again
    assert len(await shop.invoices()) == 1
    other = await shop.wanted(await shop.seller.price(), idempotency_key=request.idempotency_key)
    with pytest.raises(IdempotencyConflict):
        await shop.room.subscriptions.create(shop.context, other)


async def test_a_trial_charges_nothing_until_it_ends(shop: SubscriptionShop) -> None:
    made = await shop.create(await shop.seller.price(1_000), trial_days=14)
    ends = datetime(2025, 6, 15, tzinfo=UTC)
    assert (made.status, made.access, made.trial_end) == ("trialing", "granted", ends)
    assert made.due_at == ends - timedelta(days=3)
    assert await shop.invoices() == []
    await shop.renew(ends - timedelta(days=3))
    assert await shop.told("subscription.trial_will_end") == ["subscription.trial_will_end"]
    assert (await shop.read(made.id)).due_at == ends
    await shop.renew(ends)
    began = await shop.read(made.id)
    assert (began.status, began.period_start, began.period_end) == (
        "active",
        ends,
        datetime(2025, 7, 15, tzinfo=UTC),
    )
    (invoice,) = await shop.invoices()
    assert (invoice["total"], invoice["period_start"]) == (1_000, "2025-06-15T00:00:00Z")


async def test_an_upgrade_waits_for_the_next_invoice(shop: SubscriptionShop) -> None:
    old, new = await shop.seller.price(1_000), await shop.seller.price(2_000)
    made = await shop.active(old)
    (item,) = await shop.items(made.id)
    shop.go_to(_HALF)
    changed = await shop.change(made.id, edit(item, price_id=new.id))
    assert changed.period_end == JULY
    assert len(await shop.invoices()) == 1
    await shop.renew(JULY)
    _, second = await shop.invoices()
    assert sorted(amounts(second)) == [-500, 1_000, 2_000]
    assert second["total"] == 2_500


async def test_always_invoice_charges_at_once(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    shop.go_to(_HALF)
    await shop.change(made.id, edit(item, quantity="4"), behavior="always_invoice")
    _, change = await shop.invoices()
    assert (change["reason"], amounts(change)) == ("subscription_update", [-500, 2_000])
    await shop.renew(JULY)
    assert [each["total"] for each in await shop.invoices()] == [1_000, 1_500, 4_000]


async def test_another_interval_begins_a_new_period(shop: SubscriptionShop) -> None:
    monthly = await shop.seller.price(10_000)
    yearly = await shop.seller.price(100_000, interval_unit="year")
    made = await shop.active(monthly)
    (item,) = await shop.items(made.id)
    shop.go_to(_HALF)
    changed = await shop.change(made.id, edit(item, price_id=yearly.id))
    assert (changed.period_start, changed.period_end) == (_HALF, _HALF.replace(year=2026))
    _, invoice = await shop.invoices()
    assert sorted(amounts(invoice)) == [-5_000, 100_000]


async def test_a_reset_gives_nothing_back(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(5_000))
    (item,) = await shop.items(made.id)
    new = await shop.seller.price(10_000)
    shop.go_to(_HALF)
    changed = await shop.change(made.id, edit(item, price_id=new.id), behavior="reset")
    assert changed.period_end == datetime(2025, 7, 16, tzinfo=UTC)
    assert amounts((await shop.invoices())[1]) == [10_000]


async def test_a_change_of_a_discount_is_inside_of_the_lines(shop: SubscriptionShop) -> None:
    old, new = await shop.seller.price(10_000), await shop.seller.price(100_000)
    quarter = await shop.coupon(percent_bps=2_500)
    half = await shop.coupon(percent_bps=5_000)
    made = await shop.active(old, coupons=(quarter.id,))
    (item,) = await shop.items(made.id)
    shop.go_to(_HALF)
    await shop.change(
        made.id, edit(item, price_id=new.id), coupons=(half.id,), behavior="always_invoice"
    )
    assert amounts((await shop.invoices())[1]) == [-3_750, 25_000]


async def test_a_coupon_of_one_period_is_gone_in_the_next(shop: SubscriptionShop) -> None:
    once = await shop.coupon(amount_off=300, currency="EUR", periods=1)
    await shop.active(await shop.seller.price(1_000), coupons=(once.id,))
    await shop.renew(JULY)
    assert [each["total"] for each in await shop.invoices()] == [700, 1_000]


async def test_an_end_now_gives_back_what_is_left(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    shop.go_to(_HALF)
    ended = await shop.cancel(made.id, when="now", prorate=True)
    assert (ended.status, ended.access, ended.due_at, ended.ended_at) == (
        "canceled",
        "ended",
        None,
        _HALF,
    )
    credit = (await shop.invoices())[1]
    assert (credit["total"], credit["amount_due"], credit["ending_credit_balance"]) == (
        -500,
        0,
        500,
    )
    with pytest.raises(Conflict):
        await shop.cancel(made.id, when="now")


async def test_an_end_with_the_period_can_be_undone(shop: SubscriptionShop) -> None:
    price = await shop.seller.price(1_000)
    kept, gone = await shop.active(price), await shop.active(price)
    for each in (kept, gone):
        assert (await shop.cancel(each.id)).cancel_at_period_end
    assert not (await shop.resume(kept.id)).cancel_at_period_end
    await shop.renew(JULY)
    assert (await shop.read(kept.id)).status == "active"
    over = await shop.read(gone.id)
    assert (over.status, over.access, over.ended_at) == ("canceled", "ended", JULY)
    assert len(await shop.invoices()) == 3


async def test_a_pause_stops_the_periods_until_it_is_resumed(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    await shop.pause(made.id)
    await shop.renew(JULY)
    assert (await shop.read(made.id)).status == "paused"
    at = datetime(2025, 7, 20, 10, tzinfo=UTC)
    shop.go_to(at)
    assert await shop.renew() == 0
    resumed = await shop.resume(made.id)
    assert (resumed.status, resumed.period_start, resumed.period_end) == (
        "active",
        at,
        datetime(2025, 8, 20, 10, tzinfo=UTC),
    )
    assert [each["total"] for each in await shop.invoices()] == [1_000, 1_000]


async def test_a_pause_now_and_a_resumption_at_one_instant_are_two_invoices(
    shop: SubscriptionShop,
) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    assert (await shop.pause(made.id, when="now")).status == "paused"
    assert (await shop.resume(made.id)).status == "active"
    assert [each["reason"] for each in await shop.invoices()] == [
        "subscription_create",
        "subscription_update",
    ]


async def test_a_start_in_the_past_is_caught_up_with(shop: SubscriptionShop) -> None:
    april = datetime(2025, 4, 1, tzinfo=UTC)
    made = await shop.active(await shop.seller.price(1_000), starts_at=april)
    await shop.renew()
    assert [each["period_start"] for each in await shop.invoices()] == [
        "2025-04-01T00:00:00Z",
        "2025-05-01T00:00:00Z",
        "2025-06-01T00:00:00Z",
    ]
    assert (await shop.read(made.id)).period_end == JULY


async def test_an_anchor_makes_a_part_of_a_period(shop: SubscriptionShop) -> None:
    anchor = datetime(2025, 6, 16, tzinfo=UTC)
    made = await shop.active(await shop.seller.price(3_100), anchor=anchor)
    assert made.period_end == anchor
    assert (await shop.invoices())[0]["total"] == 1_500  # 15 of the 31 days from 16 May on
    await shop.renew(anchor)
    assert (await shop.read(made.id)).period_end == datetime(2025, 7, 16, tzinfo=UTC)
    assert (await shop.invoices())[1]["total"] == 3_100


async def test_phases_follow_each_other(shop: SubscriptionShop) -> None:
    first, second = await shop.seller.price(100), await shop.seller.price(900)
    yearly = await shop.seller.price(9_000, interval_unit="year")
    phases = (
        WantedPhase(items=(WantedItem(price_id=first.id),), periods=2),
        WantedPhase(items=(WantedItem(price_id=second.id),), periods=1),
        WantedPhase(items=(WantedItem(price_id=yearly.id),), periods=1),
    )
    made = await shop.active(phases=phases)
    for at in (JULY, _AUGUST, datetime(2025, 9, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)):
        await shop.renew(at)
    assert [each["total"] for each in await shop.invoices()] == [100, 100, 900, 9_000]
    over = await shop.read(made.id)
    assert (over.status, over.ended_at) == ("canceled", datetime(2026, 9, 1, tzinfo=UTC))


async def test_a_jump_makes_every_step_at_its_own_instant(shop: SubscriptionShop) -> None:
    price, more = await shop.seller.price(1_000), await shop.seller.price(4_000)
    made = await shop.active(price)
    (item,) = await shop.items(made.id)
    at = datetime(2025, 7, 16, 12, tzinfo=UTC)
    await shop.schedule(made.id, at=at, items=(edit(item, price_id=more.id),))
    await shop.schedule(made.id, at=_AUGUST, kind="pause")
    await shop.renew(datetime(2025, 10, 1, tzinfo=UTC))
    # July at the old price; half of July waits, and the pause comes before August.
    assert [each["total"] for each in await shop.invoices()] == [1_000, 1_000]
    assert (await shop.read(made.id)).status == "paused"
    await shop.resume(made.id)
    assert sorted(amounts((await shop.invoices())[2])) == [-500, 2_000, 4_000]


async def test_a_change_at_a_boundary_comes_before_the_renewal(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    new = await shop.seller.price(2_000)
    await shop.schedule(made.id, items=(edit(item, price_id=new.id),))
    await shop.renew(JULY)
    assert [each["total"] for each in await shop.invoices()] == [1_000, 2_000]


async def test_a_change_that_is_withdrawn_is_not_made(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    await shop.schedule(made.id, kind="cancel")
    ((change,),) = (await shop.room.reader.changes_of(shop.context, [made.id])).values()
    request = WithdrawScheduledChange(idempotency_key=key(), scheduled_change_id=change.id)
    assert (await shop.room.subscriptions.withdraw(shop.context, request)).change_at is None
    again = WithdrawScheduledChange(idempotency_key=key(), scheduled_change_id=change.id)
    with pytest.raises(Conflict):
        await shop.room.subscriptions.withdraw(shop.context, again)
    await shop.renew(JULY)
    assert (await shop.read(made.id)).status == "active"


async def test_a_change_that_cannot_be_made_is_told_and_set_aside(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    await shop.schedule(made.id, items=(edit(item, quantity="2"),))
    new = await shop.seller.price(2_000)
    await shop.change(made.id, edit(item, price_id=new.id))
    await shop.renew(JULY)
    ((change,),) = (await shop.room.reader.changes_of(shop.context, [made.id])).values()
    assert (change.status, change.failure) == ("failed", "NOT_FOUND")
    assert await shop.told("subscription.change_failed") == ["subscription.change_failed"]
    assert (await shop.read(made.id)).period_start == JULY


async def test_a_boundary_that_was_missed_comes_before_a_change(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    shop.go_to(datetime(2025, 7, 16, 12, tzinfo=UTC))
    await shop.change(made.id, edit(item, quantity="2"), behavior="always_invoice")
    assert [each["total"] for each in await shop.invoices()] == [1_000, 1_000, 500]


async def test_what_cannot_be_is_refused_and_changes_nothing(shop: SubscriptionShop) -> None:
    price = await shop.seller.price(1_000)
    once = await shop.seller.price(100, interval_unit=None, interval_count=None)
    yearly = await shop.seller.price(100, interval_unit="year")
    made = await shop.active(price)
    (item,) = await shop.items(made.id)
    before = await shop.read(made.id)
    for refused, wrong in (
        (InputInvalid, shop.change(made.id, edit(item, remove=True))),
        (InputInvalid, shop.change(made.id, edit(price_id=yearly.id))),
        (InputInvalid, shop.change(made.id, edit(item, quantity="-1"))),
        (InputInvalid, shop.change(made.id, at=JULY)),
        (InputInvalid, shop.change(made.id, at=JUNE - timedelta(days=1))),
        (NotFound, shop.change(made.id, edit("sit_" + "0" * 26, quantity="1"))),
        (NotFound, shop.change(made.id, coupons=("cpn_" + "0" * 26,))),
        (Conflict, shop.change(made.id, expected_version=1)),
        (Conflict, shop.resume(made.id)),
        (InputInvalid, shop.cancel(made.id, prorate=True)),
        (InputInvalid, shop.schedule(made.id, at=JUNE)),
        (InputInvalid, shop.create(once)),
        (InputInvalid, shop.create(price, trial_days=0)),
        (InputInvalid, shop.create(price, time_zone="Mars/Olympus")),
        (NotFound, shop.create(price, customer_id="cus_" + "0" * 26)),
    ):
        with pytest.raises(refused):
            await wrong
    assert await shop.read(made.id) == before
    assert len(await shop.invoices()) == 1


async def test_what_is_charged_once_is_on_one_invoice(shop: SubscriptionShop) -> None:
    price = await shop.seller.price(1_000)
    once = await shop.seller.price(250, interval_unit=None, interval_count=None)
    await shop.active(price, once)
    later = await shop.active(price, once, trial_days=30)
    added = await shop.active(price)
    await shop.change(added.id, edit(price_id=once.id))
    await shop.renew(JULY)
    assert later.period_end == JULY
    assert sorted(each["total"] for each in await shop.invoices()) == [
        1_000,
        1_000,
        1_250,
        1_250,
        1_250,
    ]


async def test_a_key_ends_a_subscription_once(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    request = CancelSubscription(idempotency_key=key(), subscription_id=made.id, when="now")
    first = await shop.room.subscriptions.cancel(shop.context, request)
    assert await shop.room.subscriptions.cancel(shop.context, request) == first
