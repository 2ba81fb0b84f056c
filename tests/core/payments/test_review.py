"""Does a named person settle what no machine can, on evidence, once, and with every word kept?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from payengine.context import SCOPES, TenantContext
from payengine.errors import (
    CurrencyMismatch,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    OperationInFlight,
    PermissionDenied,
    ReviewClaimed,
    ReviewSettled,
    SensitiveDataRefused,
)
from payengine.ids import new_id
from payengine.payments import PaymentResult
from payengine.payments.findings import Finding
from payengine.payments.review import (
    ClaimReview,
    CloseReview,
    ReleaseReview,
    Review,
    ReviewFilter,
    SettleReview,
    reasons_of,
)

from tests.engines import Shop, Till, key

_WHY = "The provider's site shows it under this reference."


class Desk:
    """One person at a shop's reviews."""

    def __init__(self, shop: Shop, person: str = "Ada") -> None:
        self.shop = shop
        self.person = person

    @property
    def reviews(self) -> Any:
        """The room."""
        return self.shop.engine.reviews

    async def queue(self, **wanted: Any) -> list[Review]:
        """What waits, oldest first."""
        found: list[Review] = await self.reviews.page(
            self.shop.context, ReviewFilter(**wanted), first=50
        )
        return found

    async def claim(self, review: Review, **given: Any) -> Review:
        """Take it on."""
        return await self._do("claim", ClaimReview, review, given)

    async def release(self, review: Review, **given: Any) -> Review:
        """Let it go."""
        return await self._do("release", ReleaseReview, review, given)

    async def close(self, review: Review, **given: Any) -> Review:
        """Nothing is left to do."""
        return await self._do("close", CloseReview, review, {"reason": _WHY} | given)

    async def settle(self, review: Review, operation_id: str, outcome: Any, **given: Any) -> Review:
        """Say what became of an operation."""
        fields = {"operation_id": operation_id, "outcome": outcome, "reason": _WHY} | given
        return await self._do("settle", SettleReview, review, fields)

    async def _do(self, name: str, kind: Any, review: Review, given: dict[str, Any]) -> Review:
        fields = {
            "idempotency_key": key(),
            "review_id": review.id,
            "person": self.person,
        } | given
        done: Review = await getattr(self.reviews, name)(self.shop.context, kind(**fields))
        return done

    async def kinds(self, review: Review) -> list[str]:
        """What was done about it."""
        found = await self.reviews.actions_of(self.shop.context, [review.id])
        return [f"{each.kind} by {each.person}" for each in found.get(review.id, [])]


@pytest.fixture
def desk(shop: Shop) -> Desk:
    """Ada at a fresh shop."""
    return Desk(shop)


async def _stuck(shop: Shop, hasty: Till, amount: int = 3_105) -> tuple[PaymentResult, Review]:
    """A payment at a blind provider, which was given up: nobody but a person can tell."""
    shop = shop.at(hasty)
    made = await shop.pay(amount, "tok_magic")
    await shop.look(after=timedelta(days=8))
    (review,) = await Desk(shop).queue()
    return made, review


async def test_a_flag_opens_one_review(desk: Desk, shop: Shop) -> None:
    assert await desk.queue() == []
    wrong = await shop.pay(3_008, "tok_magic")
    (review,) = await desk.queue()
    assert review.id == "rev_" + wrong.payment.id[4:]
    assert (review.payment_id, review.closed_at) == (wrong.payment.id, None)
    assert review.opened_at == wrong.payment.updated_at
    operations = await shop.operations(wrong.payment.id)
    assert reasons_of(wrong.payment, operations) == ["conflicted", "outcome_unknown"]


async def test_a_person_settles_what_succeeded(desk: Desk, shop: Shop, hasty: Till) -> None:
    made, review = await _stuck(shop, hasty)
    assert made.operation is not None
    await desk.claim(review)
    one = key()
    done = await desk.settle(
        review, made.operation.id, "SUCCEEDED", reference="sbx_seen", idempotency_key=one
    )
    assert (done.closed_by, done.closed_actor, done.claimed_by) == ("Ada", "test", None)
    after = await shop.check(made.payment.id)
    assert (after.status, after.captured_minor, after.needs_review) == ("CAPTURED", 3_105, False)
    (row,) = await shop.operations(after.id)
    assert (row.status, row.provider_reference) == ("succeeded", "sbx_seen")
    gave_up, why = await shop.evidence(row.id)
    assert (gave_up.source, gave_up.data["reason"]) == ("engine", "never_answered")
    assert why.source == "person"
    assert why.data["told"] == {"person": "Ada", "actor": "test", "reason": _WHY, "request": one}
    assert await desk.kinds(review) == ["claimed by Ada", "settled by Ada", "closed by Ada"]
    assert (
        await desk.settle(
            review, made.operation.id, "SUCCEEDED", reference="sbx_seen", idempotency_key=one
        )
        == done
    )
    with pytest.raises(IdempotencyConflict):
        await desk.settle(review, made.operation.id, "DECLINED", idempotency_key=one)
    assert await desk.queue() == []
    assert [each.id for each in await desk.queue(is_open=False)] == [review.id]


@pytest.mark.parametrize(
    ("outcome", "status", "payment"),
    [("DECLINED", "declined", "DECLINED"), ("NOT_PROCESSED", "not_sent", "CREATED")],
)
async def test_a_person_settles_what_came_to_nothing(
    desk: Desk, shop: Shop, hasty: Till, outcome: str, status: str, payment: str
) -> None:
    made, review = await _stuck(shop, hasty)
    assert made.operation is not None
    await desk.settle(review, made.operation.id, outcome)
    after = await shop.check(made.payment.id)
    (row,) = await shop.operations(after.id)
    assert (row.status, after.status, after.needs_review) == (status, payment, False)
    again = await shop.confirm(after.id, "tok_visa")
    assert again.payment.status == "CAPTURED"


async def test_another_amount_than_asked_is_booked_as_it_moved(desk: Desk, shop: Shop) -> None:
    wrong = await shop.pay(3_010, "tok_magic")  # the sandbox really took one unit less
    assert wrong.operation is not None
    (review,) = await desk.queue()
    await desk.settle(review, wrong.operation.id, "SUCCEEDED", amount_minor=3_009, currency="EUR")
    after = await shop.check(wrong.payment.id)
    assert (after.captured_minor, after.conflicted, after.needs_review) == (3_009, False, False)
    assert (await shop.movements())[0].amount.minor == 3_009


@pytest.mark.parametrize(("asked", "moved"), [(3_010, 3_009), (3_010, 3_011)])
async def test_a_refund_of_another_amount_leaves_nothing_in_transit(
    desk: Desk, shop: Shop, asked: int, moved: int
) -> None:
    paid = await shop.charge(10_000, token="tok_magic")
    refund = await shop.refund(paid.id, asked)
    assert refund.operation is not None
    assert refund.payment.conflicted
    (review,) = await desk.queue()
    await desk.settle(review, refund.operation.id, "SUCCEEDED", amount_minor=moved, currency="EUR")
    after = await shop.check(paid.id)
    assert (after.refunded_minor, after.refund_reserved_minor) == (moved, 0)
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        left = await session.fetchval(
            "SELECT sum(CASE WHEN debit_account = 'refunds_in_transit:sandbox' THEN -amount_minor"
            " WHEN credit_account = 'refunds_in_transit:sandbox' THEN amount_minor ELSE 0 END)"
            " FROM ledger_transfer"
        )
    assert left == 0


async def test_a_final_capture_of_another_amount_releases_the_rest(desk: Desk, shop: Shop) -> None:
    held = await shop.hold(10_000, token="tok_magic")
    await shop.capture(held.id, 3_010)
    (review,) = await desk.queue()
    (_, capture) = await shop.operations(held.id)
    await desk.settle(review, capture.id, "SUCCEEDED", amount_minor=3_009, currency="EUR")
    after = await shop.check(held.id)
    assert (after.captured_minor, after.voided_minor, after.capturable_minor) == (3_009, 6_991, 0)


async def test_what_has_its_outcome_is_settled_no_more(desk: Desk, shop: Shop, hasty: Till) -> None:
    made, review = await _stuck(shop, hasty)
    assert made.operation is not None
    recorder = shop.engine.reconciler._recorder
    await recorder.record(
        shop.context,
        payment_id=made.payment.id,
        operation_id=made.operation.id,
        finding=Finding(status="declined", source="webhook"),
    )
    with pytest.raises(ReviewSettled):
        await desk.settle(review, made.operation.id, "SUCCEEDED")
    assert (await shop.payment(made.payment.id)).status == "DECLINED"
    assert (await desk.close(review)).closed_by == "Ada"


async def test_two_people_settle_once(desk: Desk, shop: Shop, hasty: Till) -> None:
    made, review = await _stuck(shop, hasty)
    assert made.operation is not None
    operation_id = made.operation.id
    answers = await asyncio.gather(
        *(
            Desk(shop, person).settle(review, operation_id, outcome)
            for person, outcome in [("Ada", "SUCCEEDED"), ("Bob", "DECLINED")] * 3
        ),
        return_exceptions=True,
    )
    refused = [each for each in answers if isinstance(each, Exception)]
    assert len(refused) == 5
    assert {type(each) for each in refused} <= {ReviewSettled, ReviewClaimed}
    assert [why.source for why in await shop.evidence(operation_id)] == ["engine", "person"]
    await shop.check(made.payment.id)


async def test_a_look_in_between_does_not_lose_the_persons_word(
    desk: Desk, shop: Shop, hasty: Till
) -> None:
    made, review = await _stuck(shop, hasty)
    assert made.operation is not None
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute("UPDATE operation SET due_at = now()")
    await asyncio.gather(
        shop.at(hasty).look(), desk.settle(review, made.operation.id, "NOT_PROCESSED")
    )
    (row,) = await shop.operations(made.payment.id)
    assert row.status == "not_sent"


async def test_a_claim_keeps_others_away_for_a_while(desk: Desk, shop: Shop, hasty: Till) -> None:
    made, review = await _stuck(shop, hasty)
    assert made.operation is not None
    bob = Desk(shop, "Bob")
    claimed = await desk.claim(review)
    assert claimed.claimed_by == "Ada"
    assert (await desk.claim(review)).claimed_until is not None
    for asked in (
        bob.claim(review),
        bob.release(review),
        bob.close(review),
        bob.settle(review, made.operation.id, "DECLINED"),
    ):
        with pytest.raises(ReviewClaimed):
            await asked
    assert [each.id for each in await desk.queue(claimed_by="Ada")] == [review.id]
    assert await desk.queue(claimed_by="Bob") == []
    with shop.till.clock.later(timedelta(minutes=31)):
        assert (await bob.claim(review)).claimed_by == "Bob"
        await bob.release(review)
    assert (await desk.claim(review)).claimed_by == "Ada"


async def test_a_review_is_not_closed_over_an_open_outcome(
    desk: Desk, shop: Shop, hasty: Till
) -> None:
    _, review = await _stuck(shop, hasty)
    with pytest.raises(OperationInFlight):
        await desk.close(review)
    assert (await desk.queue())[0].closed_at is None


async def test_an_anomaly_that_a_person_has_seen_is_no_news(desk: Desk, shop: Shop) -> None:
    paid = await shop.charge(10_000, token="tok_magic")
    refund = await shop.refund(paid.id, 2_038)
    assert refund.operation is not None
    recorder = shop.engine.reconciler._recorder
    await recorder.record(
        shop.context,
        payment_id=paid.id,
        operation_id=refund.operation.id,
        finding=Finding(status="succeeded", source="settlement"),
    )
    (review,) = await desk.queue()
    await desk.close(review)
    after = await shop.refund(paid.id, 100)
    assert (after.payment.anomalies, after.payment.needs_review) == (("late_success",), False)
    assert await desk.queue() == []
    with pytest.raises(ReviewSettled):
        await desk.close(review)
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute("UPDATE payment SET needs_review = true")
    (again,) = await desk.queue()
    assert (again.id, again.closed_at, again.claimed_by) == (review.id, None, None)
    assert await desk.kinds(review) == ["closed by Ada"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"person": " "}, InputInvalid),
        ({"person": "x" * 121}, InputInvalid),
        ({"reason": ""}, InputInvalid),
        ({"reason": "x" * 2_001}, InputInvalid),
        ({"reason": "card 4111 1111 1111 1111"}, SensitiveDataRefused),
        ({"amount_minor": 5, "currency": "USD"}, CurrencyMismatch),
        ({"amount_minor": 0, "currency": "EUR"}, InputInvalid),
        ({"outcome": "DECLINED", "amount_minor": 5, "currency": "EUR"}, InputInvalid),
        ({"review_id": new_id("rev")}, NotFound),
        ({"review_id": "rev_1"}, InputInvalid),
        ({"operation_id": new_id("op")}, NotFound),
        ({"operation_id": "x"}, InputInvalid),
        ({"idempotency_key": " "}, InputInvalid),
    ],
)
async def test_what_cannot_be_accepted_is_refused_and_writes_nothing(
    desk: Desk, shop: Shop, given: dict[str, Any], error: type[Exception]
) -> None:
    wrong = await shop.pay(3_008, "tok_magic")
    assert wrong.operation is not None
    (review,) = await desk.queue()
    before = await shop.rows()
    fields = {"operation_id": wrong.operation.id, "outcome": "SUCCEEDED"} | given
    with pytest.raises(error):
        await desk.settle(review, fields.pop("operation_id"), fields.pop("outcome"), **fields)
    assert await shop.rows() == before
    assert await desk.kinds(review) == []


async def test_each_act_needs_its_scope(desk: Desk, shop: Shop) -> None:
    wrong = await shop.pay(3_008, "tok_magic")
    assert wrong.operation is not None
    (review,) = await desk.queue()

    def poor(missing: str) -> Desk:
        scopes = frozenset(SCOPES) - {missing}
        return Desk(Shop(shop.till, TenantContext(shop.context.tenant_id, "test", "p", scopes)))

    for asked in (
        poor("reviews:read").queue(),
        poor("reviews:write").claim(review),
        poor("reviews:write").settle(review, wrong.operation.id, "DECLINED"),
    ):
        with pytest.raises(PermissionDenied):
            await asked


async def test_a_settlement_that_was_cut_short_is_finished_by_the_same_request(
    desk: Desk, shop: Shop, hasty: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, review = await _stuck(shop, hasty)
    assert made.operation is not None
    one = key()
    written = type(desk.reviews)._written

    async def dies(*_: Any) -> Review:
        raise ConnectionError

    monkeypatch.setattr(type(desk.reviews), "_written", dies)
    with pytest.raises(ConnectionError):
        await desk.settle(review, made.operation.id, "SUCCEEDED", idempotency_key=one)
    monkeypatch.setattr(type(desk.reviews), "_written", written)
    assert (await shop.payment(made.payment.id)).status == "CAPTURED"
    done = await desk.settle(review, made.operation.id, "SUCCEEDED", idempotency_key=one)
    assert done.closed_by == "Ada"
    assert await desk.kinds(review) == ["settled by Ada", "closed by Ada"]
