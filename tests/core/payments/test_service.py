"""How does a payment move, step by step, from the first request to the last refund?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from payengine.errors import (
    CaptureExceedsAuthorized,
    GatewayUnavailable,
    HoldExpired,
    NotFound,
    PayengineError,
    RefundExceedsCaptured,
    TransitionRefused,
)
from payengine.plugin import DECLINE_CODES

from tests.engines import Shop


async def test_automatic_takes_the_money_at_once(shop: Shop) -> None:
    paid = await shop.pay(1_234)
    assert paid.error is None
    assert paid.payment.status == "CAPTURED"
    assert (paid.payment.authorized_minor, paid.payment.captured_minor) == (1_234, 1_234)
    assert [(m.key, m.amount.minor) for m in await shop.movements()] == [
        (paid.operation.id if paid.operation else "", 1_234)
    ]
    assert await shop.booked(paid.payment.id) == (1_234, 0)
    await shop.check(paid.payment.id)
    await shop.assert_sound()


async def test_manual_holds_and_the_capture_takes(shop: Shop) -> None:
    held = await shop.hold(1_000)
    assert held.hold_expires_at is not None
    assert await shop.booked(held.id) == (0, 1_000)
    taken = await shop.capture(held.id)
    assert taken.payment.status == "CAPTURED"
    assert taken.payment.hold_expires_at is None
    assert await shop.booked(held.id) == (1_000, 0)
    await shop.assert_sound()


async def test_captures_take_parts_until_nothing_is_held(shop: Shop) -> None:
    held = await shop.hold(1_000)
    for amount, left in ((300, 700), (200, 500)):
        taken = await shop.capture(held.id, amount, final=False)
        assert (taken.payment.status, taken.payment.capturable_minor) == ("CAPTURED", left)
        await shop.check(held.id)
    with pytest.raises(CaptureExceedsAuthorized):
        await shop.capture(held.id, 501)
    await shop.capture(held.id, 500, final=False)
    with pytest.raises(TransitionRefused):
        await shop.capture(held.id)
    assert await shop.booked(held.id) == (1_000, 0)
    await shop.assert_sound()


async def test_a_final_capture_releases_the_rest(shop: Shop) -> None:
    held = await shop.hold(1_000)
    taken = await shop.capture(held.id, 400)
    assert (taken.payment.captured_minor, taken.payment.voided_minor) == (400, 600)
    assert await shop.booked(held.id) == (400, 0)
    with pytest.raises(TransitionRefused):
        await shop.capture(held.id, 1)
    await shop.assert_sound()


async def test_a_void_releases_all_or_what_is_left(shop: Shop) -> None:
    held = await shop.hold(1_000)
    assert (await shop.void(held.id)).payment.status == "CANCELED"
    assert await shop.booked(held.id) == (0, 0)
    with pytest.raises(TransitionRefused):
        await shop.void(held.id)
    part = await shop.hold(1_000)
    await shop.capture(part.id, 400, final=False)
    voided = (await shop.void(part.id)).payment
    assert (voided.status, voided.captured_minor, voided.voided_minor) == ("CAPTURED", 400, 600)
    assert await shop.booked(part.id) == (400, 0)
    await shop.assert_sound()


async def test_increments_raise_what_can_be_captured(shop: Shop) -> None:
    held = await shop.hold(1_000)
    raised = (await shop.increment(held.id, 500)).payment
    assert (raised.status, raised.authorized_minor) == ("AUTHORIZED", 1_500)
    raised = (await shop.increment(held.id, 250)).payment
    assert await shop.booked(held.id) == (0, 1_750)
    taken = (await shop.capture(held.id, 1_600)).payment
    assert (taken.captured_minor, taken.voided_minor) == (1_600, 150)
    with pytest.raises(TransitionRefused):
        await shop.increment(held.id, 1)
    await shop.check(held.id)
    await shop.assert_sound()


async def test_refunds_give_back_parts_and_never_more(shop: Shop) -> None:
    paid = await shop.charge(1_000)
    assert (await shop.refund(paid.id, 300)).payment.refunded_minor == 300
    assert (await shop.refund(paid.id, 300)).payment.refundable_minor == 400
    with pytest.raises(RefundExceedsCaptured):
        await shop.refund(paid.id, 401)
    rest = await shop.refund(paid.id)
    assert rest.payment.refunded_minor == 1_000
    assert rest.payment.status == "CAPTURED"
    with pytest.raises(RefundExceedsCaptured):
        await shop.refund(paid.id)
    assert await shop.booked(paid.id) == (0, 0)
    assert sum(m.amount.minor for m in await shop.movements()) == 0
    await shop.assert_sound()


async def test_a_declined_refund_goes_back_to_the_merchant(shop: Shop) -> None:
    paid = await shop.charge(5_000, token="tok_magic")
    refused = await shop.refund(paid.id, 2_038)
    assert refused.operation is not None
    assert (refused.operation.status, refused.operation.decline_code) == (
        "declined",
        "generic_decline",
    )
    assert (refused.payment.refunded_minor, refused.payment.refund_reserved_minor) == (0, 0)
    assert await shop.booked(paid.id) == (5_000, 0)
    assert (await shop.refund(paid.id, 5_000)).payment.refunded_minor == 5_000
    await shop.assert_sound()


@pytest.mark.parametrize("code", sorted(DECLINE_CODES))
async def test_each_decline_has_its_code_and_is_a_result(shop: Shop, code: str) -> None:
    declined = await shop.pay(token=f"tok_decline_{code}")
    assert declined.error is None
    assert declined.payment.status == "DECLINED"
    assert declined.payment.decline_code == code
    assert declined.operation is not None
    assert declined.operation.raw_text
    assert await shop.booked(declined.payment.id) == (0, 0)


async def test_another_method_may_follow_a_decline(shop: Shop) -> None:
    declined = (await shop.pay(token="tok_decline_insufficient_funds")).payment
    with pytest.raises(TransitionRefused):
        await shop.capture(declined.id)
    again = await shop.confirm(declined.id, "tok_decline_lost_card")
    assert (again.payment.status, again.payment.decline_code) == ("DECLINED", "lost_card")
    paid = await shop.confirm(declined.id, "tok_visa")
    assert (paid.payment.status, paid.payment.decline_code) == ("CAPTURED", None)
    with pytest.raises(TransitionRefused):
        await shop.confirm(declined.id, "tok_visa")
    attempts = await shop.engine.payments.attempts_of(shop.context, [declined.id])
    assert [attempt.number for attempt in attempts[declined.id]] == [1, 2, 3]
    await shop.check(declined.id)
    await shop.assert_sound()


async def test_a_declined_payment_can_be_canceled_without_a_gateway(shop: Shop) -> None:
    declined = (await shop.pay(token="tok_decline_lost_card")).payment
    canceled = await shop.void(declined.id)
    assert canceled.payment.status == "CANCELED"
    with pytest.raises(TransitionRefused):
        await shop.confirm(declined.id, "tok_visa")
    await shop.check(declined.id)
    await shop.assert_sound()


async def test_what_a_slow_clock_makes_comes_last_all_the_same(shop: Shop) -> None:
    """The fold reads operations in their order: another machine's clock must not change it."""
    canceled = (await shop.pay(token="tok_decline_lost_card")).payment
    again = (await shop.pay(token="tok_decline_lost_card")).payment
    with shop.till.clock.later(timedelta(seconds=-30)):
        assert (await shop.void(canceled.id)).payment.status == "CANCELED"
        assert (await shop.confirm(again.id, "tok_challenge")).payment.status == "REQUIRES_ACTION"
    assert (await shop.check(canceled.id)).status == "CANCELED"
    assert (await shop.check(again.id)).status == "REQUIRES_ACTION"
    await shop.assert_sound()


@pytest.mark.parametrize(
    ("capture_method", "after"), [("AUTOMATIC", "CAPTURED"), ("MANUAL", "AUTHORIZED")]
)
async def test_an_approved_challenge_goes_on(shop: Shop, capture_method: str, after: str) -> None:
    asked = await shop.pay(token="tok_challenge", capture_method=capture_method)
    assert asked.payment.status == "REQUIRES_ACTION"
    assert asked.payment.next_action_url
    assert (await shop.confirm(asked.payment.id)).payment.status == "REQUIRES_ACTION"
    await _decide(asked.payment.next_action_url, approve=True)
    done = await shop.confirm(asked.payment.id)
    assert (done.payment.status, done.payment.next_action_url) == (after, None)
    await shop.check(asked.payment.id)
    await shop.assert_sound()


async def test_a_refused_challenge_declines(shop: Shop) -> None:
    asked = await shop.pay(token="tok_challenge")
    await _decide(asked.payment.next_action_url or "", approve=False)
    done = await shop.confirm(asked.payment.id)
    assert done.payment.status == "DECLINED"
    assert (await shop.confirm(asked.payment.id, "tok_visa")).payment.status == "CAPTURED"
    await shop.assert_sound()


async def test_a_void_cancels_what_waits_for_the_buyer(shop: Shop) -> None:
    asked = await shop.pay(token="tok_challenge")
    canceled = await shop.void(asked.payment.id)
    assert canceled.payment.status == "CANCELED"
    await _decide(asked.payment.next_action_url or "", approve=True)
    assert (await shop.confirm(asked.payment.id)).payment.status == "CANCELED"
    assert await shop.movements() == []
    await shop.check(asked.payment.id)
    await shop.assert_sound()


async def test_a_void_after_the_buyer_was_quicker_releases_the_hold(shop: Shop) -> None:
    asked = await shop.pay(token="tok_challenge", capture_method="MANUAL")
    await _decide(asked.payment.next_action_url or "", approve=True)
    assert (await shop.void(asked.payment.id)).payment.status == "CANCELED"
    await shop.check(asked.payment.id)
    await shop.assert_sound()


async def test_off_session_nobody_is_there_for_a_challenge(shop: Shop) -> None:
    declined = await shop.pay(token="tok_challenge", off_session=True)
    assert declined.payment.status == "DECLINED"
    assert declined.payment.decline_code == "authentication_required"
    assert (await shop.pay(off_session=True)).payment.status == "CAPTURED"


async def test_a_hold_that_has_run_out_expires(shop: Shop) -> None:
    held = await shop.hold(1_000)
    with shop.till.clock.later(timedelta(days=8)) as then:
        with pytest.raises(HoldExpired):
            await shop.capture(held.id)
        with pytest.raises(HoldExpired):
            await shop.void(held.id)
        await shop.engine.reconciler.run_once(at=then)
        expired = await shop.check(held.id)
        assert (expired.status, expired.voided_minor) == ("EXPIRED", 1_000)
        with pytest.raises(HoldExpired):
            await shop.capture(held.id)
    assert await shop.booked(held.id) == (0, 0)


async def test_the_rest_of_a_partial_capture_expires_too(shop: Shop) -> None:
    held = await shop.hold(1_000)
    await shop.capture(held.id, 400, final=False)
    with shop.till.clock.later(timedelta(days=8)) as then:
        await shop.engine.reconciler.run_once(at=then)
        with pytest.raises(TransitionRefused):
            await shop.capture(held.id, 1)
    rest = await shop.check(held.id)
    assert (rest.status, rest.captured_minor, rest.voided_minor) == ("CAPTURED", 400, 600)
    assert (await shop.refund(held.id)).payment.refunded_minor == 400


async def test_a_hold_that_still_lasts_is_left_alone(shop: Shop) -> None:
    held = await shop.hold(1_000)
    with shop.till.clock.later(timedelta(days=6)) as then:
        await shop.engine.reconciler.run_once(at=then)
    assert (await shop.payment(held.id)).status == "AUTHORIZED"


async def test_without_a_gateway_nothing_is_written(shop: Shop) -> None:
    await shop.engine.registry.save_settings(shop.context, "sandbox", enabled=False)
    before = await shop.rows()
    with pytest.raises(GatewayUnavailable):
        await shop.pay()
    assert await shop.rows() == before
    await shop.engine.registry.save_settings(shop.context, "sandbox", enabled=True)
    assert (await shop.pay()).payment.status == "CAPTURED"


async def test_a_gateway_that_takes_nothing_leaves_the_payment_open(shop: Shop) -> None:
    unsent = await shop.pay(token="tok_not_processed")
    assert unsent.payment.status == "CREATED"
    assert isinstance(unsent.error, GatewayUnavailable)
    await shop.check(unsent.payment.id)
    assert (await shop.confirm(unsent.payment.id, "tok_visa")).payment.status == "CAPTURED"
    await shop.assert_sound()


async def test_what_is_switched_off_can_still_be_refunded(shop: Shop) -> None:
    paid = await shop.charge()
    await shop.engine.registry.save_settings(shop.context, "sandbox", enabled=False)
    assert (await shop.refund(paid.id)).payment.refunded_minor == 1_000


@pytest.mark.parametrize("step", ["capture", "void", "refund", "confirm"])
async def test_anothers_payment_is_not_found(shop: Shop, other_shop: Shop, step: str) -> None:
    theirs = await other_shop.hold()
    before = await shop.rows()
    with pytest.raises(NotFound):
        await getattr(shop, step)(theirs.id)
    assert await shop.rows() == before
    assert (await other_shop.payment(theirs.id)).version == theirs.version


async def test_the_scope_is_needed(shop: Shop) -> None:
    from dataclasses import replace

    reader = replace(shop, context=replace(shop.context, scopes=frozenset({"payments:read"})))
    with pytest.raises(PayengineError, match="payments:write"):
        await reader.pay()


async def _decide(url: str, *, approve: bool) -> None:
    """What the buyer chooses on the sandbox's page, by its own route."""
    import httpx
    from payengine_sandbox import web
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/plugins/sandbox", routes=list(web()))])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport) as client:
        decision = "approve" if approve else "decline"
        answer = await client.post(url, data={"decision": decision})
        assert answer.status_code == 303
