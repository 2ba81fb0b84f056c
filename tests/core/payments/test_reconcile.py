"""Do open outcomes end on evidence, once, and only there?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from payengine.customers import CreateCustomer, DetachPaymentMethod, SavePaymentMethod
from payengine.errors import GatewayUnavailable, OperationInFlight
from payengine.payments import Payment, store
from payengine.payments import reconcile as reconciling
from payengine.payments.findings import Finding
from payengine.plugin import (
    Amount,
    Decline,
    Outcome,
)

from tests.core.payments.odd import ODD, OddGateway
from tests.engines import Shop, Till, key, open_till
from tests.servers import HomeOfTest


async def _until_settled(shop: Shop, payment_id: str, *, rounds: int = 8) -> Payment:
    """Look, each time as if the next look were due."""
    for round_ in range(rounds):
        await shop.look(after=timedelta(hours=1 + round_))
        payment = await shop.payment(payment_id)
        if payment.status != "PROCESSING" or payment.needs_review:
            break
    return await shop.check(payment_id)


#: Magic amount → whether the first request charged, and how we learn it.
_UNKNOWN = {
    3001: "resend",
    3002: "lookup",
    3003: "resend",
    3004: "lookup",
    3006: "lookup",
    3007: "lookup",
    3102: "lookup",
    3104: "lookup",
}


@pytest.mark.parametrize("capture_method", ["AUTOMATIC", "MANUAL"])
@pytest.mark.parametrize(("amount", "source"), _UNKNOWN.items())
async def test_what_nobody_answered_ends_on_evidence(
    hasty: Till, shop: Shop, amount: int, source: str, capture_method: str
) -> None:
    shop = shop.at(hasty)
    open_ = await shop.pay(amount, "tok_magic", capture_method=capture_method)
    assert (open_.payment.status, open_.error) == ("PROCESSING", None)
    assert open_.operation is not None
    if amount == 3006:
        await asyncio.sleep(1.1)  # the sandbox's late success
    done = await _until_settled(shop, open_.payment.id)
    assert done.status == ("CAPTURED" if capture_method == "AUTOMATIC" else "AUTHORIZED")
    assert [each.source for each in await shop.evidence(open_.operation.id)][-1] == source
    charges = [(m.key, m.amount.minor) for m in await shop.movements()]
    expected = [(open_.operation.id, amount)] if capture_method == "AUTOMATIC" else []
    assert charges == expected
    assert len(await shop.operations(open_.payment.id)) == 1
    await shop.assert_sound()


@pytest.mark.parametrize("step", ["capture", "void", "refund"])
@pytest.mark.parametrize("amount", [3001, 3002, 3003, 3004, 3007])
async def test_steps_that_nobody_answered_end_too(
    hasty: Till, shop: Shop, step: str, amount: int
) -> None:
    calm = shop
    shop = shop.at(hasty)
    if step == "refund":
        payment = await calm.charge(5_000, token="tok_magic")
    elif step == "void":
        payment = await calm.hold(5_000 + amount, token="tok_magic")
        await calm.capture(payment.id, 5_000, final=False)
    else:
        payment = await calm.hold(5_000, token="tok_magic")
    given = {} if step == "void" else {"amount": amount}
    open_ = await getattr(shop, step)(payment.id, **given)
    assert open_.operation.status == "unknown"
    after = await shop.check(payment.id)
    reserved = (
        after.capture_reserved_minor + after.void_reserved_minor + after.refund_reserved_minor
    )
    assert reserved >= amount
    await shop.look()
    done = [o for o in await shop.operations(payment.id) if o.id == open_.operation.id]
    assert [o.status for o in done] == ["succeeded"]
    await shop.check(payment.id)
    await shop.assert_sound()


@pytest.mark.parametrize("amount", [3008, 3009, 3010])
async def test_another_amount_than_asked_is_for_a_person(shop: Shop, amount: int) -> None:
    wrong = await shop.pay(amount, "tok_magic")
    assert (wrong.payment.status, wrong.payment.captured_minor) == ("PROCESSING", 0)
    assert (wrong.payment.needs_review, wrong.payment.conflicted) == (True, True)
    assert wrong.operation is not None
    (why,) = await shop.evidence(wrong.operation.id)
    assert (why.source, why.data["mismatch"]) == ("answer", True)
    await shop.look(after=timedelta(days=1))
    after = await shop.check(wrong.payment.id)
    assert (after.status, after.captured_minor, after.conflicted) == ("PROCESSING", 0, True)
    assert await shop.booked(wrong.payment.id) == (0, 0)


async def test_a_pending_payment_ends_when_the_provider_says_so(shop: Shop) -> None:
    registry = shop.engine.registry
    await registry.save_settings(shop.context, "sandbox", settings={"pending_ms": 600_000})
    slow = await shop.pay(token="tok_pending")
    await shop.look()
    assert (await shop.payment(slow.payment.id)).status == "PROCESSING"
    await registry.save_settings(shop.context, "sandbox", settings={"pending_ms": 50})
    good, bad = await shop.pay(token="tok_pending"), await shop.pay(token="tok_pending_declined")
    assert good.payment.status == bad.payment.status == "PROCESSING"
    await asyncio.sleep(0.1)
    assert (await _until_settled(shop, good.payment.id)).status == "CAPTURED"
    assert (await _until_settled(shop, bad.payment.id)).status == "DECLINED"
    await shop.assert_sound()


async def test_nothing_new_may_begin_while_an_outcome_is_unknown(hasty: Till, shop: Shop) -> None:
    shop = shop.at(hasty)
    open_ = await shop.pay(3105, "tok_magic", capture_method="MANUAL")
    for step in ("capture", "void"):
        with pytest.raises(OperationInFlight):
            await getattr(shop, step)(open_.payment.id)
    with pytest.raises(OperationInFlight):
        await shop.confirm(open_.payment.id, "tok_visa")


async def test_a_blind_provider_is_asked_until_a_person_must_decide(
    hasty: Till, shop: Shop
) -> None:
    shop = shop.at(hasty)
    open_ = await shop.pay(3105, "tok_magic")
    await shop.look(after=timedelta(hours=1))
    waiting = await shop.payment(open_.payment.id)
    assert (waiting.status, waiting.needs_review) == ("PROCESSING", False)
    await shop.look(after=timedelta(days=8))
    given_up = await shop.check(open_.payment.id)
    assert (given_up.status, given_up.needs_review) == ("PROCESSING", True)
    await shop.look(after=timedelta(days=30))
    assert (await shop.payment(given_up.id)).version == given_up.version
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch("SELECT type FROM event ORDER BY seq")
    assert [row["type"] for row in rows].count("payment.needs_review") == 1
    await shop.assert_sound()


async def test_an_open_breaker_on_a_resend_proves_nothing(hasty: Till, shop: Shop) -> None:
    shop = shop.at(hasty)
    open_ = [await shop.pay(3101, "tok_magic") for _ in range(5)]
    guard = hasty.engine.registry.guard
    assert guard.breaker_state(shop.context.tenant_id, "sandbox") == "open"
    await shop.look()
    for each in open_:
        after = await shop.check(each.payment.id)
        assert (after.status, after.needs_review) == ("PROCESSING", False)
        assert each.operation is not None
        assert (await shop.operations(after.id))[0].status == "unknown"
        assert await shop.evidence(each.operation.id) == []


async def test_a_refusal_of_the_resend_proves_nothing_of_the_first(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost"), _REFUSED]
    odd.found = Outcome(status="not_found")
    open_ = await shop.pay(**ODD)
    assert open_.payment.status == "PROCESSING"
    await shop.look()
    assert (await shop.payment(open_.payment.id)).status == "PROCESSING"
    assert odd.keys == [open_.operation.id] * 2 if open_.operation else False


async def test_what_the_provider_knows_nothing_of_and_refuses_to_do_was_not_done(
    hasty: Till, shop: Shop
) -> None:
    shop = shop.at(hasty)
    registry = shop.engine.registry
    await registry.save_settings(shop.context, "sandbox", settings={"error_before": 1_000})
    open_ = await shop.pay(token="tok_not_processed")
    assert open_.payment.status == "PROCESSING"
    await registry.save_settings(shop.context, "sandbox", settings={"error_before": 0})
    assert open_.operation is not None
    await shop.look(after=timedelta(seconds=1))  # lookups are not to be relied on yet
    assert (await shop.payment(open_.payment.id)).status == "PROCESSING"
    await shop.look()
    after = await shop.check(open_.payment.id)
    assert (after.status, after.needs_review) == ("CREATED", False)
    (why,) = await shop.evidence(open_.operation.id)
    assert (why.source, why.finding, why.data["reason"]) == ("lookup", "not_sent", "not_found")
    await shop.assert_sound()


async def test_after_the_window_not_found_is_proof(odd_till: Till, shop: Shop) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost")]
    odd.found = Outcome(status="not_found")
    open_ = await shop.pay(**ODD)
    await shop.look(after=timedelta(hours=2))  # past the key's window of an hour
    after = await shop.check(open_.payment.id)
    assert (after.status, after.needs_review) == ("CREATED", False)
    assert open_.operation is not None
    assert odd.keys == [open_.operation.id]
    (why,) = await shop.evidence(open_.operation.id)
    assert (why.source, why.finding, why.data["reason"]) == ("lookup", "not_sent", "not_found")


async def test_a_late_charge_after_not_found_is_recorded_as_an_anomaly(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost")]
    odd.found = Outcome(status="not_found")
    open_ = await shop.pay(**ODD)
    assert open_.operation is not None
    await shop.look(after=timedelta(hours=2))
    outcome = Outcome(
        status="succeeded", captured=True, amount=Amount(1_000, "JPY"), provider_reference="late"
    )
    recorder = odd_till.engine.reconciler._recorder
    await recorder.record(
        shop.context,
        payment_id=open_.payment.id,
        operation_id=open_.operation.id,
        finding=Finding(status="succeeded", source="webhook", outcome=outcome),
    )
    after = await shop.check(open_.payment.id)
    assert (after.status, after.anomalies, after.needs_review) == (
        "CAPTURED",
        ("late_success",),
        True,
    )


async def test_a_window_that_closed_before_consistency_waits(odd_till: Till, shop: Shop) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost")]
    odd.found = Outcome(status="not_found")
    open_ = await shop.pay(**ODD)
    await shop.look(after=timedelta(minutes=61))  # consistent only after 90 minutes
    assert (await shop.payment(open_.payment.id)).status == "PROCESSING"
    assert len(odd.keys) == 1


async def test_a_contradiction_while_it_waits_is_for_a_person(odd_till: Till, shop: Shop) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [Outcome(status="pending", amount=Amount(1_000, "JPY"))]
    odd.found = Outcome(status="succeeded", captured=True, amount=Amount(999, "JPY"))
    open_ = await shop.pay(**ODD)
    await shop.look()
    after = await shop.check(open_.payment.id)
    assert (after.status, after.conflicted, after.needs_review) == ("PROCESSING", True, True)
    assert open_.operation is not None
    (why,) = await shop.evidence(open_.operation.id)
    assert why.data["outcome"]["amount"]["minor"] == 999
    await shop.look(after=timedelta(days=1))
    assert (await shop.payment(after.id)).version == after.version


async def test_two_reconcilers_do_the_work_once(odd_till: Till, shop: Shop) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [RuntimeError("lost"), odd.good]
    odd.found = Outcome(status="not_found")
    open_ = await shop.pay(**ODD)
    lookups = odd.lookups
    await asyncio.gather(*(shop.look() for _ in range(5)))
    assert odd.lookups == lookups + 1
    assert len(odd.keys) == 2
    (operation,) = await shop.operations(open_.payment.id)
    assert (operation.tries, operation.status) == (1, "succeeded")


async def test_a_zombies_late_finding_is_dropped(hasty: Till, shop: Shop) -> None:
    shop = shop.at(hasty)
    open_ = await shop.pay(3102, "tok_magic")
    assert open_.operation is not None
    stale = open_.operation.version
    done = await _until_settled(shop, open_.payment.id)
    zombie = Finding(status="declined", source="lookup", outcome=_DECLINED)
    recorder = hasty.engine.reconciler._recorder
    payment, operation = await recorder.record(
        shop.context,
        payment_id=done.id,
        operation_id=open_.operation.id,
        finding=zombie,
        version=stale,
    )
    assert (payment, operation.status) == (done, "succeeded")
    assert await shop.payment(done.id) == done


async def test_a_frozen_reconciler_cannot_write_over_the_next_one(
    hasty: Till, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop.at(hasty)
    open_ = await shop.pay(3101, "tok_magic")
    frozen, thaw = asyncio.Event(), asyncio.Event()
    find = reconciling.Reconciler._find

    async def freezes(self: Any, context: Any, operation: Any, clock: Any) -> Any:
        found = await find(self, context, operation, clock)
        if frozen.is_set():
            return found
        frozen.set()
        await thaw.wait()
        return Finding(status="declined", source="lookup", outcome=_DECLINED), found[1]

    monkeypatch.setattr(reconciling.Reconciler, "_find", freezes)
    zombie = asyncio.ensure_future(shop.look(after=timedelta(minutes=1)))
    await frozen.wait()
    await shop.look(after=timedelta(hours=1))  # the lease is over: another one takes it
    thaw.set()
    await zombie
    (operation,) = await shop.operations(open_.payment.id)
    assert (operation.status, operation.tries) == ("unknown", 2)
    assert await shop.evidence(operation.id) == []


async def test_a_saved_method_is_sent_again_though_it_was_detached(hasty: Till, shop: Shop) -> None:
    shop = shop.at(hasty)
    customers = hasty.engine.customers
    customer = await customers.create(shop.context, CreateCustomer(idempotency_key=key()))
    method = await customers.save_method(
        shop.context,
        SavePaymentMethod(idempotency_key=key(), customer_id=customer.id, token="tok_magic"),
    )
    open_ = await shop.pay(3001, None, saved_payment_method_id=method.id, off_session=True)
    await customers.detach_method(
        shop.context, DetachPaymentMethod(idempotency_key=key(), payment_method_id=method.id)
    )
    (operation,) = await shop.operations(open_.payment.id)
    assert "tok_magic" not in str(operation.request)
    assert (await _until_settled(shop, open_.payment.id)).status == "CAPTURED"
    assert [m.amount.minor for m in await shop.movements()] == [3001]
    await shop.assert_sound()


_DECLINED = Outcome(status="declined", decline=Decline(code="lost_card", raw_code="41"))
_REFUSED = Outcome(
    status="not_processed",
    raw_status="busy",
    decline=Decline(code="try_again_later", raw_code="busy"),
)


async def test_the_loops_end_what_is_open_by_themselves(
    payment_home: HomeOfTest, shop: Shop
) -> None:
    async with open_till(payment_home, background=True, gateway_deadline_ms=1_000) as running:
        shop = shop.at(running)
        open_ = await shop.pay(3_002, "tok_magic")
        assert open_.payment.status == "PROCESSING"
        async with asyncio.timeout(60):
            while (await shop.payment(open_.payment.id)).status != "CAPTURED":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            while not (events := await running.engine.events.page(shop.context)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert events[0].type == "payment.created"
        await shop.assert_sound()


async def test_a_step_that_was_not_taken_says_so(shop: Shop) -> None:
    paid = await shop.charge(10_000, token="tok_magic")
    one = key()
    refused = await shop.refund(paid.id, 3_011, idempotency_key=one)
    assert isinstance(refused.error, GatewayUnavailable)
    assert refused.payment.refund_reserved_minor == 0
    again = await shop.refund(paid.id, 3_011, idempotency_key=one)
    assert isinstance(again.error, GatewayUnavailable)
    assert await shop.booked(paid.id) == (10_000, 0)
    assert (await shop.refund(paid.id, 10_000)).error is None


async def test_a_capture_waits_for_one_whose_outcome_is_unknown(hasty: Till, shop: Shop) -> None:
    held = await shop.hold(10_000, token="tok_magic")
    shop = shop.at(hasty)
    await shop.capture(held.id, 3_001, final=False)
    for final in (True, False):
        with pytest.raises(OperationInFlight):
            await shop.capture(held.id, 1_000, final=final)
    assert await shop.look()
    assert (await shop.capture(held.id, 1_000, final=False)).payment.captured_minor == 4_001
    await shop.capture(held.id)
    done = await shop.check(held.id)
    assert (done.captured_minor, done.capture_reserved_minor) == (10_000, 0)
    await shop.assert_sound()


async def test_a_finding_outlives_a_lease_taken_between_reading_and_writing(
    hasty: Till, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop.at(hasty)
    held = await shop.hold(1_000)
    write, taken = store.write_change, asyncio.Event()

    async def interrupted(session: Any, tenant_id: Any, change: Any) -> bool:
        if not taken.is_set():
            taken.set()
            async with shop.engine.database.tenant(tenant_id) as other:
                await other.execute(
                    "UPDATE operation SET version = version + 1 WHERE tenant_id = $1 AND id = $2",
                    tenant_id,
                    change.operation.id,
                )
        return await write(session, tenant_id, change)

    monkeypatch.setattr(store, "write_change", interrupted)
    answer = await shop.capture(held.id)
    assert taken.is_set()
    assert answer.payment == await shop.payment(held.id)
    assert (await shop.check(held.id)).captured_minor == 1_000
    await shop.assert_sound()
