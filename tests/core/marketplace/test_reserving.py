"""Does a reserve return on its day, and exactly what was kept?"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.bazaar import Bazaar, escrow, platform, rest
from tests.engines import Shop

_DAY = timedelta(days=1)


async def test_a_reserve_is_kept_of_each_sale_and_returns(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one = await bazaar.vendor(reserve_bps=1_000, reserve_days=90)
    await bazaar.sell(12_345, rest(one))
    standing = await bazaar.standing(one)
    assert (standing.available_minor, standing.reserved_minor) == (11_110, 1_235)
    for days, reserved in ((89, 1_235), (91, 0)):
        with shop.till.clock.later(days * _DAY) as then:
            await asyncio.gather(*(bazaar.room.reserves.run_once(at=then) for _ in range(3)))
        assert (await bazaar.standing(one)).reserved_minor == reserved
    assert await bazaar.available(one) == 12_345
    assert (await bazaar.events())["reserve.released"] == 1
    (held,) = await bazaar.room.reserves.page(shop.context, one.id, first=5)
    assert (held.amount_minor, held.released_at is not None) == (1_235, True)
    await shop.assert_sound()


async def test_what_comes_out_of_escrow_bears_its_reserve_then(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one = await bazaar.vendor(reserve_bps=5_000, reserve_days=30)
    paid = await bazaar.sell(1_000, platform(percent_bps=1_000), rest(one), escrow=escrow("manual"))
    assert (await bazaar.standing(one)).reserved_minor == 0
    await bazaar.release(paid)
    standing = await bazaar.standing(one)
    assert (standing.available_minor, standing.reserved_minor) == (450, 450)


async def test_a_refund_takes_of_what_is_pending_first(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one = await bazaar.vendor(delay_days=7)
    paid = await bazaar.sell(1_000, rest(one))
    await bazaar.refund(paid, 400)
    standing = await bazaar.standing(one)
    assert (standing.available_minor, standing.pending_minor) == (0, 600)
    with shop.till.clock.later(8 * _DAY):
        standing = await bazaar.standing(one)
    assert (standing.available_minor, standing.pending_minor) == (600, 0)
