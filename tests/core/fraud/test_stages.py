"""Payouts are judged once, over the seller's past."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from payengine.fraud.stages import PayoutFacts, Stages
from payengine.ids import new_id
from payengine.payments import FraudInput

from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    made = await till.shop()
    await only(made, "seller_bust_out", "card_velocity")
    return made


def _facts(amount_minor: int = 60_000, seller: str = "acct_one") -> PayoutFacts:
    return PayoutFacts(
        payout_id=new_id("po"), seller=seller, amount_minor=amount_minor, currency="EUR"
    )


def _stages(shop: Shop) -> Stages:
    return shop.engine.fraud_stages


async def test_a_high_payout_to_a_new_seller_waits(shop: Shop) -> None:
    await shop.pay(fraud=FraudInput(seller_id="acct_one"))
    facts = _facts()
    decision = await _stages(shop).judge_payout(shop.context, facts, at=datetime.now(UTC))
    assert decision is not None
    assert decision.decided.verdict == "review"
    assert decision.decided.by == ("seller_bust_out",)
    assert decision.context.features["seller.count.30d"] == 1
    (row,) = await decisions(shop, facts.payout_id)
    assert (row["stage"], row["verdict"]) == ("payout", "review")


async def test_a_low_one_goes_out(shop: Shop) -> None:
    decision = await _stages(shop).judge_payout(shop.context, _facts(100), at=datetime.now(UTC))
    assert decision is not None
    assert decision.decided.verdict == "allow"


async def test_it_is_judged_once_however_often_it_is_asked(shop: Shop) -> None:
    facts = _facts()
    told = await asyncio.gather(
        *(_stages(shop).judge_payout(shop.context, facts, at=datetime.now(UTC)) for _ in range(5))
    )
    later = await _stages(shop).judge_payout(
        shop.context,
        PayoutFacts(payout_id=facts.payout_id, seller="other", amount_minor=1, currency="EUR"),
        at=datetime.now(UTC),
    )
    assert {each.decided.verdict for each in (*told, later) if each} == {"review"}
    assert len(await decisions(shop, facts.payout_id)) == 1


async def test_without_a_rule_of_the_stage_there_is_no_decision(shop: Shop) -> None:
    await only(shop, "card_velocity")
    await shop.engine.fraud.rulebook.save(
        shop.context, "seller_bust_out", mode="off", settings={}, reason="a test"
    )
    facts = _facts()
    decision = await _stages(shop).judge_payout(shop.context, facts, at=datetime.now(UTC))
    assert decision is None
    assert await decisions(shop, facts.payout_id) == []


async def test_another_tenants_seller_of_the_same_name_is_another(shop: Shop, till: Till) -> None:
    other = await till.shop()
    await only(other, "seller_bust_out", "card_velocity")
    for _ in range(3):
        await shop.pay(fraud=FraudInput(seller_id="acct_one"))
    decision = await _stages(other).judge_payout(other.context, _facts(), at=datetime.now(UTC))
    assert decision is not None
    assert decision.context.features["seller.count.30d"] == 0
