"""Does a transfer take what is there and available, and never more?"""

from __future__ import annotations

import asyncio
import os

import pytest
from payengine.errors import InputInvalid, InsufficientAvailableBalance, NotFound
from payengine.ids import new_id
from payengine.marketplace.transferring import AccountTransfer, CreateAccountTransfer

from tests.bazaar import Bazaar, platform, rest
from tests.engines import Shop, key

_RACES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 200
_AT_ONCE = 8


async def _move(bazaar: Bazaar, minor: int, **ends: str | None) -> AccountTransfer:
    return await bazaar.room.transfers.create(
        bazaar.shop.context,
        CreateAccountTransfer(idempotency_key=key(), amount_minor=minor, currency="EUR", **ends),
    )


async def test_money_goes_from_one_owner_to_another(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one, two = await bazaar.vendor(), await bazaar.vendor()
    await bazaar.sell(1_000, platform(amount_minor=100), rest(one))
    await _move(bazaar, 400, source_id=one.id, target_id=two.id)
    await _move(bazaar, 50, target_id=two.id)
    await _move(bazaar, 10, source_id=two.id)
    assert await bazaar.owned() == {
        f"vendor_payable:{one.id}": 500,
        f"vendor_payable:{two.id}": 440,
        "platform_fee_revenue": 60,
    }
    await shop.assert_sound()


async def test_what_is_not_there_or_not_available_does_not_move(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one, two = await bazaar.vendor(delay_days=7), await bazaar.vendor()
    await bazaar.sell(1_000, rest(one))
    for minor in (1, 1_001):
        with pytest.raises(InsufficientAvailableBalance):
            await _move(bazaar, minor, source_id=one.id, target_id=two.id)
    with pytest.raises(InputInvalid):
        await _move(bazaar, 1, source_id=one.id, target_id=one.id)
    with pytest.raises(NotFound):
        await _move(bazaar, 1, source_id=one.id, target_id=new_id("acc"))
    assert await bazaar.owned() == {f"vendor_payable:{one.id}": 1_000}


async def test_races_never_overspend(shop: Shop) -> None:
    bazaar = Bazaar(shop)
    one, two = await bazaar.vendor(), await bazaar.vendor()
    for _ in range(_RACES // _AT_ONCE // 5):
        await bazaar.sell(1_000, rest(one))
        for _ in range(5):
            had = await bazaar.available(one)
            results = await asyncio.gather(
                *(_move(bazaar, 300, source_id=one.id, target_id=two.id) for _ in range(_AT_ONCE)),
                return_exceptions=True,
            )
            moved = sum(isinstance(each, AccountTransfer) for each in results)
            assert moved == min(had // 300, _AT_ONCE)
            assert await bazaar.available(one) == had - 300 * moved >= 0
    await shop.assert_sound()
