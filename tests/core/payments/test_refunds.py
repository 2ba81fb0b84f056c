"""Fraud rules have a say in refunds, before they are sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from payengine.errors import FraudRefused, PermissionDenied, RefundExceedsCaptured
from payengine.payments import FraudInput, Payment
from payengine.plugin import FraudContext, Label, RuleVerdict, velocity

from tests.core.fraud.rules import Rule, RulePack
from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, key, open_till
from tests.servers import HomeOfTest


def _by_metadata(context: FraudContext) -> Any:
    wanted: Any = context.metadata.get("refund")
    return RuleVerdict() if wanted is None else RuleVerdict(verdict=wanted, reason="told")


RULES = (Rule("refund_says", _by_metadata, velocity("card", "count", "1h"), stages=("refund",)),)


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home, plugins={"pack": RulePack(*RULES)}) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    made = await till.shop()
    await only(made, "refund_says", "refund_abuse", "sandbox_tokens")
    return made


async def _paid(shop: Shop, refund: str | None = None, **given: Any) -> Payment:
    metadata = {} if refund is None else {"refund": refund}
    return await shop.charge(metadata=metadata, **given)


async def _judged(shop: Shop, payment: Payment) -> list[Any]:
    return [r for r in await decisions(shop, payment.id) if r["stage"] == "refund"]


async def test_a_refund_that_nobody_objects_to_is_sent(shop: Shop) -> None:
    paid = await _paid(shop, fraud=FraudInput(card_fingerprint="one"))
    done = await shop.refund(paid.id, 400)
    assert done.payment.refunded_minor == 400
    (row,) = await _judged(shop, paid)
    assert row["verdict"] in ("abstain", "allow")
    told = row["document"]["context"]
    assert (told["amount_minor"], told["features"]["card.count.1h"]) == (400, 1)


@pytest.mark.parametrize("verdict", ["review", "challenge", "block", "hard_block"])
async def test_what_is_stopped_is_not_sent_and_leaves_the_key_free(
    shop: Shop, verdict: str
) -> None:
    paid = await _paid(shop, verdict)
    again = key()
    for number in (1, 2):
        with pytest.raises(FraudRefused, match="refund_says"):
            await shop.refund(paid.id, idempotency_key=again)
        assert [row["number"] for row in await _judged(shop, paid)] == list(range(1, number + 1))
    after = await shop.check(paid.id)
    assert (after.refunded_minor, after.refund_reserved_minor) == (0, 0)
    assert [each.kind for each in await shop.operations(paid.id)] == ["authorize"]
    await shop.assert_sound()


async def test_a_person_may_let_it_go_and_is_named(shop: Shop) -> None:
    paid = await _paid(shop, "block")
    done = await shop.refund(paid.id, in_spite_of_fraud="the buyer was here in person")
    assert done.payment.refunded_minor == 1_000
    (row,) = await _judged(shop, paid)
    assert row["document"]["overruled"].endswith("the buyer was here in person")
    assert row["document"]["overruled"].startswith(shop.context.actor)
    await shop.assert_sound()


async def test_a_hard_block_is_nobodys_to_overrule(shop: Shop) -> None:
    paid = await _paid(shop, "hard_block")
    with pytest.raises(FraudRefused):
        await shop.refund(paid.id, in_spite_of_fraud="please")


async def test_to_overrule_needs_its_own_scope(shop: Shop) -> None:
    paid = await _paid(shop, "block")
    narrow = Shop(shop.till, replace(shop.context, scopes=frozenset({"payments:write"})))
    with pytest.raises(PermissionDenied):
        await narrow.refund(paid.id, in_spite_of_fraud="please")


async def test_the_same_key_is_judged_once(shop: Shop) -> None:
    paid = await _paid(shop)
    again = key()
    first = await shop.refund(paid.id, 300, idempotency_key=again)
    second = await shop.refund(paid.id, 300, idempotency_key=again)
    assert first.operation is not None
    assert second.operation is not None
    assert first.operation.id == second.operation.id
    assert len(await _judged(shop, paid)) == 1


async def test_a_refund_that_cannot_be_leaves_no_decision(shop: Shop) -> None:
    paid = await _paid(shop, "block")
    with pytest.raises(RefundExceedsCaptured):
        await shop.refund(paid.id, 1_001)
    assert await _judged(shop, paid) == []


async def test_who_disputed_before_waits_for_a_person(shop: Shop) -> None:
    buyer = FraudInput(card_fingerprint="thief")
    bad, paid = await _paid(shop, fraud=buyer), await _paid(shop, fraud=buyer)
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        label = Label(
            payment_id=bad.id, is_fraud=True, observed_at=datetime.now(UTC), source="dispute"
        )
        await shop.engine.fraud.label(session, shop.context.tenant_id, label)
    with pytest.raises(FraudRefused, match="refund_abuse"):
        await shop.refund(paid.id)
