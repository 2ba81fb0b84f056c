"""Rules compare and add up amounts in one currency, where the tenant has named it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.fraud.base import Base, based
from payengine.fraud.desk.choices import ConfigureFraud
from payengine.fraud.stages import PayoutFacts
from payengine.fx.models import PushedRate, PushRates
from payengine.ids import new_id
from payengine.payments import FraudInput, RefundPayment
from payengine.plugin import FraudContext, RuleVerdict, velocity

from tests.core.fraud.rules import Rule, RulePack
from tests.core.fraud.test_backfill import brought_up
from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, key, open_till
from tests.servers import HomeOfTest

_SUM = velocity("card", "sum", "1d")
TOLD: list[FraudContext] = []


def _listen(context: FraudContext) -> RuleVerdict:
    TOLD.append(context)
    high = context.base_currency == "EUR" and context.base_minor > 50_000
    return RuleVerdict(verdict="review" if high else "allow")


RULES = (
    Rule("amounts", _listen, _SUM),
    Rule("paid_back", _listen, stages=("refund",)),
    Rule("paid_out", _listen, stages=("payout",)),
)
_NAMES = ("amounts", "paid_back", "paid_out")
_CARD = FraudInput(card_fingerprint="one")


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home, plugins={"pack": RulePack(*RULES)}) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    made = await till.shop()
    await only(made, *_NAMES)
    TOLD.clear()
    return made


async def _configure(shop: Shop, base: str | None) -> None:
    request = ConfigureFraud(
        idempotency_key=key(), settings={"base_currency": base}, reason="a test"
    )
    await shop.engine.fraud_desk.choices.save(shop.context, request)


async def _push(shop: Shop, *, days_ago: int = 0, **rates: str) -> None:
    day = (datetime.now(UTC) - timedelta(days=days_ago)).date()
    told = tuple(PushedRate(day=day, currency=code, rate=text) for code, text in rates.items())
    request = PushRates(idempotency_key=key(), base="EUR", rates=told)
    await shop.engine.exchange.push_rates(shop.context, request)
    shop.engine.fraud.rulebook.forget(shop.context.tenant_id)


async def _pay(shop: Shop, amount: int, currency: str) -> tuple[Any, FraudContext]:
    """The payment, and what the rules were told of it."""
    paid = await shop.pay(amount, currency=currency, fraud=_CARD)
    return paid.payment, next(each for each in TOLD if each.payment_id == paid.payment.id)


def test_an_amount_is_converted_exactly_and_rounded_once() -> None:
    base = Base(currency="EUR", rates={"JPY": Fraction(1, 160), "KWD": Fraction("3.005")})
    assert based(base, 1_000, "JPY") == (625, "EUR")
    assert based(base, 1_001, "KWD") == (301, "EUR")  # 1.001 dinars are 3.008005 euros
    assert based(base, 999, "EUR") == (999, "EUR")
    assert based(base, 999, "USD") == (999, "USD")
    assert based(None, 999, "USD") == (999, "USD")


@given(st.integers(0, 10**12), st.sampled_from(["JPY", "KWD", "USD"]), st.integers(1, 10**30))
def test_the_database_converts_as_this_does(amount: int, currency: str, rate: int) -> None:
    base = Base(currency="EUR", rates={currency: Fraction(rate, 10**9)})
    times, by = base.scales()[currency]
    found, code = based(base, amount, currency)
    exact = Fraction(amount) * int(times) / int(by)
    if abs(exact) <= 2**63 - 1:
        assert code == "EUR"
        assert abs(found - exact) <= Fraction(1, 2)
    else:
        assert (found, code) == (amount, currency)


async def test_a_sum_is_of_one_currency(shop: Shop) -> None:
    await _push(shop, USD="1.25", JPY="160")
    await _configure(shop, "EUR")
    _, first = await _pay(shop, 1_000, "USD")
    assert (first.amount_minor, first.currency) == (1_000, "USD")
    assert (first.base_minor, first.base_currency) == (800, "EUR")
    _, second = await _pay(shop, 1_600, "JPY")
    assert (second.base_minor, second.features[_SUM.name]) == (1_000, 800)
    payment, third = await _pay(shop, 60_000, "EUR")
    assert (third.base_minor, third.features[_SUM.name]) == (60_000, 1_800)
    assert payment.status == "IN_REVIEW"
    lower, _ = await _pay(shop, 60_000, "USD")  # 480 euros
    assert lower.status == "CAPTURED"


async def test_without_a_base_each_stands_in_its_own(shop: Shop) -> None:
    await _push(shop, USD="1.25")
    _, told = await _pay(shop, 1_000, "USD")
    assert (told.base_minor, told.base_currency) == (1_000, "USD")


async def test_an_unknown_rate_is_no_guess(shop: Shop) -> None:
    await _push(shop, days_ago=5, USD="1.25")  # too old to hold today
    await _configure(shop, "EUR")
    payment, told = await _pay(shop, 1_000, "USD")
    assert (told.base_minor, told.base_currency) == (1_000, "USD")
    (row,) = await decisions(shop, payment.id)
    assert row["degraded"]
    assert payment.status == "CAPTURED"
    # Once somebody has told the rate, it is judged again, and counts for what it was worth.
    await _push(shop, USD="1.25")
    at = datetime.now(UTC) + timedelta(seconds=30)
    while await shop.engine.rescoring.run_once(at=at, limit=50) == 50:
        pass  # other shops' are due as well
    assert [each for each in TOLD if each.payment_id == payment.id][-1].base_minor == 800
    _, next_one = await _pay(shop, 100, "EUR")
    assert next_one.features[_SUM.name] == 800


async def test_refunds_and_payouts_are_converted_too(shop: Shop) -> None:
    await _push(shop, USD="1.25")
    await _configure(shop, "EUR")
    payment, _ = await _pay(shop, 1_000, "USD")
    request = RefundPayment(idempotency_key=key(), payment_id=payment.id, amount_minor=500)
    await shop.engine.payments.refund(shop.context, request)
    told = TOLD[-1]
    assert (told.stage, told.base_minor, told.base_currency) == ("refund", 400, "EUR")
    facts = PayoutFacts(
        payout_id=new_id("po"), seller="acct_one", amount_minor=2_000, currency="USD"
    )
    await shop.engine.fraud_stages.judge_payout(shop.context, facts, at=datetime.now(UTC))
    told = TOLD[-1]
    assert (told.stage, told.base_minor, told.base_currency) == ("payout", 1_600, "EUR")


async def test_another_base_takes_the_past_along(shop: Shop) -> None:
    await _push(shop, USD="1.25", JPY="160")
    await _pay(shop, 1_000, "USD")
    await _pay(shop, 1_600, "JPY")
    await _configure(shop, "EUR")
    await brought_up(shop)
    _, told = await _pay(shop, 300, "EUR")
    assert told.features[_SUM.name] == 800 + 1_000
    await _configure(shop, "USD")
    await brought_up(shop)
    _, told = await _pay(shop, 100, "USD")
    assert told.features[_SUM.name] == 1_000 + 1_250 + 375
    await _configure(shop, None)
    await brought_up(shop)
    _, told = await _pay(shop, 100, "USD")
    assert told.features[_SUM.name] == 1_000 + 1_600 + 300 + 100


async def test_the_past_keeps_an_amount_that_no_base_can_hold(shop: Shop) -> None:
    await _push(shop, USD="0.0000000001")
    await _pay(shop, 100_000_000_000, "USD")
    await _configure(shop, "EUR")
    await brought_up(shop)
    _, told = await _pay(shop, 300, "EUR")
    assert told.features[_SUM.name] == 100_000_000_000


async def test_another_tenants_rates_are_its_own(shop: Shop, till: Till) -> None:
    other = await till.shop()
    await only(other, *_NAMES)
    await _push(other, USD="2")
    await _push(shop, USD="1.25")
    for each in (shop, other):
        await _configure(each, "EUR")
    assert (await _pay(shop, 1_000, "USD"))[1].base_minor == 800
    assert (await _pay(other, 1_000, "USD"))[1].base_minor == 500
