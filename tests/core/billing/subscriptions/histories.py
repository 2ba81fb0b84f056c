"""A subscription's life at random: each act is previewed, then done, and the two are compared."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from payengine.billing.invoicing import invoice_hash
from payengine.billing.models import CatalogPrice, Meter
from payengine.billing.subscriptions.models import (
    CancelSubscription,
    ChangeSubscription,
    ItemEdit,
    PauseSubscription,
    ResumeSubscription,
    Subscription,
    WantedItem,
)
from payengine.billing.subscriptions.previews import Preview
from payengine.errors import PayengineError

from tests.core.billing.subscriptions.shops import SubscriptionShop
from tests.engines import key

__all__ = ["Shelf", "live", "stock"]

_ZONES = ("UTC", "America/New_York", "Asia/Tokyo", "Europe/Berlin")


@dataclass(frozen=True)
class Shelf:
    """What the shop has: prices of several kinds, and coupons."""

    prices: tuple[CatalogPrice, ...]
    metered: CatalogPrice
    meter: Meter
    once: CatalogPrice
    coupons: tuple[str, ...]


async def stock(shop: SubscriptionShop) -> Shelf:
    """Make the catalogue that all histories share."""
    meter = await shop.seller.meter()
    tiers = [{"up_to": "5", "unit_amount": "333.3"}, {"unit_amount": "211.1"}]
    return Shelf(
        prices=(
            await shop.seller.price(1_999),
            await shop.seller.price(777),
            await shop.seller.price(model={"model": "graduated", "tiers": tiers}),
            await shop.seller.price(10_007, interval_unit="year"),
        ),
        metered=await shop.seller.price(13, meter_id=meter.id),
        meter=meter,
        once=await shop.seller.price(450, interval_unit=None, interval_count=None),
        coupons=(
            (await shop.coupon(percent_bps=3_333)).id,
            (await shop.coupon(percent_bps=1_250, periods=2)).id,
            (await shop.coupon(amount_off=250, currency="EUR", periods=1)).id,
        ),
    )


async def live(shop: SubscriptionShop, shelf: Shelf, seed: int) -> int:
    """Live one history; how many invoices were compared with their previews."""
    dice = random.Random(seed)
    compared = 0
    made, more = await _create(shop, shelf, dice)
    compared += more
    for _ in range(dice.randint(1, 4)):
        await _settle(shop, made.customer_id)
        now = await shop.read(made.id)
        if now.status == "canceled":
            break
        if dice.random() < 0.3 and now.status in ("active", "trialing"):
            told = await shop.seller.use(
                shelf.meter, made.customer_id, str(dice.randint(1, 50)), shop.now
            )
            assert told == "accepted"
        if dice.random() < 0.4:
            compared += await _wait_for_the_next(shop, made.id)
            continue
        shop.go_to(_later(dice, now, shop.now))
        await shop.renew()
        now = await shop.read(made.id)
        await _settle(shop, made.customer_id)
        compared += await _act(shop, shelf, dice, now)
    if (await shop.read(made.id)).status != "canceled":
        await shop.cancel(made.id, when="now")
    return compared


async def _create(
    shop: SubscriptionShop, shelf: Shelf, dice: random.Random
) -> tuple[Subscription, int]:
    prices = [dice.choice(shelf.prices[:3])]
    prices += [shelf.metered] if dice.random() < 0.3 else []
    prices += [shelf.once] if dice.random() < 0.2 else []
    given: dict[str, Any] = {
        "time_zone": dice.choice(_ZONES),
        "proration_mode": dice.choice(("second", "day")),
        "coupons": tuple(dice.sample(shelf.coupons, dice.randint(0, 2))),
    }
    match dice.randint(0, 4):
        case 0:
            given["trial_days"] = dice.randint(1, 20)
        case 1:
            given["anchor"] = shop.now + timedelta(
                days=dice.randint(1, 25), seconds=dice.randint(0, 99)
            )
        case 2:
            given["starts_at"] = shop.now - timedelta(days=dice.randint(1, 20))
    request = await shop.wanted(*prices, quantity=dice.randint(1, 9), **given)
    preview = await shop.room.previews.creation(shop.context, request)
    made = await shop.room.subscriptions.create(shop.context, request)
    await _compare(shop, made.customer_id, preview, before=0)
    return made, int(preview.invoice is not None)


async def _act(shop: SubscriptionShop, shelf: Shelf, dice: random.Random, now: Subscription) -> int:
    request, do = await _request(shop, shelf, dice, now)
    before = len(await _hashes(shop, now.customer_id))
    try:
        preview = await shop.room.previews.change(shop.context, request)
    except PayengineError as refused:
        with pytest.raises(type(refused)):
            await do()
        return 0
    await do()
    await _compare(shop, now.customer_id, preview, before=before)
    after = await shop.room.previews.upcoming(shop.context, now.id)
    assert after.upcoming == preview.upcoming, request
    return int(preview.invoice is not None)


async def _request(
    shop: SubscriptionShop, shelf: Shelf, dice: random.Random, now: Subscription
) -> tuple[Any, Callable[[], Awaitable[Subscription]]]:
    service = shop.room.subscriptions
    words: dict[str, Any] = {"idempotency_key": key(), "subscription_id": now.id}
    if now.status == "paused":
        resumed = ResumeSubscription(**words)
        return resumed, lambda: service.resume(shop.context, resumed)
    when = dice.choice(("now", "period_end"))
    words_when: dict[str, Any] = {"when": when, "prorate": when == "now" and now.status == "active"}
    match dice.randint(0, 9):
        case 0:
            ended = CancelSubscription(**words, **words_when)
            return ended, lambda: service.cancel(shop.context, ended)
        case 1 | 2:
            paused = PauseSubscription(**words, **words_when)
            return paused, lambda: service.pause(shop.context, paused)
    changed = ChangeSubscription(
        **words,
        items=tuple(await _edits(shop, shelf, dice, now)),
        behavior=dice.choice(("create_prorations", "always_invoice", "none", "reset")),
        coupons=tuple(dice.sample(shelf.coupons, dice.randint(0, 2)))
        if dice.random() < 0.4
        else None,
    )
    return changed, lambda: service.change(shop.context, changed)


async def _edits(
    shop: SubscriptionShop, shelf: Shelf, dice: random.Random, now: Subscription
) -> list[ItemEdit]:
    rows = (await shop.room.reader.items_of(shop.context, [now.id]))[now.id]
    plain = [row for row in rows if row.price_id in {each.id for each in shelf.prices}]
    edits = []
    for row in plain:
        quantity = Decimal(dice.randint(1, 9))
        price = dice.choice(shelf.prices) if dice.random() < 0.6 else None
        edits.append(
            ItemEdit(item_id=row.id, quantity=quantity, price_id=price.id if price else None)
        )
    if dice.random() < 0.3:
        wanted = WantedItem(price_id=dice.choice((*shelf.prices[:3], shelf.once)).id)
        edits.append(ItemEdit(price_id=wanted.price_id, quantity=wanted.quantity))
    return edits


async def _wait_for_the_next(shop: SubscriptionShop, name: str) -> int:
    """The next invoice that time brings is the one that was foretold."""
    foretold = await shop.room.previews.upcoming(shop.context, name)
    if foretold.upcoming is None or foretold.upcoming_at is None:
        return 0
    customer_id = foretold.subscription.customer_id
    before = len(await _hashes(shop, customer_id))
    await shop.renew(max(foretold.upcoming_at, shop.now))
    hashes = await _hashes(shop, customer_id)
    assert hashes[before] == foretold.upcoming_hash, (foretold, name)
    return 1


async def _compare(
    shop: SubscriptionShop, customer_id: str, preview: Preview, *, before: int
) -> None:
    """What was issued is what was shown: the same bytes, or nothing."""
    new = (await _hashes(shop, customer_id))[before:]
    shown = [] if preview.invoice is None else [invoice_hash(preview.invoice)]
    assert new == shown, preview


async def _hashes(shop: SubscriptionShop, customer_id: str) -> list[str]:
    rows = await shop.seller.rows(
        "SELECT hash FROM invoice WHERE tenant_id = $1 AND customer_id = $2 ORDER BY number",
        customer_id,
    )
    return [row["hash"] for row in rows]


async def _settle(shop: SubscriptionShop, customer_id: str) -> None:
    await shop.pay(customer_id)
    await shop.renew()
    await shop.pay(customer_id)


def _later(dice: random.Random, now: Subscription, at: datetime) -> datetime:
    """Some time within the period, or soon after it."""
    left = max(now.period_end - at, timedelta(hours=1))
    return at + left * dice.choice((0, 1, 25, 50, 99, 100, 120)) // 100
