"""Do the sums tell what the rules did, and how right they were on what is known?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from payengine.errors import InputInvalid
from payengine.fraud import evaluation
from payengine.fraud.desk.decisions import DecisionFilter
from payengine.fraud.desk.summary import FraudSummary, Quality
from payengine.fraud.outcomes import OutcomeReport

from tests.engines import Shop, key

_DAY = timedelta(days=1)


async def _summary(shop: Shop, *, days: int = 60) -> FraudSummary:
    now = shop.till.clock.now(shop.context.tenant_id)
    return await shop.engine.fraud_desk.summaries.summary(
        shop.context, since=now - _DAY, until=now + _DAY, matured_after_days=days
    )


async def _label(shop: Shop, payment_id: str, *, is_fraud: bool) -> None:
    request = OutcomeReport(idempotency_key=key(), payment_id=payment_id, is_fraud=is_fraud)
    await shop.engine.fraud_desk.feedback.report(shop.context, request)


async def test_verdicts_rules_and_quality(seller: Shop, rival: Shop) -> None:
    await rival.charge()
    caught = (await seller.pay(6_000)).payment
    wrong = (await seller.pay(7_000)).payment
    missed = await seller.charge(1_000)
    held = (await seller.pay(token="tok_fraud_review")).payment
    for _ in range(4):
        await seller.charge(1_000)
    assert (caught.status, wrong.status, held.status) == ("DECLINED", "DECLINED", "IN_REVIEW")
    await _label(seller, caught.id, is_fraud=True)
    await _label(seller, wrong.id, is_fraud=False)
    await _label(seller, missed.id, is_fraud=True)
    found = await _summary(seller)
    assert (found.decisions, found.truncated, found.degraded) == (8, False, 0)
    assert found.verdicts == {"block": 2, "review": 1, "allow": 5}
    assert (found.rate("block", "hard_block"), found.rate("review")) == (0.25, 0.125)
    assert found.quality == Quality(caught=1, missed=1, wrong=1)
    assert (found.quality.precision, found.quality.recall) == (0.5, 0.5)
    rules = {each.rule: each for each in found.rules}
    amounts = rules["amounts"]
    assert (amounts.asked, amounts.hits, amounts.blocks, amounts.errors) == (8, 2, 2, 0)
    assert amounts.mode == "live"
    assert 0 <= amounts.p50_us <= amounts.p99_us
    assert amounts.quality == Quality(caught=1, missed=1, wrong=1)
    assert rules["sandbox_tokens"].reviews == 1


async def test_what_is_old_enough_and_unlabeled_was_good(seller: Shop) -> None:
    await seller.pay(6_000)
    await seller.charge(1_000)
    assert (await _summary(seller)).quality == Quality()
    assert (await _summary(seller, days=0)).quality == Quality(wrong=1)
    assert Quality().precision is None
    assert Quality().recall is None


async def test_rules_that_fail_are_counted(seller: Shop) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_WALL_MS", 10.0)
        await seller.pay(token="tok_fraud_timeout")
    (tokens,) = (each for each in (await _summary(seller)).rules if each.rule == "sandbox_tokens")
    assert tokens.errors == 1


async def test_spans_without_length_are_refused(seller: Shop) -> None:
    now = seller.till.clock.now(seller.context.tenant_id)
    for since, days in ((now, 60), (now - _DAY, -1), (now - _DAY, 401)):
        with pytest.raises(InputInvalid):
            await seller.engine.fraud_desk.summaries.summary(
                seller.context, since=since, until=now, matured_after_days=days
            )


async def test_decisions_are_paged_and_filtered(seller: Shop, rival: Shop) -> None:
    made = [(await seller.pay(amount)).payment.id for amount in (1_000, 6_000, 2_000, 7_000)]
    decisions = seller.engine.fraud_desk.decisions

    async def ids(shop: Shop, after: str | None = None, **wanted: Any) -> list[str]:
        rows = await decisions.page(shop.context, DecisionFilter(**wanted), first=2, after=after)
        return [row.payment_id for row in rows]

    newest = made[::-1]
    assert await ids(seller) == newest[:3]
    (page) = await decisions.page(seller.context, DecisionFilter(), first=2)
    assert await ids(seller, after=page[1].cursor) == newest[2:]
    assert await ids(seller, verdicts=("block",)) == [made[3], made[1]]
    assert await ids(rival) == []
    assert await ids(rival, after=page[1].cursor) == []
    (shown,) = (await decisions.of_payments(seller.context, [made[1]]))[made[1]]
    assert (shown.verdict, shown.by, shown.score) == ("block", ("amounts",), 0.9)
    assert {each.rule for each in shown.rules} >= {"amounts", "sandbox_tokens"}
    assert await decisions.of_payments(rival.context, [made[1]]) == {}
