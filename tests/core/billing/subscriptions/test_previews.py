"""Is a preview, byte for byte, the invoice that follows?"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from payengine.billing.subscriptions.models import ResumeSubscription
from payengine.errors import Conflict, NotFound
from payengine.storage import Database
from payengine.vault import Vault

from tests.conftest import make_tenant
from tests.core.billing.invoices.selling import JULY
from tests.core.billing.subscriptions.histories import live, stock
from tests.core.billing.subscriptions.shops import SubscriptionShop, edit, subscription_shop
from tests.engines import key

#: Nightly ten thousand; the seeds of the suite are the first of them.
_HISTORIES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 60
_OF_ONE_SHOP = 250


async def test_previews_of_random_histories_are_the_invoices_that_follow(
    database: Database, vault: Vault
) -> None:
    start = datetime(2025, 1, 31, 13, 7, 11, tzinfo=UTC)
    compared = 0
    for seed in range(_HISTORIES):
        if seed % _OF_ONE_SHOP == 0:
            context = await make_tenant(database)
            shop = subscription_shop(database, vault, context, at=start)
            shelf = await stock(shop)
        try:
            compared += await live(shop, shelf, seed)
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise
    assert compared > _HISTORIES


async def test_a_preview_writes_nothing(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    request = shop.changing(made.id, edit(item, quantity="3"), behavior="always_invoice")
    preview = await shop.room.previews.change(shop.context, request)
    assert preview.invoice is not None
    assert preview.invoice.total == 2_000
    assert [line.amount for line in preview.lines] == [-1_000, 3_000]
    assert preview.upcoming is not None
    assert preview.upcoming.total == 3_000
    assert preview.upcoming_at == JULY
    wanted = await shop.wanted(await shop.seller.price(500))
    assert (await shop.room.previews.creation(shop.context, wanted)).invoice is not None
    assert await shop.read(made.id) == made
    assert len(await shop.invoices()) == 1


async def test_a_preview_refuses_what_the_mutation_does(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    request = ResumeSubscription(idempotency_key=key(), subscription_id=made.id)
    with pytest.raises(Conflict):
        await shop.room.previews.change(shop.context, request)
    wanted = await shop.wanted(await shop.seller.price(500), customer_id="cus_" + "0" * 26)
    with pytest.raises(NotFound):
        await shop.room.previews.creation(shop.context, wanted)


async def test_what_is_scheduled_is_part_of_what_comes(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    await shop.schedule(made.id, items=(edit(item, quantity="5"),))
    foretold = await shop.room.previews.upcoming(shop.context, made.id)
    assert foretold.upcoming is not None
    assert foretold.upcoming.total == 5_000
    await shop.renew(JULY)
    assert (await shop.invoices())[1]["hash"] == foretold.upcoming_hash


async def test_a_preview_at_an_instant_holds_when_it_is_done_later(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    shop.go_to(datetime(2025, 6, 11, tzinfo=UTC))
    request = shop.changing(made.id, edit(item, quantity="2"), behavior="always_invoice")
    preview = await shop.room.previews.change(shop.context, request)
    shop.go_to(datetime(2025, 6, 11, 0, 5, tzinfo=UTC))
    await shop.change(made.id, edit(item, quantity="2"), behavior="always_invoice", at=preview.at)
    assert (await shop.invoices())[1]["hash"] == preview.hash
