"""Is money that is not its owner's, or stands elsewhere than is said, named?"""

from __future__ import annotations

import pytest
from payengine.invariants import verify
from payengine.invariants.owners import unshared
from payengine.marketplace.meant import SplitInput

from tests.bazaar import Bazaar, escrow, platform, rest
from tests.core.marketplace.treasury.vendors import open_vendor
from tests.engines import Shop

_SHARES, _PLACES = "owners_have_their_shares", "held_money_is_where_it_is_said"


async def _sold(shop: Shop) -> Bazaar:
    """A sale with a refund, one in escrow and one of which a reserve is kept."""
    bazaar = Bazaar(shop)
    one = await bazaar.vendor()
    paid = await bazaar.sell(1_000, platform(percent_bps=1_000), rest(one))
    await bazaar.refund(paid, 300)
    await bazaar.sell(500, rest(one), escrow=escrow("manual"))
    await bazaar.sell(700, rest(await bazaar.vendor(reserve_bps=1_000, reserve_days=9)))
    # What has only just happened is not looked at: make it an hour ago.
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        await owner.execute("UPDATE operation SET updated_at = updated_at - interval '1 hour'")
    await shop.assert_sound()
    return bazaar


async def _found(shop: Shop, *statements: str) -> set[tuple[str, str]]:
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        for statement in statements:
            await owner.execute(statement)
    report = await verify(shop.engine, tenant_ids=[shop.context.tenant_id])
    return {(each.check, each.message) for each in report.broken}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "DELETE FROM split_step WHERE phase = 'refunded'",
            "its refund of 300 is shared to 0",
        ),
        (
            "UPDATE split_step SET amount_minor = 999 WHERE amount_minor = 1000",
            "its authorize of 1000 is shared to 999",
        ),
    ],
)
async def test_what_is_not_shared_is_named(shop: Shop, fault: str, message: str) -> None:
    await _sold(shop)
    assert (_SHARES, message) in await _found(shop, fault)


async def test_a_share_that_the_ledger_did_not_move_is_named(shop: Shop) -> None:
    await _sold(shop)
    found = await _found(shop, "UPDATE split_step SET moved = '[]' WHERE amount_minor = 300")
    assert found == {(_SHARES, "refunded moved 0, and the ledger 300")}


async def test_what_has_only_just_happened_is_given_its_time(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    await shop.pay(1_000, split=SplitInput(shares=(rest(await bazaar.vendor()),)))
    await shop.assert_sound()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("UPDATE reserve_hold SET released_at = created_at", "the rows say 0 EUR, the ledger 70"),
        ("UPDATE payment_part SET escrowed_minor = 499 WHERE escrowed_minor = 500", "499 EUR"),
    ],
)
async def test_what_is_held_elsewhere_than_said_is_named(
    shop: Shop, fault: str, message: str
) -> None:
    await _sold(shop)
    ((check, told),) = await _found(shop, fault)
    assert check == _PLACES
    assert message in told


async def test_a_payout_that_is_not_booked_is_named(shop: Shop) -> None:
    vendor = await open_vendor(shop)
    await vendor.pay_out(1_000)
    await vendor.pay_out(2_000)
    assert not [check for check, _ in await _found(shop) if check == _PLACES]
    found = await _found(shop, "UPDATE payout SET amount_minor = 2001 WHERE amount_minor = 2000")
    assert (_PLACES, "the rows say 3001 EUR, the ledger 3000") in found


async def test_nothing_is_named_of_another_shop(shop: Shop, other_shop: Shop) -> None:
    await _sold(shop)
    await _found(shop, "DELETE FROM split_step")
    await _sold(other_shop)
    async with shop.engine.database.tenant(other_shop.context.tenant_id) as session:
        at = other_shop.engine.clock.now(other_shop.context.tenant_id)
        assert await unshared(session, other_shop.context.tenant_id, before=at) == []
