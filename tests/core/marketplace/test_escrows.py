"""Is what is in escrow released when it is due, to whom it belongs, and never twice?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payengine.errors import (
    AmountNotPositive,
    InputInvalid,
    InsufficientAvailableBalance,
    TransitionRefused,
)
from payengine.marketplace.meant import SplitInput

from tests.bazaar import Bazaar, escrow, platform, rest
from tests.core.payments.disputing import Court, report
from tests.engines import Shop, key

_DAY = timedelta(days=1)


@pytest.fixture
def bazaar(shop: Shop) -> Bazaar:
    """A fresh platform."""
    return Bazaar(shop)


async def _later(bazaar: Bazaar, by: timedelta) -> None:
    """What is due by then is released."""
    with bazaar.shop.till.clock.later(by) as then:
        await bazaar.share()
        await bazaar.room.escrows.run_once(at=then)


async def test_delivery_and_its_inspection_release_everything(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    terms = escrow("delivered", inspection_days=3, timeout_days=30)
    paid = await bazaar.sell(1_000, platform(percent_bps=1_000), rest(one), escrow=terms)
    held = await bazaar.escrow(paid)
    assert (held.status, held.held_minor) == ("held", 1_000)
    assert await bazaar.owned() == {f"escrow:{held.id}": 1_000}
    assert (await bazaar.standing(one)).in_escrow_minor == 900
    await bazaar.deliver(paid)
    await _later(bazaar, 2 * _DAY)
    assert (await bazaar.escrow(paid)).status == "held"
    await _later(bazaar, 4 * _DAY)
    assert (await bazaar.escrow(paid)).status == "released"
    assert await bazaar.owned() == {f"vendor_payable:{one.id}": 900, "platform_fee_revenue": 100}
    await bazaar.shop.assert_sound()


async def test_the_timeout_releases_what_nobody_asked_about(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    terms = escrow("delivered", "manual", timeout_days=5)
    paid = await bazaar.sell(1_000, rest(one), escrow=terms)
    await _later(bazaar, 4 * _DAY)
    assert await bazaar.available(one) == 0
    await _later(bazaar, 6 * _DAY)
    assert (await bazaar.escrow(paid)).status == "released"
    assert await bazaar.available(one) == 1_000


async def test_a_person_releases_by_parts_and_no_more_than_is_there(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, platform(percent_bps=1_000), rest(one), escrow=escrow("manual"))
    part = await bazaar.release(paid, 400, reason="half of it came")
    assert (part.status, part.held_minor, part.released_minor) == ("held", 600, 400)
    assert await bazaar.available(one) == 360
    with pytest.raises(InsufficientAvailableBalance):
        await bazaar.release(paid, 601)
    with pytest.raises(AmountNotPositive):
        await bazaar.release(paid, 0)
    assert (await bazaar.release(paid)).status == "released"
    with pytest.raises(TransitionRefused):
        await bazaar.release(paid)
    releases = await bazaar.room.escrows.releases_of(bazaar.shop.context, [part.id])
    assert [(each.amount_minor, each.actor) for each in releases[part.id]] == [
        (400, "test"),
        (600, "test"),
    ]
    await bazaar.shop.assert_sound()


async def test_releases_at_once_never_take_more_than_was_held(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, rest(one), escrow=escrow("manual"))
    results = await asyncio.gather(
        *(bazaar.release(paid, 300) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(each, BaseException) for each in results) == 7
    assert await bazaar.available(one) == 900
    assert (await bazaar.escrow(paid)).held_minor == 100


async def test_the_same_key_releases_once(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, rest(one), escrow=escrow("manual"))
    again = key()
    await asyncio.gather(*(bazaar.release(paid, 300, idempotency_key=again) for _ in range(5)))
    assert await bazaar.available(one) == 300


async def test_milestones_pay_what_was_agreed(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    terms = escrow("milestone", milestones_bps=(3_333, 3_333, 3_334))
    paid = await bazaar.sell(100, rest(one), escrow=terms)
    assert (await bazaar.accept(paid, 1)).released_minor == 33
    with pytest.raises(TransitionRefused):
        await bazaar.accept(paid, 1)
    with pytest.raises(InputInvalid):
        await bazaar.accept(paid, 3)
    with pytest.raises(TransitionRefused):
        await bazaar.release(paid)
    await bazaar.accept(paid, 0)
    assert (await bazaar.accept(paid, 2)).status == "released"
    assert await bazaar.available(one) == 100


async def test_a_dispute_keeps_everything_where_it_is(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    court = Court(bazaar.shop)
    split = SplitInput(shares=(platform(percent_bps=1_000), rest(one)), escrow=escrow("manual"))
    paid, sent = await court.charge(1_000, split=split)
    await bazaar.share()
    await court.hear(report(sent, amount=400, fee_minor=0, at=datetime.now(UTC)))
    with pytest.raises(TransitionRefused):
        await bazaar.release(paid)
    await bazaar.share()
    frozen = await bazaar.escrow(paid)
    assert (frozen.is_frozen, frozen.held_minor, frozen.due_at) == (True, 600, None)
    await court.hear(report(sent, "won", amount=400, fee_minor=0, at=datetime.now(UTC)))
    await bazaar.share()
    thawed = await bazaar.escrow(paid)
    assert (thawed.is_frozen, thawed.held_minor) == (False, 1_000)
    assert (await bazaar.release(paid)).status == "released"
    assert await bazaar.available(one) == 900
    told = await bazaar.events()
    assert (told["escrow.frozen"], told["escrow.thawed"]) == (1, 1)
    await bazaar.shop.assert_sound()


async def test_a_refund_takes_of_what_is_held_first(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, platform(percent_bps=1_000), rest(one), escrow=escrow("manual"))
    await bazaar.release(paid, 500)
    await bazaar.refund(paid, 300)
    assert (await bazaar.escrow(paid)).held_minor == 200
    assert await bazaar.available(one) == 450
    await bazaar.refund(paid)
    assert (await bazaar.escrow(paid)).held_minor == 0
    assert await bazaar.owned() == {}
    await bazaar.shop.assert_sound()


async def test_a_refund_before_release_touches_no_vendor(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(10_000, rest(one), escrow=escrow("manual"))
    await bazaar.refund(paid, 4_000)
    assert (await bazaar.escrow(paid)).held_minor == 6_000
    assert await bazaar.available(one) == 0
    await bazaar.refund(paid)
    assert (await bazaar.escrow(paid)).status == "refunded"


async def test_terms_under_which_nothing_could_be_released_are_refused(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    for terms in (
        escrow(),
        escrow("delivered", inspection_days=-1),
        escrow("manual", milestones_bps=(10_000,)),
        escrow("milestone", milestones_bps=(9_000,)),
        escrow("manual", "manual"),
    ):
        with pytest.raises(InputInvalid):
            await bazaar.sell(1_000, rest(one), escrow=terms)


async def test_a_delivery_is_told_once_and_only_where_it_counts(bazaar: Bazaar) -> None:
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, rest(one), escrow=escrow("delivered"))
    with pytest.raises(InputInvalid):
        await bazaar.deliver(paid, delivered_at=datetime.now(UTC) + _DAY)
    await bazaar.deliver(paid)
    with pytest.raises(TransitionRefused):
        await bazaar.deliver(paid)
    other = await bazaar.sell(1_000, rest(one), escrow=escrow("manual"))
    with pytest.raises(TransitionRefused):
        await bazaar.deliver(other)
    held = await bazaar.sell(1_000, rest(one), escrow=escrow("delivered"), capture_method="MANUAL")
    with pytest.raises(TransitionRefused):
        await bazaar.deliver(held)
