"""Do payments through Stripe come out right in the engine's own books, on bad days too?"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from fake_stripe_mailbox import Mailbox
from fake_stripe_process import FakeStripe
from fake_stripe_shop import WEBHOOK_SECRET, StripeShop, open_shop
from payengine.customers import CreateCustomer, SavePaymentMethod
from payengine.payments import Payment
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard

from tests.engines import Till, key, open_till
from tests.notices import Doorbell, Notice, drain
from tests.servers import HomeOfTest

_CHAOS = {
    "rate_limit": 30,
    "error_before": 60,
    "error_after": 60,
    "reset_before": 30,
    "reset_after": 60,
    "hang_before": 20,
    "hang_after": 40,
}


@pytest.fixture
async def hasty(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine that waits little for a gateway; its loops stand still."""
    async with open_till(payment_home, gateway_deadline_ms=2_000) as opened:
        # The storm shall strike calls, and not have the breaker keep them back for seconds.
        opened.engine.registry.guard = Guard(breakers=Breakers(threshold=10**9))
        yield opened


async def _settled(shop: StripeShop, payment_ids: list[str]) -> list[Payment]:
    """Look as often as it takes, each time as if the next look were due."""
    for round_ in range(60):
        payments = await shop.engine.payments.get_many(shop.context, payment_ids)
        if all(payment.status != "PROCESSING" for payment in payments.values()):
            break
        await shop.look(after=timedelta(minutes=1 + 11 * round_))
    return [await shop.check(payment_id) for payment_id in payment_ids]


async def test_a_payment_its_refunds_and_its_fee_agree_with_stripes_books(
    stripe_shop: StripeShop,
) -> None:
    paid = await stripe_shop.charge(12_00)
    for amount in (200, None):
        refunded = await stripe_shop.refund(paid.id, amount, reason="duplicate")
        assert refunded.operation is not None
        assert refunded.operation.status == "succeeded"
    payment = await stripe_shop.check(paid.id)
    assert (payment.captured_minor, payment.refunded_minor) == (1_200, 1_200)
    lines = await stripe_shop.movements()
    assert [(line.kind, line.amount.minor, line.fee_minor) for line in lines] == [
        ("capture", 1_200, 64),
        ("refund", -200, 0),
        ("refund", -1_000, 0),
    ]
    await stripe_shop.assert_sound()


async def test_a_hold_is_raised_taken_in_parts_and_the_rest_released(
    stripe_shop: StripeShop,
) -> None:
    held = await stripe_shop.hold(1_000)
    assert held.hold_expires_at is not None
    await stripe_shop.increment(held.id, 500)
    await stripe_shop.capture(held.id, 300, final=False)
    await stripe_shop.capture(held.id, 400, final=False)
    await stripe_shop.void(held.id)
    payment = await stripe_shop.check(held.id)
    assert (payment.authorized_minor, payment.captured_minor) == (1_500, 700)
    assert payment.voided_minor == 800
    await stripe_shop.assert_sound()


async def test_a_final_part_releases_the_rest(stripe_shop: StripeShop) -> None:
    held = await stripe_shop.hold(1_000)
    await stripe_shop.capture(held.id, 300, final=True)
    payment = await stripe_shop.check(held.id)
    assert (payment.captured_minor, payment.voided_minor) == (300, 700)
    await stripe_shop.assert_sound()


async def test_without_multicapture_a_part_that_is_not_final_takes_nothing(
    stripe_till: Till, fake: FakeStripe
) -> None:
    shop = await open_shop(stripe_till, fake, multicapture=False)
    held = await shop.hold(1_000)
    refused = await shop.capture(held.id, 300, final=False)
    assert refused.operation is not None
    assert refused.operation.status == "not_sent"
    await shop.capture(held.id, 1_000)
    assert (await shop.check(held.id)).captured_minor == 1_000
    await shop.assert_sound()


@pytest.mark.parametrize(("choice", "status"), [("approve", "CAPTURED"), ("fail", "DECLINED")])
async def test_three_d_secure_goes_on_when_the_buyer_comes_back(
    stripe_shop: StripeShop, choice: str, status: str
) -> None:
    asked = await stripe_shop.pay(token="pm_card_threeDSecure2Required")
    assert asked.payment.status == "REQUIRES_ACTION"
    url = asked.payment.next_action_url
    assert url is not None
    assert (await stripe_shop.confirm(asked.payment.id)).payment.status == "REQUIRES_ACTION"
    back = stripe_shop.fake.answer_challenge(url, choice)
    assert back.headers["location"].startswith("https://shop.example/back?payment_intent=pi_")
    confirmed = await stripe_shop.confirm(asked.payment.id)
    assert confirmed.payment.status == status
    if choice == "fail":
        assert confirmed.payment.decline_code == "authentication_required"
    await stripe_shop.assert_sound()


async def test_a_challenge_can_be_called_off(stripe_shop: StripeShop) -> None:
    asked = await stripe_shop.pay(token="pm_card_threeDSecure2Required")
    await stripe_shop.void(asked.payment.id)
    assert (await stripe_shop.check(asked.payment.id)).status == "CANCELED"
    intents = stripe_shop.fake.books(stripe_shop.key)["payment_intent"]
    assert [intent["status"] for intent in intents] == ["canceled"]


async def test_a_decline_keeps_stripes_words_and_another_card_may_follow(
    stripe_shop: StripeShop,
) -> None:
    declined = await stripe_shop.pay(token="pm_card_visa_chargeDeclinedInsufficientFunds")
    assert declined.payment.status == "DECLINED"
    assert declined.payment.decline_code == "insufficient_funds"
    assert declined.operation is not None
    assert declined.operation.raw_text == "Your card has insufficient funds."
    again = await stripe_shop.confirm(declined.payment.id, "pm_card_visa")
    assert again.payment.status == "CAPTURED"
    await stripe_shop.assert_sound()


async def test_a_saved_method_is_charged_while_the_buyer_is_away(stripe_shop: StripeShop) -> None:
    fake, api_key = stripe_shop.fake, stripe_shop.key
    stripe_customer = fake.post("customers", api_key, {}).json()["id"]
    made = {"type": "card", "card[token]": "tok_visa"}
    method = fake.post("payment_methods", api_key, made).json()["id"]
    fake.post(f"payment_methods/{method}/attach", api_key, {"customer": stripe_customer})
    customers = stripe_shop.engine.customers
    customer = await customers.create(stripe_shop.context, CreateCustomer(idempotency_key=key()))
    for token in (method, f"{stripe_customer}/{method}"):
        saved = await customers.save_method(
            stripe_shop.context,
            SavePaymentMethod(idempotency_key=key(), customer_id=customer.id, token=token),
        )
        paid = await stripe_shop.pay(
            token=None,
            saved_payment_method_id=saved.id,
            customer_id=customer.id,
            off_session=True,
        )
        assert paid.payment.status == "CAPTURED"
    intents = fake.books(api_key)["payment_intent"]
    assert {intent["customer"] for intent in intents} == {stripe_customer}


async def test_two_hundred_payments_in_a_storm_are_charged_once_each(
    hasty: Till, fake: FakeStripe
) -> None:
    shop = await open_shop(hasty, fake)
    fake.faults(shop.key, seed=5, **_CHAOS)
    places = asyncio.Semaphore(16)

    async def buy(number: int) -> str:
        async with places:
            bought = await shop.pay(1_000 + number, capture_method="AUTOMATIC")
            return bought.payment.id

    ids = list(await asyncio.gather(*map(buy, range(200))))
    payments = await _settled(shop, ids)
    struck = fake.state(shop.key)["struck"]
    assert sum(struck.values()) > 10  # the operations' ids decide which; three in ten are
    assert len(struck) >= 5
    fake.faults(shop.key)
    # Whatever was not sent at all is tried again by the shop, as it would be.
    for payment in payments:
        if payment.status == "CREATED":
            await shop.confirm(payment.id, "pm_card_visa")
    payments = [await shop.check(payment_id) for payment_id in ids]
    assert Counter(payment.status for payment in payments) == {"CAPTURED": 200}
    books = fake.books(shop.key)
    charges = Counter(charge["metadata"]["payengine_payment"] for charge in books["charge"])
    assert charges == dict.fromkeys(ids, 1)
    taken = sum(line["amount"] for line in books["balance_transaction"])
    assert taken == sum(payment.captured_minor for payment in payments)
    assert taken == sum([(await shop.booked(payment_id))[0] for payment_id in ids])
    await shop.assert_sound()


async def test_an_answer_that_is_lost_for_good_is_found_by_its_mark(
    hasty: Till, fake: FakeStripe
) -> None:
    shop = await open_shop(hasty, fake)
    fake.faults(shop.key, seed=1, hang_after=1_000)
    held = await shop.pay(1_000, capture_method="MANUAL")
    assert held.payment.status == "PROCESSING"
    (payment,) = await _settled(shop, [held.payment.id])
    assert payment.status == "AUTHORIZED"
    captured = await shop.capture(payment.id, 400, final=True)
    assert captured.operation is not None
    assert captured.operation.status == "unknown"
    await shop.look(after=timedelta(minutes=11))
    refunded = await shop.refund(payment.id, 100)
    assert refunded.operation is not None
    assert refunded.operation.status == "unknown"
    await shop.look(after=timedelta(minutes=11))
    payment = await shop.check(payment.id)
    assert (payment.captured_minor, payment.refunded_minor) == (400, 100)
    assert (payment.voided_minor, payment.refund_reserved_minor) == (600, 0)
    sources = [
        evidence.source
        for operation in await shop.operations(payment.id)
        for evidence in await shop.evidence(operation.id)
    ]
    assert sources == ["lookup"] * 3
    await shop.assert_sound()


async def test_webhooks_twice_and_in_any_order_settle_what_the_buyer_did(
    stripe_shop: StripeShop, mailbox: Mailbox
) -> None:
    fake, api_key = stripe_shop.fake, stripe_shop.key
    fake.endpoint(api_key, mailbox.url, WEBHOOK_SECRET, doubled=100, late=50, seed=2)
    asked = [await stripe_shop.pay(token="pm_card_threeDSecure2Required") for _ in range(4)]
    for number, result in enumerate(asked):
        url = result.payment.next_action_url or ""
        fake.answer_challenge(url, "fail" if number == 3 else "approve")
    await mailbox.until_quiet(fake, api_key)
    bell = await Doorbell.of(stripe_shop.engine, stripe_shop.context, "stripe")
    calls = [Notice(dict(one.headers), one.body) for one in mailbox.requests]
    random.Random(4).shuffle(calls)
    for call in calls:
        await bell.ring(call)
    await drain(stripe_shop.engine)
    payments = [await stripe_shop.check(result.payment.id) for result in asked]
    assert [payment.status for payment in payments] == ["CAPTURED"] * 3 + ["DECLINED"]
    assert {row.state for row in await bell.received()} <= {"applied", "stale"}
    await stripe_shop.assert_sound()  # the fee too, which no webhook tells


async def test_a_dispute_reaches_the_payment_and_is_won(
    stripe_shop: StripeShop, mailbox: Mailbox
) -> None:
    fake, api_key = stripe_shop.fake, stripe_shop.key
    fake.endpoint(api_key, mailbox.url, WEBHOOK_SECRET)
    bell = await Doorbell.of(stripe_shop.engine, stripe_shop.context, "stripe")

    async def hear() -> None:
        await mailbox.until_quiet(fake, api_key)
        while mailbox.requests:
            request = mailbox.requests.pop(0)
            await bell.ring(Notice(dict(request.headers), request.body))
        await drain(stripe_shop.engine)

    paid = await stripe_shop.charge(1_000, token="pm_card_createDispute")
    await hear()
    payment = await stripe_shop.payment(paid.id)
    assert payment.charged_back_minor == 1_000
    (dispute,) = fake.books(api_key)["dispute"]
    won = {"evidence[uncategorized_text]": "winning_evidence", "submit": "true"}
    assert fake.post(f"disputes/{dispute['id']}", api_key, won).status_code == 200
    await hear()
    payment = await stripe_shop.payment(paid.id)
    assert (payment.captured_minor, payment.charged_back_minor) == (1_000, 0)
    assert {row.state for row in await bell.received()} <= {"applied", "stale"}
    await stripe_shop.assert_sound()


async def test_an_error_that_stripe_keeps_for_the_key_ends_when_the_key_is_forgotten(
    stripe_shop: StripeShop,
) -> None:
    fake, api_key = stripe_shop.fake, stripe_shop.key
    fake.faults(api_key, kept_500=1_000)
    bought = await stripe_shop.pay(1_000)
    fake.faults(api_key)
    for hours in (1, 22, 25):  # the same error comes back, and then nothing may be sent any more
        await stripe_shop.look(after=timedelta(hours=hours))
        assert (await stripe_shop.check(bought.payment.id)).status == "PROCESSING"
    await stripe_shop.look(after=timedelta(hours=27))
    assert (await stripe_shop.check(bought.payment.id)).status == "CREATED"
    (operation,) = await stripe_shop.operations(bought.payment.id)
    evidence = await stripe_shop.evidence(operation.id)
    assert (evidence[-1].source, evidence[-1].finding) == ("lookup", "not_sent")
    again = await stripe_shop.confirm(bought.payment.id, "pm_card_visa")
    assert again.payment.status == "CAPTURED"
    assert len(fake.books(api_key)["charge"]) == 1
    await stripe_shop.assert_sound()
