"""Fraud rules have a say once the issuer has answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from payengine.errors import TransitionRefused
from payengine.payments import FraudInput, Payment
from payengine.plugin import FraudContext, RuleVerdict, velocity

from tests.core.fraud.rules import Rule, RulePack
from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest


def _by_metadata(context: FraudContext) -> Any:
    wanted: Any = context.metadata.get("after")
    if wanted == "raise":
        raise ValueError("no")
    return RuleVerdict() if wanted is None else RuleVerdict(verdict=wanted, reason="told")


RULES = (
    Rule("after_says", _by_metadata, velocity("card", "count", "1h"), stages=("post_auth",)),
    Rule("after_shadow", _by_metadata, stages=("post_auth",), mode="off"),
)


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home, plugins={"pack": RulePack(*RULES)}) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    made = await till.shop()
    await only(made, "after_says", "issuer_checks", "sandbox_tokens")
    return made


async def _pay(shop: Shop, after: str | None = None, **given: Any) -> Payment:
    metadata = {} if after is None else {"after": after}
    return (await shop.pay(metadata=metadata, **given)).payment


async def _said(shop: Shop, payment: Payment) -> list[str]:
    rows = await decisions(shop, payment.id)
    return [row["verdict"] for row in rows if row["stage"] == "post_auth"]


async def test_where_all_abstain_nothing_is_kept(shop: Shop) -> None:
    paid = await _pay(shop)
    assert paid.status == "CAPTURED"
    assert await _said(shop, paid) == []


@pytest.mark.parametrize(
    ("token", "status", "said"),
    [
        ("tok_checks_pass", "AUTHORIZED", "allow"),
        ("tok_address_fail", "AUTHORIZED", "allow"),
        ("tok_cvc_fail", "IN_REVIEW", "review"),
        ("tok_checks_fail", "CANCELED", "block"),
    ],
)
async def test_the_issuers_checks_decide_of_a_hold(
    shop: Shop, token: str, status: str, said: str
) -> None:
    paid = await _pay(shop, token=token, capture_method="MANUAL")
    assert paid.status == status
    assert await _said(shop, paid) == [said]
    assert paid.authorized_minor == 1_000
    assert paid.voided_minor == (1_000 if status == "CANCELED" else 0)
    await shop.assert_sound()


async def test_what_changes_nothing_costs_no_message_more(shop: Shop) -> None:
    """Neither an answer that was not checked nor a decision that lets it be."""
    await shop.engine.fraud.rulebook.save(
        shop.context, "after_says", mode="off", settings={}, reason="a test"
    )

    async def messages(token: str) -> int:
        async def one() -> int:
            before = shop.engine.database.counters.statements
            await shop.pay(token=token)
            return shop.engine.database.counters.statements - before

        return min([await one() for _ in range(5)])  # what is held is read anew now and then

    assert await messages("tok_checks_pass") == await messages("tok_visa")
    assert await messages("tok_cvc_fail") > await messages("tok_visa")


async def test_an_allowed_answer_is_kept_with_what_it_allowed(shop: Shop) -> None:
    paid = await _pay(shop, token="tok_checks_pass")
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        written = await session.fetchval(
            "SELECT decision.xmin = payment.xmin FROM payment JOIN fraud_decision AS decision"
            " ON decision.tenant_id = payment.tenant_id AND decision.payment_id = payment.id"
            " WHERE payment.tenant_id = $1 AND payment.id = $2 AND decision.stage = 'post_auth'",
            shop.context.tenant_id,
            paid.id,
        )
    assert written


async def test_what_was_captured_at_once_is_refunded(shop: Shop) -> None:
    paid = await _pay(shop, token="tok_checks_fail")
    assert (paid.status, paid.captured_minor, paid.refunded_minor) == ("CAPTURED", 1_000, 1_000)
    kinds = [each.kind for each in await shop.operations(paid.id)]
    assert kinds == ["authorize", "refund"]
    await shop.assert_sound()


async def test_what_was_captured_at_once_is_shown_to_a_person(shop: Shop) -> None:
    paid = await _pay(shop, "review")
    assert (paid.status, paid.needs_review, paid.refunded_minor) == ("CAPTURED", True, 0)
    await shop.assert_sound()


@pytest.mark.parametrize("verdict", ["review", "challenge"])
async def test_a_hold_in_review_waits_and_is_released(shop: Shop, verdict: str) -> None:
    held = await _pay(shop, verdict, capture_method="MANUAL")
    assert held.status == "IN_REVIEW"
    with pytest.raises(TransitionRefused):
        await shop.capture(held.id)
    released = await shop.engine.payments.release(
        shop.context, held.id, idempotency_key=f"release-{held.id}"
    )
    assert released.payment.status == "AUTHORIZED"
    assert (await shop.capture(held.id)).payment.status == "CAPTURED"
    await shop.assert_sound()


async def test_a_rule_that_raises_stops_nothing_and_says_so(shop: Shop) -> None:
    paid = await _pay(shop, "raise")
    assert paid.status == "CAPTURED"
    rows = [r for r in await decisions(shop, paid.id) if r["stage"] == "post_auth"]
    assert [(row["verdict"], row["degraded"]) for row in rows] == [("abstain", True)]


async def test_the_rules_know_what_was_known_before_the_attempt(shop: Shop) -> None:
    for _ in range(3):
        paid = await _pay(shop, "allow", fraud=FraudInput(card_fingerprint="same"))
    rows = [r for r in await decisions(shop, paid.id) if r["stage"] == "post_auth"]
    (row,) = rows
    assert row["document"]["context"]["features"]["card.count.1h"] == 2


async def test_a_shadow_is_written_down_and_stops_nothing(shop: Shop) -> None:
    await shop.engine.fraud.rulebook.save(
        shop.context, "after_shadow", mode="shadow", settings={}, reason="a test"
    )
    await shop.engine.fraud.rulebook.save(
        shop.context, "after_says", mode="off", settings={}, reason="a test"
    )
    paid = await _pay(shop, "block", capture_method="MANUAL")
    assert paid.status == "AUTHORIZED"
    assert await _said(shop, paid) == ["abstain"]


async def test_what_a_look_tells_later_is_judged_too(shop: Shop) -> None:
    made = await _pay(shop, "block", token="tok_pending", capture_method="MANUAL")
    assert made.status == "PROCESSING"
    for _ in range(1_200):
        await shop.look()
        if (await shop.payment(made.id)).status == "CANCELED":
            break
        await asyncio.sleep(0.05)
    assert (await shop.payment(made.id)).status == "CANCELED"
    assert await _said(shop, made) == ["block"]
    await shop.assert_sound()


async def test_without_rules_of_the_stage_nothing_is_judged(till: Till) -> None:
    plain = await till.shop()
    await only(plain, "sandbox_tokens")
    paid = await _pay(plain, "block", token="tok_checks_fail")
    assert (paid.status, paid.refunded_minor) == ("CAPTURED", 0)
    assert await _said(plain, paid) == []
