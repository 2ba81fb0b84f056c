"""Is what is held decided on by one person, or by the default in time, and carried out once?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.context import SCOPES
from payengine.errors import (
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    PermissionDenied,
    ReviewClaimed,
    ReviewSettled,
    TransitionRefused,
)
from payengine.fraud.desk.choices import ConfigureFraud
from payengine.ids import new_id
from payengine.payments import Payment, VoidPayment
from payengine.payments.review import (
    ClaimReview,
    CloseReview,
    DecideReview,
    Review,
    ReviewFilter,
    reasons_of,
)

from tests.engines import Shop, key


async def _held(shop: Shop, **given: Any) -> tuple[Payment, Review]:
    made = await shop.pay(token="tok_fraud_review", **given)
    assert made.payment.status == "IN_REVIEW"
    return made.payment, await _review(shop, made.payment.id)


async def _review(shop: Shop, payment_id: str) -> Review:
    review_id = f"rev_{payment_id[4:]}"
    return (await shop.engine.reviews.get_many(shop.context, [review_id]))[review_id]


async def _decide(shop: Shop, review: Review, decision: Any, **given: Any) -> Review:
    fields = {
        "idempotency_key": key(),
        "review_id": review.id,
        "decision": decision,
        "person": "Ada",
        "reason": "I called the buyer.",
    } | given
    return await shop.engine.reviews.decide(shop.context, DecideReview(**fields))


async def _claim(shop: Shop, review: Review, person: str) -> Review:
    request = ClaimReview(idempotency_key=key(), review_id=review.id, person=person)
    return await shop.engine.reviews.claim(shop.context, request)


async def _queue(shop: Shop, **wanted: Any) -> list[str]:
    rows = await shop.engine.reviews.page(shop.context, ReviewFilter(**wanted), first=20)
    return [row.id for row in rows]


async def _overdue(shop: Shop, review: Review, *, at: datetime) -> None:
    """The poller, but for this tenant alone."""
    await shop.engine.reviews.deciding._overdue(shop.context.tenant_id, review.id, at=at)


async def _events(shop: Shop, payment_id: str) -> list[str]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT type FROM event WHERE tenant_id = $1 AND payment_id = $2 ORDER BY id",
            shop.context.tenant_id,
            payment_id,
        )
    return [row["type"] for row in rows]


async def test_a_hold_opens_a_review_with_its_reasons_and_its_time(shop: Shop) -> None:
    payment, review = await _held(shop)
    assert (review.kind, review.decision, review.closed_at) == ("fraud", None, None)
    assert review.decide_by == payment.updated_at + timedelta(days=1)
    assert reasons_of(payment, await shop.operations(payment.id)) == ["suspicious"]
    assert await _queue(shop, kind="fraud") == [review.id]
    assert await _queue(shop, kind="flag") == []
    (decided,) = (await shop.engine.fraud_desk.decisions.of_payments(shop.context, [payment.id]))[
        payment.id
    ]
    assert decided.verdict == "review"
    assert decided.by == ("sandbox_tokens",)


@pytest.mark.parametrize("capture_method", ["AUTOMATIC", "MANUAL"])
async def test_what_is_approved_goes_on(shop: Shop, capture_method: str) -> None:
    payment, review = await _held(shop, capture_method=capture_method)
    one = key()
    done = await _decide(shop, review, "approved", idempotency_key=one)
    assert (done.decision, done.closed_by, done.decide_by) == ("approved", "Ada", None)
    after = await shop.check(payment.id)
    assert after.status == ("CAPTURED" if capture_method == "AUTOMATIC" else "AUTHORIZED")
    assert await _decide(shop, review, "approved", idempotency_key=one) == done
    with pytest.raises(IdempotencyConflict):
        await _decide(shop, review, "rejected", idempotency_key=one)
    with pytest.raises(ReviewSettled):
        await _decide(shop, review, "rejected")
    assert await _queue(shop) == []
    assert "payment.review_decided" in await _events(shop, payment.id)
    actions = (await shop.engine.reviews.actions_of(shop.context, [review.id]))[review.id]
    assert [(each.kind, each.person, each.reason) for each in actions] == [
        ("decided", "Ada", "I called the buyer.")
    ]
    await shop.assert_sound()


async def test_what_is_rejected_is_released_and_learnt(shop: Shop) -> None:
    payment, review = await _held(shop)
    await _decide(shop, review, "rejected", is_fraud=True)
    after = await shop.check(payment.id)
    assert (after.status, after.voided_minor, after.captured_minor) == ("CANCELED", 1_000, 0)
    found = await shop.engine.fraud_desk.feedback.outcomes_of(shop.context, [payment.id])
    (known,) = found[payment.id]
    assert (known.is_fraud, known.source) == (True, "review")
    await shop.assert_sound()


async def test_one_of_many_decides(shop: Shop) -> None:
    payment, review = await _held(shop)
    answers = await asyncio.gather(
        *(_decide(shop, review, each) for each in ("approved", "rejected") * 4),
        return_exceptions=True,
    )
    done = [each for each in answers if isinstance(each, Review)]
    assert len(done) == 1
    assert all(isinstance(each, Review | ReviewSettled) for each in answers)
    after = await shop.check(payment.id)
    assert after.status == ("CAPTURED" if done[0].decision == "approved" else "CANCELED")


async def test_a_claim_holds_for_half_an_hour_and_then_it_is_anybodys(shop: Shop) -> None:
    _, review = await _held(shop)
    await _claim(shop, review, "Ada")
    assert await _queue(shop, unclaimed=True) == []
    with pytest.raises(ReviewClaimed):
        await _decide(shop, review, "approved", person="Grace")
    with shop.till.clock.later(timedelta(minutes=31)):
        assert await _queue(shop, unclaimed=True) == [review.id]
        await _claim(shop, review, "Grace")
        with pytest.raises(ReviewClaimed):
            await _decide(shop, review, "approved", person="Ada")
        done = await _decide(shop, review, "approved", person="Grace")
    assert done.decision == "approved"


@pytest.mark.parametrize(("default", "status"), [("approve", "CAPTURED"), ("reject", "CANCELED")])
async def test_time_decides_by_the_tenants_default(shop: Shop, default: str, status: str) -> None:
    request = ConfigureFraud(
        idempotency_key=key(),
        settings={"review_minutes": 90, "review_default": default},
        reason="a test",
    )
    await shop.engine.fraud_desk.choices.save(shop.context, request)
    payment, review = await _held(shop)
    assert review.decide_by == payment.updated_at + timedelta(minutes=90)
    await _overdue(shop, review, at=review.decide_by - timedelta.resolution)
    assert (await shop.payment(payment.id)).status == "IN_REVIEW"
    await asyncio.gather(*(_overdue(shop, review, at=review.decide_by) for _ in "123"))
    after = await _review(shop, payment.id)
    assert (after.closed_by, after.decide_by) == ("engine", None)
    assert (await shop.check(payment.id)).status == status
    assert (await _events(shop, payment.id)).count("payment.review_decided") == 1


async def test_a_round_takes_what_is_due(shop: Shop) -> None:
    payment, review = await _held(shop)
    assert review.decide_by is not None
    for _ in range(20):
        await shop.engine.reviews.run_once(at=review.decide_by, limit=200)
        if (await shop.payment(payment.id)).status == "CANCELED":
            return
    pytest.fail("nobody decided")


@pytest.mark.parametrize("released", [False, True])
async def test_a_decision_whose_process_died_is_carried_out_later(
    shop: Shop, *, released: bool
) -> None:
    payment, review = await _held(shop)
    # As the process leaves it that dies behind its commit, or in the middle of what follows.
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute(
            "UPDATE review SET decision = 'approved', closed_by = 'Ada', closed_actor = 'test',"
            " closed_at = opened_at WHERE tenant_id = $1 AND id = $2",
            shop.context.tenant_id,
            review.id,
        )
        if released:
            await session.execute(
                "UPDATE operation SET final = false WHERE tenant_id = $1 AND payment_id = $2",
                shop.context.tenant_id,
                payment.id,
            )
            await session.execute(
                "UPDATE payment SET status = 'AUTHORIZED' WHERE tenant_id = $1 AND id = $2",
                shop.context.tenant_id,
                payment.id,
            )
    assert review.decide_by is not None
    for _ in range(2):
        await _overdue(shop, review, at=review.decide_by)
    after = await shop.check(payment.id)
    assert (after.status, after.captured_minor) == ("CAPTURED", 1_000)
    assert (await _review(shop, payment.id)).decide_by is None


async def test_a_payment_that_moves_on_by_itself_waits_for_nobody(shop: Shop) -> None:
    payment, review = await _held(shop)
    await shop.engine.payments.void(
        shop.context, VoidPayment(idempotency_key=key(), payment_id=payment.id)
    )
    after = await _review(shop, payment.id)
    assert (after.closed_by, after.decision, after.decide_by) == ("engine", None, None)
    with pytest.raises(ReviewSettled):
        await _decide(shop, review, "approved")
    assert review.decide_by is not None
    await _overdue(shop, review, at=review.decide_by + timedelta(days=1))
    assert (await shop.payment(payment.id)).status == "CANCELED"


async def test_nonsense_is_refused_and_changes_nothing(shop: Shop, other_shop: Shop) -> None:
    payment, review = await _held(shop)
    for given, refused in (
        ({"decision": "perhaps"}, InputInvalid),
        ({"reason": " "}, InputInvalid),
        ({"person": ""}, InputInvalid),
        ({"review_id": new_id("rev")}, NotFound),
    ):
        with pytest.raises(refused):
            await _decide(shop, review, **({"decision": "approved"} | given))
    with pytest.raises(NotFound):
        await _decide(other_shop, review, "approved")
    poor = replace(shop.context, scopes=frozenset(SCOPES) - {"reviews:write"})
    with pytest.raises(PermissionDenied):
        await _decide(Shop(shop.till, poor), review, "approved")
    close = CloseReview(idempotency_key=key(), review_id=review.id, person="Ada", reason="seen")
    with pytest.raises(TransitionRefused):
        await shop.engine.reviews.close(shop.context, close)
    assert (await shop.payment(payment.id)).status == "IN_REVIEW"
    assert await _review(shop, payment.id) == review


async def test_what_is_only_flagged_is_not_decided(shop: Shop) -> None:
    wrong = await shop.pay(3_008, "tok_magic")
    review = await _review(shop, wrong.payment.id)
    assert (review.kind, review.decide_by) == ("flag", None)
    with pytest.raises(TransitionRefused):
        await _decide(shop, review, "approved")
    await _overdue(shop, review, at=datetime.now(UTC) + timedelta(days=400))
    assert (await _review(shop, wrong.payment.id)).closed_at is None
