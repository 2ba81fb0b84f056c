"""Do disputes end as the provider says, whatever the order, and does the ledger follow?"""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from payengine.errors import NotFound, RefundExceedsCaptured
from payengine.plugin import DisputeEvent
from payengine_sandbox.disputes import OpenDispute

from tests.core.payments.disputing import BEGAN, Court, report
from tests.engines import Shop

_DAY = timedelta(days=1)


@pytest.fixture
def court(shop: Shop) -> Court:
    """A fresh shop's disputes."""
    return Court(shop)


async def test_what_is_disputed_is_gone_until_it_is_won(court: Court, shop: Shop) -> None:
    paid, sent = await court.charge()
    before = await court.balances()
    dispute = await court.hear(report(sent, amount=600))
    after = await shop.payment(paid.id)
    assert (dispute.status, after.charged_back_minor, after.refundable_minor) == (
        "NEEDS_RESPONSE",
        600,
        400,
    )
    assert (after.status, after.anomalies, after.needs_review) == ("CAPTURED", (), False)
    with pytest.raises(RefundExceedsCaptured):
        await shop.refund(paid.id, 401)
    await shop.refund(paid.id, 400)
    won = await court.hear(report(sent, "won", amount=600, at=BEGAN + _DAY, fee_returned=True))
    after = await shop.payment(paid.id)
    assert (won.status, after.charged_back_minor, after.refundable_minor) == ("WON", 0, 600)
    left = await court.balances()
    assert left["merchant_payable:main"] - before["merchant_payable:main"] == 400
    assert not [account for account in left if account.startswith("dispute")]
    assert await court.events() == ["dispute.opened", "dispute.won", "dispute.updated"]
    await shop.assert_sound()


async def test_what_is_lost_stays_gone_with_its_fee(court: Court, shop: Shop) -> None:
    paid, sent = await court.charge(10_000)
    before = await court.balances()
    await court.hear(report(sent, amount=5_000, fee_minor=1_500))
    lost = await court.hear(report(sent, "lost", amount=5_000, fee_minor=1_500))
    after = await shop.payment(paid.id)
    assert (lost.status, after.charged_back_minor, after.refundable_minor) == ("LOST", 5_000, 5_000)
    left = await court.balances()
    moved = {name: left.get(name, 0) - before.get(name, 0) for name in left | before}
    assert {name: amount for name, amount in moved.items() if amount} == {
        "dispute_fee_recovery": -1_500,
        "dispute_fees:sandbox": 1_500,
        "merchant_payable:main": 6_500,
        "psp_receivable:sandbox": -6_500,
    }
    assert await court.events() == ["dispute.opened", "dispute.lost"]
    await shop.assert_sound()


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_status_that_nobody_knows_is_kept_and_told_and_moves_nothing(
    court: Court, shop: Shop, *, is_known: bool
) -> None:
    _, sent = await court.charge()
    if is_known:
        await court.hear(report(sent, "under_review", at=BEGAN))
    before = await court.balances()
    strange = report(sent, "unmodelled", at=BEGAN + _DAY, raw_status="in_arbitration")
    dispute = await court.hear(strange)
    assert dispute.status == ("UNDER_REVIEW" if is_known else "NEEDS_RESPONSE")
    assert (await court.balances() == before) is is_known  # a new one sets the money aside
    assert (await court.events()).count("dispute.status_unmodelled") == 1
    await court.hear(strange)
    assert (await court.events()).count("dispute.status_unmodelled") == 1
    lost = await court.hear(report(sent, "lost", at=BEGAN + 2 * _DAY))
    assert lost.status == "LOST"
    await shop.assert_sound()


_STORY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("needs_response", {"fee_minor": 0, "reason": ""}),
    ("needs_response", {"evidence_due_at": BEGAN + 9 * _DAY}),
    ("under_review", {"evidence_due_at": BEGAN + 12 * _DAY}),
    ("won", {}),
    ("won", {"fee_returned": True}),
)


def _story(sent: str) -> list[DisputeEvent]:
    return [
        report(sent, status, amount=700, at=BEGAN + n * _DAY, event=f"evt_{n}", **told)  # type: ignore[arg-type]
        for n, (status, told) in enumerate(_STORY)
    ]


async def _end_of(court: Court, events: list[DisputeEvent]) -> tuple[Any, ...]:
    """What stands after these events: dispute, payment and books, without names and instants."""
    paid, sent = await court.charge()
    dispute = None
    for event in events:
        told = DisputeEvent(
            event_id=event.event_id,
            key=sent,
            provider_reference=None,
            dispute=event.dispute,
            occurred_at=event.occurred_at,
        )
        dispute = await court.hear(told)
    assert dispute is not None
    payment = await court.shop.check_books(paid.id)
    return (
        dispute.status,
        dispute.reason,
        dispute.fee_minor,
        dispute.fee_returned,
        dispute.evidence_due_at,
        payment.charged_back_minor,
        payment.anomalies,
        payment.conflicted,
        payment.needs_review,
        sorted((await court.balances()).items()),
    )


async def test_every_order_of_the_same_events_ends_alike(shop: Shop) -> None:
    wanted = await _end_of(Court(await shop.till.shop()), _story(""))
    assert wanted[:4] == ("WON", "fraudulent", 150, True)
    seeded = random.Random(5)
    for order in itertools.permutations(_story("")):
        events = [*order]
        for copy in seeded.sample(events, 2):
            events.insert(seeded.randrange(len(events) + 1), copy)
        assert await _end_of(Court(await shop.till.shop()), events) == wanted


@pytest.mark.parametrize("first", ["won", "lost"])
async def test_lost_is_final_and_a_contradiction_is_for_a_person(
    court: Court, shop: Shop, first: str
) -> None:
    paid, sent = await court.charge()
    verdicts = {
        "won": report(sent, "won", at=BEGAN + 2 * _DAY),
        "lost": report(sent, "lost", at=BEGAN + _DAY),
    }
    await court.hear(verdicts.pop(first))
    (second,) = verdicts.values()
    dispute = await court.hear(second)
    after = await shop.check_books(paid.id)
    assert (dispute.status, after.charged_back_minor) == ("LOST", 1_000)
    assert (after.anomalies, after.conflicted, after.needs_review) == (
        ("dispute_contradicted",),
        True,
        True,
    )
    left = await court.balances()
    assert not [name for name in left if name.startswith(("dispute_hold", "dispute_receivable"))]
    assert left["merchant_payable:main"] == 150
    version = after.version
    await court.hear(report(sent, "won", at=BEGAN + 3 * _DAY))
    assert (await shop.payment(paid.id)).version == version
    await shop.assert_sound()


async def test_a_dispute_over_what_was_refunded_is_recorded_and_reviewed(
    court: Court, shop: Shop
) -> None:
    paid, sent = await court.charge()
    await shop.refund(paid.id, 700)
    await court.hear(report(sent, amount=1_000))
    after = await shop.check_books(paid.id)
    assert (after.charged_back_minor, after.refundable_minor) == (1_000, 0)
    assert (after.anomalies, after.needs_review) == (("over_refunded",), True)
    (review,) = await _reviews(shop)
    assert review.payment_id == paid.id
    await court.hear(report(sent, "won", amount=1_000, at=BEGAN + _DAY))
    after = await shop.check_books(paid.id)
    assert (after.charged_back_minor, after.anomalies, after.needs_review) == (0, (), True)
    await shop.assert_sound()


async def test_a_dispute_meets_a_refund_that_is_under_way(court: Court, shop: Shop) -> None:
    paid, sent = await court.charge(10_000, token="tok_magic")
    await shop.refund(paid.id, 3_014)  # pending
    await court.hear(report(sent, amount=9_000))
    after = await shop.check_books(paid.id)
    assert after.anomalies == ("over_refunded",)
    assert after.refund_reserved_minor == 3_014
    await shop.assert_sound()


async def _reviews(shop: Shop) -> list[Any]:
    from payengine.payments.review import ReviewFilter

    return await shop.engine.reviews.page(shop.context, ReviewFilter(), first=10)


async def test_another_amount_or_currency_than_before_is_for_a_person(
    court: Court, shop: Shop
) -> None:
    paid, sent = await court.charge()
    await court.hear(report(sent, amount=500))
    dispute = await court.hear(report(sent, amount=501))
    after = await shop.check_books(paid.id)
    assert (dispute.amount_minor, after.charged_back_minor, after.conflicted) == (500, 500, True)
    foreign, sent = await court.charge()
    await court.hear(report(sent, amount=900, currency="USD", reference="dp_usd"))
    after = await shop.check_books(foreign.id)
    assert (after.charged_back_minor, after.conflicted, after.needs_review) == (0, True, True)
    await court.hear(report(sent, "lost", amount=900, currency="USD", reference="dp_usd"))
    assert (await shop.check_books(foreign.id)).charged_back_minor == 0
    await shop.assert_sound()


async def test_a_dispute_of_nothing_we_know_is_not_found_and_writes_nothing(
    court: Court, shop: Shop, other_shop: Shop
) -> None:
    _, foreign = await Court(other_shop).charge()
    before = await shop.rows()
    for event in (report(foreign), report(None, known_as="sbx_nobody"), report(None)):
        with pytest.raises(NotFound):
            await court.hear(event)
    assert await shop.rows() == before


async def test_the_providers_own_reference_finds_the_payment(court: Court, shop: Shop) -> None:
    paid = await shop.pay()
    assert paid.operation is not None
    known_as = paid.operation.provider_reference
    dispute = await court.hear(report(None, known_as=known_as))
    assert dispute.payment_id == paid.payment.id
    later = await court.hear(report(None, "lost", reference="dp_1"))
    assert (later.id, later.status) == (dispute.id, "LOST")


async def test_many_reports_at_once_are_one_dispute(court: Court, shop: Shop) -> None:
    paid, sent = await court.charge()
    events = [report(sent, status, amount=400) for status in ("needs_response", "lost")] * 5
    await asyncio.gather(*(court.hear(event) for event in events))
    assert [each.status for each in await court.all()] == ["LOST"]
    assert (await shop.check_books(paid.id)).charged_back_minor == 400
    assert (await court.events()).count("dispute.opened") == 1
    await shop.assert_sound()


async def test_refunds_and_a_dispute_race_without_going_below_nothing(
    court: Court, shop: Shop
) -> None:
    paid, sent = await court.charge()

    async def refund() -> bool:
        try:
            return (await shop.refund(paid.id, 100)).error is None
        except RefundExceedsCaptured:
            return False

    *given, _ = await asyncio.gather(
        *(refund() for _ in range(12)), court.hear(report(sent, amount=500))
    )
    after = await shop.check_books(paid.id)
    assert after.refunded_minor == 100 * sum(map(bool, given))
    over = after.refunded_minor + after.charged_back_minor > 1_000
    assert over == ("over_refunded" in after.anomalies) == after.needs_review
    await shop.assert_sound()


async def test_the_sandboxs_bank_takes_the_money_back_too(court: Court, shop: Shop) -> None:
    paid, sent = await court.charge()
    account = str(shop.context.tenant_id)
    opened = await court.book().open(account, OpenDispute(key=sent, amount_minor=600))
    refused = await shop.refund(paid.id, 500)  # the engine has not heard of the dispute yet
    assert refused.operation is not None
    assert (refused.operation.status, refused.operation.raw_code) == (
        "declined",
        "refund_exceeds_captured",
    )
    await court.book().decide(account, opened.reference, "won")
    assert (await shop.refund(paid.id, 500)).payment.refunded_minor == 500
