"""Does a real engine take payments through PayPal, and do both books say the same?

A PostgreSQL of its own, the engine with its registry, guard and reconciler, and the fake in another
process.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from fake_paypal import FakePayPal
from payengine.payments import MethodInput
from payengine.plugin import DisputeEvent, WebhookEvent, WebhookRefused, WebhookRequest
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard

from tests.engines import Shop, Till, key, open_till
from tests.notices import Doorbell, Notice, drain
from tests.servers import migrated_home

pytest_plugins = ("paypal_account",)

_OVER = ("CAPTURED", "AUTHORIZED", "DECLINED", "CREATED", "CANCELED")


@pytest.fixture(scope="module")
async def till() -> AsyncIterator[Till]:
    """An engine on a database of its own; its loops stand still."""
    async with migrated_home() as home, open_till(home, gateway_deadline_ms=4_000) as opened:
        # The wall's time is the test's: an open breaker rests for half a second, not for ten.
        opened.engine.registry.guard = Guard(breakers=Breakers(open_for_s=0.5))
        yield opened


@dataclass(frozen=True)
class Stand:
    """A tenant that is paid through PayPal."""

    shop: Shop
    paypal: FakePayPal
    merchant: str

    async def pay(self, amount: int = 1_200, token: str = "vault_ok", **more: Any) -> Any:
        """A new payment by PayPal."""
        method = MethodInput(token=token, kind="paypal")
        given: dict[str, Any] = {"payment_method": method, "return_url": "https://shop.example/r"}
        return await self.shop.pay(amount, **(given | more))

    def orders(self) -> dict[str, dict[str, Any]]:
        """The fake's books, by our key."""
        return {row["key"]: row for row in self.paypal.sums(self.merchant)}

    async def keys_of(self, payment_id: str) -> list[str]:
        """The keys of a payment's authorizations."""
        operations = await self.shop.operations(payment_id)
        return [one.provider_key for one in operations if one.kind == "authorize"]

    async def reconcile(self, payment_ids: list[str]) -> None:
        """Let time pass until every one of these payments has come to an end.

        PayPal keeps keys for three hours: after that only a person could tell.
        """
        for round_ in range(1, 170):
            room, context = self.shop.engine.payments, self.shop.context
            payments = (await room.get_many(context, payment_ids)).values()
            made = await room.operations_of(context, payment_ids)
            operations = [one for each in made.values() for one in each]
            waits = {"created", "sending", "unknown", "pending"}
            if all(one.status in _OVER for one in payments) and not any(
                one.status in waits for one in operations
            ):
                return
            await self.shop.look(after=timedelta(minutes=round_))
            await self.calm()
        raise AssertionError([one for one in operations if one.status in waits])

    async def calm(self) -> None:
        """Wait until the breaker lets requests go out: it rests on the wall's time."""
        guard, tenant_id = self.shop.engine.registry.guard, self.shop.context.tenant_id
        for _ in range(120):
            if guard.breaker_state(tenant_id, "paypal") != "open":
                return
            await asyncio.sleep(0.1)


@pytest.fixture
async def stand(till: Till, paypal: FakePayPal) -> Stand:
    """A fresh tenant with PayPal switched on."""
    paypal.ask("set", faults={}, slow_s=0, pending_s=0.2)
    merchant = f"m{uuid.uuid4().hex}"
    shop = await till.shop()
    plain = msgspec.to_builtins(paypal.settings(merchant))
    await shop.engine.registry.save_settings(shop.context, "paypal", enabled=True, settings=plain)
    return Stand(shop, paypal, merchant)


async def test_buyer_approves_and_confirm_takes_the_money(stand: Stand) -> None:
    asked = await stand.pay(token="paypal")
    assert asked.payment.status == "REQUIRES_ACTION"
    (operation,) = await stand.shop.operations(asked.payment.id)
    assert operation.next_action_url is not None
    again = await stand.shop.confirm(asked.payment.id)
    assert again.payment.status == "REQUIRES_ACTION"
    stand.paypal.click(operation.next_action_url, "agree")
    done = await stand.shop.confirm(asked.payment.id)
    assert done.payment.status == "CAPTURED"
    assert done.payment.captured_minor == 1_200
    (row,) = stand.orders().values()
    assert row["captures"] == [[asked.payment.id, 1_200]]
    await stand.shop.check(asked.payment.id)
    await stand.shop.assert_sound()


async def test_buyer_who_closes_the_browser_has_paid_all_the_same(stand: Stand) -> None:
    asked = await stand.pay(token="paypal", capture_method="MANUAL")
    (operation,) = await stand.shop.operations(asked.payment.id)
    stand.paypal.approve(stand.merchant, str(operation.provider_reference))
    await stand.reconcile([asked.payment.id])
    payment = await stand.shop.check(asked.payment.id)
    assert payment.status == "AUTHORIZED"


async def test_canceled_payment_is_never_taken(stand: Stand) -> None:
    asked = await stand.pay(token="paypal")
    (operation,) = await stand.shop.operations(asked.payment.id)
    voided = await stand.shop.void(asked.payment.id)
    assert voided.payment.status == "CANCELED"
    stand.paypal.approve(stand.merchant, str(operation.provider_reference))
    await stand.shop.look(after=timedelta(hours=1))
    assert (await stand.shop.check(asked.payment.id)).status == "CANCELED"
    assert [row["captures"] for row in stand.orders().values()] == [[]]


async def test_hold_is_captured_in_parts_voided_and_refunded(stand: Stand) -> None:
    held = await stand.pay(capture_method="MANUAL")
    assert held.payment.status == "AUTHORIZED"
    payment_id = held.payment.id
    await stand.shop.capture(payment_id, 500, final=False)
    await stand.shop.capture(payment_id, 300, final=False)
    voided = await stand.shop.void(payment_id)
    assert voided.payment.voided_minor == 400
    for amount in (600, 200):
        refunded = await stand.shop.refund(payment_id, amount)
        assert refunded.operation is not None
        assert refunded.operation.status == "succeeded"
    payment = await stand.shop.check(payment_id)
    assert (payment.captured_minor, payment.refunded_minor) == (800, 800)
    (row,) = stand.orders().values()
    assert sum(minor for _, minor in row["refunds"]) == 800
    await stand.shop.assert_sound()


async def test_saved_account_is_charged_while_the_buyer_is_away(stand: Stand) -> None:
    paid = await stand.pay(off_session=True)
    assert paid.payment.status == "CAPTURED"
    (row,) = stand.orders().values()
    assert row["status"] == "COMPLETED"
    booked, _ = await stand.shop.booked(paid.payment.id)
    assert booked == 1_200


async def test_decline_is_a_result_and_another_try_may_follow(stand: Stand) -> None:
    declined = await stand.pay(token="issue_INSTRUMENT_DECLINED")
    assert declined.payment.status == "DECLINED"
    assert declined.payment.decline_code == "generic_decline"
    again = await stand.shop.confirm(
        declined.payment.id, payment_method=MethodInput(token="vault_ok", kind="paypal")
    )
    assert again.payment.status == "CAPTURED"


async def test_webhooks_are_believed_by_the_engine_and_forgeries_are_not(stand: Stand) -> None:
    paid = await stand.pay()
    (event,) = stand.paypal.events(stand.merchant)
    request = WebhookRequest(
        headers=event["headers"], body=event["body"].encode(), received_at=datetime.now(UTC)
    )
    registry = stand.shop.engine.registry
    (found,) = await registry.parse_webhook(stand.shop.context, "paypal", request)
    assert isinstance(found, WebhookEvent | DisputeEvent)
    assert [found.key] == await stand.keys_of(paid.payment.id)
    forged = msgspec.structs.replace(request, body=request.body.replace(b"12.00", b"13.00"))
    with pytest.raises(WebhookRefused):
        await registry.parse_webhook(stand.shop.context, "paypal", forged)


async def _deliver(stand: Stand, *, shuffled: bool = False, times: int = 1) -> list[str]:
    """Let everything that PayPal has to tell come in; the states in which it ends."""
    engine, context = stand.shop.engine, stand.shop.context
    doorbell = await Doorbell.of(engine, context, "paypal")
    events = stand.paypal.events(stand.merchant) * times
    if shuffled:
        random.Random(5).shuffle(events)
    for event in events:
        await doorbell.ring(Notice(event["headers"], event["body"].encode()))
    await drain(engine)
    return sorted(str(each.state) for each in await doorbell.received())


async def test_webhook_completes_what_the_buyer_approved(stand: Stand) -> None:
    asked = await stand.pay(token="paypal")
    (operation,) = await stand.shop.operations(asked.payment.id)
    stand.paypal.approve(stand.merchant, str(operation.provider_reference))
    await _deliver(stand)
    payment = await stand.shop.check(asked.payment.id)
    assert payment.status == "CAPTURED"
    (row,) = stand.orders().values()
    assert row["captures"] == [[asked.payment.id, 1_200]]


async def test_repeated_and_shuffled_webhooks_change_nothing_more(stand: Stand) -> None:
    held = await stand.pay(capture_method="MANUAL")
    await stand.shop.capture(held.payment.id, 500, final=False)
    await stand.shop.capture(held.payment.id, 300, final=False)
    await stand.shop.void(held.payment.id)
    await stand.shop.refund(held.payment.id, 200)
    before = await stand.shop.check(held.payment.id)
    states = await _deliver(stand, shuffled=True, times=3)
    assert len(states) == 5
    assert set(states) <= {"applied", "stale"}
    assert await stand.shop.check(held.payment.id) == before
    await stand.shop.assert_sound()


async def test_dispute_reaches_the_payment(stand: Stand) -> None:
    paid = await stand.pay()
    order = stand.paypal.ask("order", client_id=stand.merchant, id=next(
        row["id"] for row in stand.orders().values()))  # fmt: skip
    (capture,) = order["purchase_units"][0]["payments"]["captures"]
    opened = stand.paypal.ask("dispute", client_id=stand.merchant, id=capture["id"])
    states = await _deliver(stand)
    assert "unmatched" not in states
    stand.paypal.ask(
        "resolve",
        client_id=stand.merchant,
        id=opened["dispute_id"],
        status="RESOLVED",
        outcome="RESOLVED_BUYER_FAVOUR",
    )
    await _deliver(stand)
    operations = await stand.shop.operations(paid.payment.id)
    assert [one.kind for one in operations] == ["authorize", "dispute"]
    assert operations[1].status == "succeeded"


async def test_two_hundred_payments_in_a_storm_are_charged_once_each(stand: Stand) -> None:
    """30 % of PayPal's answers fail in one way or another; the books agree to the last cent."""
    stand.paypal.ask(
        "set",
        faults={
            "seed": 20_261_123,
            "hang_s": 0.3,
            "rates": {
                "error_before": 60,
                "error_after": 60,
                "unavailable": 30,
                "rate_limited": 20,
                "reset_before": 40,
                "reset_after": 60,
                "hang_after": 30,
            },
        },
    )
    places = asyncio.Semaphore(16)

    async def one(number: int) -> str:
        async with places:
            manual = {"capture_method": "MANUAL"} if number % 4 == 0 else {}
            paid = await stand.pay(1_000 + number, idempotency_key=key(), **manual)
            for _ in range(20):
                if paid.payment.status != "CREATED":
                    break
                await stand.calm()  # what an open breaker kept from going out goes out later
                method = MethodInput(token="vault_ok", kind="paypal")
                paid = await stand.shop.confirm(paid.payment.id, payment_method=method)
            return str(paid.payment.id)

    payment_ids = await asyncio.gather(*map(one, range(200)))
    met = stand.paypal.ask("met")
    # Whoever sent them is gone, and with them what the plugin remembers of a moment ago.
    gateway: Any = stand.shop.engine.registry.gateway("paypal").gateway
    await gateway.aclose()
    stand.paypal.ask("set", faults={"seed": 7, "rates": {"error_after": 150, "reset_after": 150}})
    await stand.reconcile(payment_ids)
    await _try_again(stand, payment_ids)
    await _follow(stand, payment_ids)
    await stand.reconcile(payment_ids)
    await _compare(stand, payment_ids)
    # The operations' ids decide which requests are struck: three in ten, half of them afterwards.
    assert sum(met.values()) > 10
    assert {"error_after", "reset_after", "hang_after"} & met.keys()


async def _try_again(stand: Stand, payment_ids: list[str]) -> None:
    """What is proved not to have been sent, the client sends again, until it is paid."""
    for payment_id in payment_ids:
        for _ in range(20):
            payment = await stand.shop.payment(payment_id)
            if payment.status in ("AUTHORIZED", "CAPTURED"):
                break
            if payment.status == "CREATED":
                await stand.calm()
                method = MethodInput(token="vault_ok", kind="paypal")
                await stand.shop.confirm(payment_id, payment_method=method)
            else:
                await stand.reconcile([payment_id])
        else:
            raise AssertionError(payment)


async def _follow(stand: Stand, payment_ids: list[str]) -> None:
    """Holds are captured in part, and every tenth payment that was taken is refunded in part."""
    for number, payment_id in enumerate(payment_ids):
        payment = await stand.shop.payment(payment_id)
        if payment.status == "AUTHORIZED":
            await stand.shop.capture(payment_id, 700)
        elif number % 10 == 1:
            await stand.shop.refund(payment_id, 300)
        await stand.calm()


async def _compare(stand: Stand, payment_ids: list[str]) -> None:
    """Per payment and in all, PayPal's books and ours."""
    orders = stand.orders()
    theirs = ours = captured = refunded = 0
    for payment_id in payment_ids:
        payment = await stand.shop.check(payment_id)
        rows = [orders[each] for each in await stand.keys_of(payment_id) if each in orders]
        captures = [minor for row in rows for _, minor in row["captures"]]
        given = sum(minor for row in rows for _, minor in row["refunds"])
        assert len(captures) <= 1
        assert (payment.captured_minor, payment.refunded_minor) == (sum(captures), given), payment
        assert not payment.needs_review
        owed, _ = await stand.shop.booked(payment_id)
        theirs += sum(captures) - given
        ours += owed
        captured += len(captures)
        refunded += given > 0
    assert theirs == ours
    assert sum(len(row["captures"]) for row in orders.values()) == captured
    # Only a capture or a refund that provably was not sent may be missing.
    assert captured > 180
    assert refunded > 5
    await stand.shop.assert_sound()
