"""Do lists show what was asked for, newest first, and one tenant's alone?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from payengine.errors import PermissionDenied
from payengine.ids import new_id
from payengine.payments import PaymentFilter

from tests.engines import Shop


async def _three(shop: Shop) -> list[str]:
    """Three payments, oldest first: captured euros, held euros, declined yen."""
    made = []
    for token, given in (
        ("tok_visa", {}),
        ("tok_visa", {"capture_method": "MANUAL"}),
        ("tok_decline_lost_card", {"currency": "JPY"}),
    ):
        made.append((await shop.pay(1_000, token, **given)).payment.id)
        await asyncio.sleep(0.002)  # ids are ordered by the millisecond
    return made


async def test_pages_are_newest_first_and_tell_of_one_more(shop: Shop) -> None:
    made = await _three(shop)
    page = await shop.engine.payments.page(shop.context, PaymentFilter(), first=1)
    assert [each.id for each in page] == [made[2], made[1]]
    page = await shop.engine.payments.page(shop.context, PaymentFilter(), first=2, after=made[2])
    assert [each.id for each in page] == [made[1], made[0]]


async def test_filters_narrow_the_list(shop: Shop, other_shop: Shop) -> None:
    captured, held, declined = await _three(shop)
    await _three(other_shop)
    instant = (await shop.payment(held)).created_at
    for wanted, expected in (
        (PaymentFilter(statuses=("CAPTURED",)), [captured]),
        (PaymentFilter(statuses=("AUTHORIZED", "DECLINED")), [declined, held]),
        (PaymentFilter(currency="JPY"), [declined]),
        (PaymentFilter(customer_id=new_id("cus")), []),
        (PaymentFilter(created_from=instant), [declined, held]),
        (PaymentFilter(created_until=instant), [captured]),
        (PaymentFilter(created_from=instant + timedelta(days=1)), []),
    ):
        page = await shop.engine.payments.page(shop.context, wanted, first=10)
        assert [each.id for each in page] == expected, wanted


async def test_batches_answer_for_what_exists(shop: Shop, other_shop: Shop) -> None:
    captured, held, _ = await _three(shop)
    theirs = (await other_shop.pay()).payment.id
    ids = [captured, held, theirs, new_id("pay")]
    payments = shop.engine.payments
    assert set(await payments.get_many(shop.context, ids)) == {captured, held}
    assert set(await payments.operations_of(shop.context, ids)) == {captured, held}
    assert set(await payments.attempts_of(shop.context, ids)) == {captured, held}
    (operation,) = await shop.operations(captured)
    found = await payments.operations_by_id(shop.context, [operation.id, new_id("op")])
    assert found == {operation.id: operation}
    assert await payments.operations_by_id(other_shop.context, [operation.id]) == {}
    assert await payments.evidence_of(other_shop.context, [operation.id]) == {}


async def test_reading_needs_its_scope(shop: Shop) -> None:
    blind = replace(shop.context, scopes=frozenset({"payments:write"}))
    with pytest.raises(PermissionDenied):
        await shop.engine.payments.get_many(blind, [])
