"""Do Stripe's own books read as movements of ours, in the payment's currency?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_stripe_process import FakeStripe, call_of, payment
from payengine.plugin import Amount, Capture, Refund
from payengine_stripe.gateway import StripeGateway
from payengine_stripe.objects import BalanceTransaction, read
from payengine_stripe.problems import Unreadable
from payengine_stripe.statement import _movement

_DAY = timedelta(days=1)
_INTENT = {
    "id": "pi_1",
    "amount": 1_000,
    "amount_received": 1_000,
    "capture_method": "automatic",
    "created": 1,
    "currency": "eur",
    "livemode": False,
    "metadata": {"payengine_key": "op_1"},
    "status": "succeeded",
}


def line(**more: Any) -> BalanceTransaction:
    """A line about a charge of 10.00 EUR that settled in USD."""
    charge = {
        "id": "ch_1",
        "amount": 1_000,
        "currency": "eur",
        "paid": True,
        "captured": True,
        "payment_intent": _INTENT,
    }
    made = {"id": "txn_1", "amount": 1_087, "currency": "usd", "fee": 62, "type": "charge"}
    return read({**made, "created": 1_700_000_000, "source": charge, **more}, BalanceTransaction)


def test_what_settles_in_another_currency_is_told_in_the_payments_without_the_fee() -> None:
    movement = _movement(line(), {})
    assert movement is not None
    assert (movement.key, movement.amount, movement.fee_minor) == ("op_1", Amount(1_000, "EUR"), 0)


def test_a_hold_that_settles_in_another_currency_is_told_by_its_mark() -> None:
    marks = {"payengine_key": "op_1", "payengine_capture_a": "400 op_2"}
    intent = {**_INTENT, "capture_method": "manual", "metadata": marks, "amount_received": 400}
    held = line()
    source = {**held.source, "payment_intent": intent}
    movement = _movement(line(source=source), {})
    assert movement is not None
    assert (movement.key, movement.amount) == ("op_2", Amount(400, "EUR"))


def test_a_capture_that_nobody_marked_is_not_guessed() -> None:
    intent = {**_INTENT, "capture_method": "manual"}
    source = {**line().source, "payment_intent": intent}
    with pytest.raises(Unreadable, match="not marked"):
        _movement(line(source=source), {})


@pytest.mark.parametrize("kind", ["payout", "adjustment", "stripe_fee", "transfer"])
def test_other_lines_are_passed_over(kind: str) -> None:
    assert _movement(line(type=kind, source="po_1"), {}) is None


def test_other_peoples_charges_and_refunds_are_passed_over() -> None:
    foreign = {**line().source, "payment_intent": {**_INTENT, "metadata": {}}}
    assert _movement(line(source=foreign), {}) is None
    bare = {**line().source, "payment_intent": None}
    assert _movement(line(source=bare), {}) is None
    refund = {"id": "re_1", "amount": 5, "currency": "eur", "status": "succeeded", "metadata": {}}
    assert _movement(line(type="refund", source=refund), {}) is None


async def test_every_page_is_read_and_the_span_is_half_open(
    gateway: StripeGateway, key: str
) -> None:
    call = call_of(key)
    requests = [payment(minor=1_000 + number) for number in range(230)]
    for start in range(0, 230, 10):  # all at once, connecting would take its time
        some = requests[start : start + 10]
        await asyncio.gather(*(gateway.authorize(call, request) for request in some))
    now = datetime.now(UTC)
    lines = await gateway.movements(call, since=now - _DAY, until=now + _DAY)
    assert {each.key for each in lines} == {request.key for request in requests}
    assert len(lines) == 230
    assert [each.at for each in lines] == sorted(each.at for each in lines)
    first = lines[0].at
    assert await gateway.movements(call, since=first - _DAY, until=first) == []
    later = first + timedelta(milliseconds=1)
    at_first = [each for each in lines if each.at == first]
    assert await gateway.movements(call, since=first, until=later) == at_first
    assert all(
        each.at > first for each in await gateway.movements(call, since=later, until=now + _DAY)
    )


async def test_equal_captures_each_have_their_line(gateway: StripeGateway, key: str) -> None:
    call = call_of(key, multicapture=True)
    held = await gateway.authorize(call, payment(capture=False))
    reference = held.provider_reference or ""
    for name in ("a", "b", "c"):
        part = Capture(
            key=name, provider_reference=reference, amount=Amount(200, "EUR"), final=False
        )
        await gateway.capture(call, part)
    now = datetime.now(UTC)
    lines = await gateway.movements(call, since=now - _DAY, until=now + _DAY)
    assert sorted(each.key for each in lines) == ["a", "b", "c"]
    assert {each.amount.minor for each in lines} == {200}


async def test_a_refund_that_failed_gives_the_money_back(
    gateway: StripeGateway, fake: FakeStripe, key: str
) -> None:
    call = call_of(key)
    sale = await gateway.authorize(call, payment(token="pm_card_refundFail"))
    reference = sale.provider_reference or ""
    await gateway.refund(
        call, Refund(key="r", provider_reference=reference, amount=Amount(300, "EUR"))
    )
    now = datetime.now(UTC)
    given: list[int] = []
    async with asyncio.timeout(60):
        while len(given) < 2:
            await asyncio.sleep(0.1)
            lines = await gateway.movements(call, since=now - _DAY, until=now + _DAY)
            given = [each.amount.minor for each in lines if each.kind == "refund"]
    assert given == [-300, 300]
    assert fake.books(key)["refund"][0]["status"] == "failed"
