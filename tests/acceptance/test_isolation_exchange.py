"""Rates, quotes, conversions and providers' files stay one tenant's, were the policies gone too.

Each test runs twice, as in `test_isolation_services`: as installed, and with a further policy on
every table that lets all rows through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.errors import NotFound, RateNotAvailable
from payengine.fx.models import (
    Conversion,
    ConvertBalance,
    CreateFxQuote,
    FxQuote,
    PushedRate,
    PushRates,
    SetFxSettings,
)
from payengine.ledger.history import TransferFilter
from payengine.payments import Payment
from payengine.settlements import (
    AssignSettlementItem,
    SettlementFile,
    SettlementFilter,
    SettlementItem,
    SettleSettlementItem,
)

from tests.core.settlements.test_service import Row, take
from tests.engines import Shop, Till, key


@dataclass
class World:
    """One tenant with a rate of its own, a quote, a conversion and a file that left work."""

    shop: Shop
    payment: Payment
    quote: FxQuote
    conversion: Conversion
    file: SettlementFile
    item: SettlementItem

    @property
    def line(self) -> str:
        """The line that left the work."""
        assert self.item.line_id is not None
        return self.item.line_id


async def _world(till: Till, *, rate: str = "1.25") -> World:
    shop = await till.shop()
    exchange, context = shop.engine.exchange, shop.context
    day = datetime.now(UTC).date()
    told = PushedRate(day=day, currency="USD", rate=rate)
    await exchange.push_rates(context, PushRates(idempotency_key=key(), base="EUR", rates=(told,)))
    await exchange.set_settings(context, SetFxSettings(idempotency_key=key(), markup_bps=100))
    paid = await shop.pay(10_000)
    quote = await exchange.create_quote(
        context,
        CreateFxQuote(
            idempotency_key=key(), source_minor=100, source_currency="EUR", target_currency="USD"
        ),
    )
    made = await exchange.convert(
        context,
        ConvertBalance(
            idempotency_key=key(), source_minor=200, source_currency="EUR", target_currency="USD"
        ),
    )
    assert paid.operation is not None
    file = await take(shop, Row(key(), "capture", paid.operation.id, 9_999))
    items = await shop.engine.settlements.items(
        context, SettlementFilter(finding="amount_differs"), first=5
    )
    return World(shop, paid.payment, quote, made, file, items[0])


def _reads(mine: World, theirs: World) -> dict[str, Awaitable[Any]]:
    """Every read that takes an id."""
    exchange, settlements = mine.shop.engine.exchange, mine.shop.engine.settlements
    ledger, context = mine.shop.engine.ledger, mine.shop.context
    return {
        "quotes": exchange.quotes_by_id(context, [theirs.quote.id]),
        "conversions": exchange.conversions_by_id(context, [theirs.conversion.id]),
        "files": settlements.files_by_id(context, [theirs.file.id]),
        "lines": settlements.lines(context, theirs.file.id, first=5),
        "lines by id": settlements.lines_by_id(context, [theirs.line]),
        "lines of payments": settlements.lines_of_payments(context, [theirs.payment.id]),
        "items": settlements.items_by_id(context, [theirs.item.id]),
        "items of a file": settlements.items(
            context, SettlementFilter(file_id=theirs.file.id), first=5
        ),
        "transfers": ledger.transfers_of(context, theirs.payment.id),
    }


async def test_another_tenants_ids_read_nothing(apart_till: Till, layer: str) -> None:
    mine, theirs = await _world(apart_till), await _world(apart_till)
    for name, read in _reads(mine, theirs).items():
        assert not await read, name
    for name, read in _reads(theirs, theirs).items():
        assert await read, name


async def test_lists_rates_and_sums_are_ones_own_alone(apart_till: Till, layer: str) -> None:
    mine, theirs = await _world(apart_till), await _world(apart_till, rate="2")
    exchange, settlements = mine.shop.engine.exchange, mine.shop.engine.settlements
    ledger, context = mine.shop.engine.ledger, mine.shop.context
    assert [each.id for each in await exchange.quotes(context, first=50)] == [mine.quote.id]
    assert [each.id for each in await exchange.conversions(context, first=50)] == [
        mine.conversion.id
    ]
    assert [each.rate for each in await exchange.book.page(context, first=50)] == ["1.25"]
    assert (await exchange.settings(context)).markup_bps == 100
    assert [each.id for each in await settlements.files(context, first=50)] == [mine.file.id]
    open_items = await settlements.items(context, SettlementFilter(), first=50)
    assert {each.file_id for each in open_items} == {mine.file.id}
    now = datetime.now(UTC)
    for balances in (await ledger.balances(context), await ledger.balances(context, at=now)):
        main = {
            each.currency: each.balance
            for each in balances
            if each.account == "merchant_payable:main"
        }
        assert main["EUR"] == 10_000 - 200
    since = TransferFilter(since=now - timedelta(days=1), until=now + timedelta(days=1))
    own = await ledger.transfers(context, since, first=100)
    assert not {each.transaction_id for each in own} & {
        each.transaction_id
        for each in await ledger.transfers(theirs.shop.context, since, first=100)
    }
    bare = await apart_till.shop()
    with pytest.raises(RateNotAvailable):
        await exchange.rate(bare.context, source="EUR", target="USD")


async def test_nothing_is_done_to_another_tenants_rows(apart_till: Till, layer: str) -> None:
    mine, theirs = await _world(apart_till), await _world(apart_till)
    exchange, settlements = mine.shop.engine.exchange, mine.shop.engine.settlements
    context = mine.shop.context
    tries: dict[str, Callable[[], Awaitable[Any]]] = {
        "convert": lambda: exchange.convert(
            context, ConvertBalance(idempotency_key=key(), quote_id=theirs.quote.id)
        ),
        "convert a payment": lambda: exchange.convert(
            context,
            ConvertBalance(
                idempotency_key=key(),
                source_minor=1,
                source_currency="EUR",
                target_currency="USD",
                payment_id=theirs.payment.id,
            ),
        ),
        "assign": lambda: settlements.assign(
            context,
            AssignSettlementItem(
                idempotency_key=key(), item_id=theirs.item.id, person="Mallory", assigned_to="me"
            ),
        ),
        "settle": lambda: settlements.settle(
            context,
            SettleSettlementItem(
                idempotency_key=key(), item_id=theirs.item.id, person="Mallory", reason="mine"
            ),
        ),
    }
    for attempt in tries.values():
        with pytest.raises(NotFound):
            await attempt()
    found = await settlements.items_by_id(theirs.shop.context, [theirs.item.id])
    assert found[theirs.item.id] == theirs.item
    (quote,) = (await exchange.quotes_by_id(theirs.shop.context, [theirs.quote.id])).values()
    assert quote.used_at is None
