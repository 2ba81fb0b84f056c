"""Are rates, quotes and conversions kept and booked as they were promised?"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from payengine.errors import (
    AmountTooSmall,
    CurrencyMismatch,
    FxQuoteExpired,
    FxQuoteUsed,
    IdempotencyConflict,
    InputInvalid,
    InsufficientAvailableBalance,
    NotFound,
    RateNotAvailable,
    TransitionRefused,
    UnknownCurrency,
)
from payengine.fx.models import (
    Conversion,
    ConvertBalance,
    CreateFxQuote,
    PushedRate,
    PushRates,
    SetFxSettings,
)

from tests.engines import Shop, key


def _today() -> date:
    return datetime.now(UTC).date()


async def push(shop: Shop, *, day: date | None = None, base: str = "EUR", **rates: str) -> int:
    """Push rates of a day; how many were new."""
    told = tuple(
        PushedRate(day=day or _today(), currency=code, rate=text) for code, text in rates.items()
    )
    request = PushRates(idempotency_key=key(), base=base, rates=told)
    return await shop.engine.exchange.push_rates(shop.context, request)


async def quoted(shop: Shop, amount: int = 10_000, **given: Any) -> Any:
    """A quote of EUR for USD."""
    fields = {"source_currency": "EUR", "target_currency": "USD"} | given
    request = CreateFxQuote(idempotency_key=key(), source_minor=amount, **fields)
    return await shop.engine.exchange.create_quote(shop.context, request)


async def convert(shop: Shop, **given: Any) -> Conversion:
    """Exchange what the merchant has."""
    request = ConvertBalance(idempotency_key=key(), **given)
    return await shop.engine.exchange.convert(shop.context, request)


async def stands(shop: Shop) -> dict[str, int]:
    """The balances that are not zero, by account and currency."""
    found = await shop.engine.ledger.balances(shop.context)
    return {f"{each.account}/{each.currency}": each.balance for each in found if each.balance}


async def test_the_last_word_for_a_day_holds_and_every_word_is_kept(shop: Shop) -> None:
    assert await push(shop, USD="1.0956") == 1
    assert await push(shop, USD="1.0956") == 0
    assert await push(shop, USD="1.1", JPY="155.68") == 2
    rate = await shop.engine.exchange.rate(shop.context, source="EUR", target="USD")
    assert (rate.rate, rate.rate_source, rate.rate_date) == ("1.1", "tenant", _today())
    crossed = await shop.engine.exchange.rate(shop.context, source="USD", target="JPY")
    assert crossed.exact == rate.exact**-1 * 15_568 / 100
    kept = await shop.engine.exchange.book.page(shop.context, first=10)
    assert [each.rate for each in kept if each.currency == "USD"] == ["1.1", "1.0956"]


async def test_a_rate_that_is_too_old_is_none(shop: Shop) -> None:
    await push(shop, day=_today() - timedelta(days=5), USD="1.2")
    with pytest.raises(RateNotAvailable):
        await quoted(shop)
    await push(shop, day=_today() - timedelta(days=4), USD="1.2")
    found = await quoted(shop)
    assert found.rate_date == (_today() - timedelta(days=4)).isoformat()
    assert (found.target_minor, found.mid_minor, found.markup_minor) == (12_000, 12_000, 0)


async def test_what_is_no_rate_is_refused_as_a_whole(shop: Shop) -> None:
    with pytest.raises(UnknownCurrency):
        await push(shop, USD="1.1", XXY="2")
    with pytest.raises(InputInvalid):
        await push(shop, USD="0")
    assert await shop.engine.exchange.book.page(shop.context, first=10) == []


async def test_a_quote_is_booked_with_its_markup_apart(shop: Shop) -> None:
    await push(shop, USD="1.0956")
    await shop.engine.exchange.set_settings(
        shop.context, SetFxSettings(idempotency_key=key(), markup_bps=100)
    )
    await shop.charge(10_000)
    found = await quoted(shop)
    assert (found.mid_minor, found.target_minor, found.markup_minor) == (10_956, 10_846, 110)
    made = await convert(shop, quote_id=found.id)
    assert (made.source_minor, made.target_minor, made.markup_minor) == (10_000, 10_846, 110)
    assert await stands(shop) == {
        "fx_markup_revenue/USD": 110,
        "fx_position:EUR/EUR": -10_000,
        "fx_position:USD/USD": 10_956,
        "merchant_payable:main/USD": 10_846,
        "processor_fees:sandbox/EUR": (await stands(shop))["processor_fees:sandbox/EUR"],
        "psp_receivable:sandbox/EUR": (await stands(shop))["psp_receivable:sandbox/EUR"],
    }
    await shop.assert_sound()


async def test_a_quote_is_used_once_whoever_races(shop: Shop) -> None:
    await push(shop, USD="1.1")
    await shop.charge(100_000)
    found = await quoted(shop)
    results = await asyncio.gather(
        *(convert(shop, quote_id=found.id) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(each, Conversion) for each in results) == 1
    assert {type(each) for each in results} == {Conversion, FxQuoteUsed}
    with pytest.raises(FxQuoteUsed):
        await convert(shop, quote_id=found.id)


async def test_a_quote_expires_with_its_lock(shop: Shop) -> None:
    await push(shop, USD="1.1")
    await shop.charge(20_000)
    to_look_at = await quoted(shop, lock="none")
    with pytest.raises(FxQuoteExpired):
        await convert(shop, quote_id=to_look_at.id)
    short = await quoted(shop, lock="five_minutes")
    with shop.till.clock.later(timedelta(minutes=5)), pytest.raises(FxQuoteExpired):
        await convert(shop, quote_id=short.id)
    with shop.till.clock.later(timedelta(minutes=4)):
        assert (await convert(shop, quote_id=short.id)).quote_id == short.id


async def test_nothing_is_exchanged_that_is_not_there(shop: Shop) -> None:
    await push(shop, USD="1.1")
    await shop.charge(1_000)
    before = await shop.rows()
    with pytest.raises(InsufficientAvailableBalance):
        await convert(shop, source_minor=1_001, source_currency="EUR", target_currency="USD")
    assert await shop.rows() == before
    made = await convert(shop, source_minor=1_000, source_currency="EUR", target_currency="USD")
    assert made.target_minor == 1_100


async def test_of_a_payment_no_more_is_exchanged_than_is_left(shop: Shop) -> None:
    await push(shop, USD="1.1")
    await shop.charge(5_000)
    payment = await shop.charge(1_000)
    given = {"source_currency": "EUR", "target_currency": "USD", "payment_id": payment.id}
    await convert(shop, source_minor=600, **given)
    with pytest.raises(TransitionRefused):
        await convert(shop, source_minor=401, **given)
    made = await convert(shop, source_minor=400, **given)
    found = await shop.engine.exchange.conversions(shop.context, first=5, payment_id=payment.id)
    assert [each.source_minor for each in found] == [400, 600]
    assert found[0] == made


async def test_the_same_request_is_the_same_conversion(shop: Shop) -> None:
    await push(shop, USD="1.1")
    await shop.charge(5_000)
    request = ConvertBalance(
        idempotency_key=key(), source_minor=600, source_currency="EUR", target_currency="USD"
    )
    first = await shop.engine.exchange.convert(shop.context, request)
    assert await shop.engine.exchange.convert(shop.context, request) == first
    other = ConvertBalance(
        idempotency_key=request.idempotency_key,
        source_minor=601,
        source_currency="EUR",
        target_currency="USD",
    )
    with pytest.raises(IdempotencyConflict):
        await shop.engine.exchange.convert(shop.context, other)


async def test_bad_requests_change_nothing(shop: Shop, other_shop: Shop) -> None:
    await push(shop, USD="1.1", JPY="155.68")
    foreign = await quoted(shop)
    before = await other_shop.rows()
    with pytest.raises(NotFound):
        await convert(other_shop, quote_id=foreign.id)
    with pytest.raises(CurrencyMismatch):
        await quoted(other_shop, target_currency="EUR")
    with pytest.raises(InputInvalid):
        await convert(other_shop, source_minor=5, source_currency="EUR")
    with pytest.raises(InputInvalid):
        await convert(
            other_shop,
            source_minor=5,
            source_currency="EUR",
            target_currency="USD",
            account="bank:main",
        )
    assert await other_shop.rows() == before
    with pytest.raises(AmountTooSmall):
        await quoted(shop, 1, source_currency="JPY", target_currency="EUR", markup_bps=9_000)


async def test_settings_keep_what_is_not_named(shop: Shop) -> None:
    exchange = shop.engine.exchange
    await exchange.set_settings(
        shop.context, SetFxSettings(idempotency_key=key(), markup_bps=50, rounding="down")
    )
    found = await exchange.set_settings(
        shop.context, SetFxSettings(idempotency_key=key(), sources=("ecb", "tenant"))
    )
    assert (found.markup_bps, found.rounding, found.sources) == (50, "down", ("ecb", "tenant"))
    with pytest.raises(InputInvalid):
        await exchange.set_settings(
            shop.context, SetFxSettings(idempotency_key=key(), markup_bps=10_000)
        )
    assert await exchange.settings(shop.context) == found
