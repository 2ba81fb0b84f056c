"""Does money move once, however many ask at once, and does each defence hold alone?

Each assertion is one function, used with the engine as it is and with a planted fault; with the
fault it must fail. `PAYENGINE_RACES` sets how many pairs race in all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from payengine.context import TenantContext
from payengine.errors import (
    CaptureExceedsAuthorized,
    HoldExpired,
    IdempotencyConflict,
    OperationInFlight,
    RefundExceedsCaptured,
    TransitionRefused,
)
from payengine.idempotency import CLAIM
from payengine.payments import Payment, PaymentFilter, PaymentResult, steps, store
from payengine.payments.plans import Plan, plan_refund
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard
from payengine.storage import Session

from tests.engines import Shop, Till, key, open_till
from tests.servers import HomeOfTest

_RACES = int(os.environ.get("PAYENGINE_RACES") or 300)
_TYPED_LOSERS = (
    CaptureExceedsAuthorized,
    HoldExpired,
    OperationInFlight,
    RefundExceedsCaptured,
    TransitionRefused,
)
Step = Callable[[Shop, str], Awaitable[Any]]

# --- F3: the same request, many times at once -----------------------------------------------------


async def _submit_at_once(shop: Shop, times: int) -> list[PaymentResult | BaseException]:
    one = key()
    return await asyncio.gather(
        *(shop.pay(1_000, idempotency_key=one) for _ in range(times)), return_exceptions=True
    )


async def _assert_one_charge(shop: Shop, answers: Sequence[PaymentResult | BaseException]) -> None:
    results = [answer for answer in answers if isinstance(answer, PaymentResult)]
    assert len(results) == len(answers), [a for a in answers if isinstance(a, BaseException)]
    assert len({result.payment.id for result in results}) == 1
    assert (await shop.rows())["payment"] == 1
    assert [movement.amount.minor for movement in await shop.movements()] == [1_000]
    await shop.assert_sound()


async def test_fifty_equal_requests_are_one_charge(shop: Shop) -> None:
    await _assert_one_charge(shop, await _submit_at_once(shop, 50))


async def test_without_the_claim_equal_requests_charge_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CLAIM in store._CLAIM_PAYMENT
    always_new = "SELECT $2::text, $3::text, $4::bytea, $5::text AS resource_id, $6::timestamptz"
    planted = store._CLAIM_PAYMENT.replace(CLAIM, always_new)
    monkeypatch.setattr(store, "_CLAIM_PAYMENT", planted)
    answers = await _submit_at_once(shop, 8)
    with pytest.raises(AssertionError):
        await _assert_one_charge(shop, answers)


async def test_another_body_under_the_key_is_refused_in_the_race_too(shop: Shop) -> None:
    one = key()
    answers = await asyncio.gather(
        *(shop.pay(1_000 + n % 2, idempotency_key=one) for n in range(20)), return_exceptions=True
    )
    kinds = Counter(type(answer) for answer in answers)
    assert kinds == {PaymentResult: 10, IdempotencyConflict: 10}
    assert len(await shop.movements()) == 1


async def test_another_tenant_may_use_the_same_key(shop: Shop, other_shop: Shop) -> None:
    one = key()
    mine, theirs = await asyncio.gather(
        shop.pay(1_000, idempotency_key=one), other_shop.pay(2_000, idempotency_key=one)
    )
    assert mine.payment.id != theirs.payment.id
    assert [m.amount.minor for m in await shop.movements()] == [1_000]
    assert [m.amount.minor for m in await other_shop.movements()] == [2_000]


@pytest.mark.parametrize("step", ["capture", "refund", "void", "increment"])
async def test_a_step_with_the_same_key_is_taken_once(shop: Shop, step: str) -> None:
    payment = await (shop.charge() if step == "refund" else shop.hold())
    given = {} if step == "void" else {"amount": 100}
    one = key()
    answers = await asyncio.gather(
        *(getattr(shop, step)(payment.id, idempotency_key=one, **given) for _ in range(20))
    )
    assert len({answer.operation.id for answer in answers}) == 1
    assert [o.kind for o in await shop.operations(payment.id)] == ["authorize", step]
    await shop.check(payment.id)
    await shop.assert_sound()


async def test_a_key_serves_one_mutation(shop: Shop) -> None:
    one = key()
    held = (await shop.pay(capture_method="MANUAL", idempotency_key=one)).payment
    for attempt in (
        shop.capture(held.id, idempotency_key=one),
        shop.void(held.id, idempotency_key=one),
        shop.refund(held.id, idempotency_key=one),
        shop.increment(held.id, 1, idempotency_key=one),
        shop.confirm(held.id, idempotency_key=one),
        shop.confirm(held.id, "tok_visa", idempotency_key=one),
    ):
        with pytest.raises(IdempotencyConflict):
            await attempt
    taken = await shop.capture(held.id, 100, idempotency_key=(two := key()), final=False)
    with pytest.raises(IdempotencyConflict):
        await shop.refund(held.id, 100, idempotency_key=two)
    assert taken.payment.refunded_minor == (await shop.payment(held.id)).refunded_minor == 0


async def test_a_caller_that_goes_away_does_not_stop_its_money(shop: Shop) -> None:
    one = key()
    asked = asyncio.ensure_future(shop.pay(1_000, idempotency_key=one))
    await asyncio.sleep(0.002)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    again = await shop.pay(1_000, idempotency_key=one)
    while (await shop.payment(again.payment.id)).status == "PROCESSING":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await _assert_one_charge(shop, [again])


# --- F4: more refunds than there is money ---------------------------------------------------------


async def _refund_at_once(shop: Shop, payment: Payment) -> list[PaymentResult | BaseException]:
    return await asyncio.gather(
        *(shop.refund(payment.id, 10) for _ in range(40)), return_exceptions=True
    )


async def _assert_refunded_exactly(
    shop: Shop, payment: Payment, answers: Sequence[PaymentResult | BaseException]
) -> None:
    asked = [o for o in await shop.operations(payment.id) if o.kind == "refund"]
    assert sum(operation.amount_minor for operation in asked) == 100
    kinds = Counter(type(answer) for answer in answers)
    assert kinds == {PaymentResult: 10, RefundExceedsCaptured: 30}, kinds
    assert (await shop.check(payment.id)).refunded_minor == 100
    given_back = [m.amount.minor for m in await shop.movements() if m.kind == "refund"]
    assert sum(given_back) == -100
    await shop.assert_sound()


async def test_forty_refunds_of_ten_give_back_exactly_a_hundred(shop: Shop) -> None:
    payment = await shop.charge(100)
    await _assert_refunded_exactly(shop, payment, await _refund_at_once(shop, payment))


def _take_refund_guard_out_of_update(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = "$5::bigint <= captured_minor"
    assert guard in store._RESERVE
    monkeypatch.setattr(store, "_RESERVE", store._RESERVE.replace(guard, f"true OR {guard}"))


def _take_plan_out_of_refunds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every refund is planned on the payment as it was before any other: the read is stale."""
    plan = plan_refund

    def stale(payment: Payment, operations: Any, **given: Any) -> Plan:
        fresh = msgspec.structs.replace(payment, refund_reserved_minor=0, refunded_minor=0)
        return plan(fresh, operations, **given)

    monkeypatch.setattr(steps, "plan_refund", stale)


@asynccontextmanager
async def _without_constraint(shop: Shop, name: str) -> AsyncIterator[None]:
    """The CHECK is away inside; the shop's rows are forgotten before it comes back."""
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        definition = await owner.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1", name
        )
        await owner.execute(f"ALTER TABLE payment DROP CONSTRAINT {name}")
        try:
            yield
        finally:
            for table in ("evidence", "event", "operation", "attempt", "review", "payment"):
                await owner.execute(f"DELETE FROM {table}")
            for table in ("ledger_tail", "ledger_transfer", "idempotency_key"):
                await owner.execute(f"DELETE FROM {table}")
            await owner.execute(f"ALTER TABLE payment ADD CONSTRAINT {name} {definition}")


async def test_the_conditional_update_alone_holds_refunds(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _take_plan_out_of_refunds(monkeypatch)
    async with _without_constraint(shop, "payment_refunds_suffice"):
        payment = await shop.charge(100)
        await _assert_refunded_exactly(shop, payment, await _refund_at_once(shop, payment))


async def test_the_check_alone_holds_refunds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    _take_plan_out_of_refunds(monkeypatch)
    _take_refund_guard_out_of_update(monkeypatch)
    payment = await shop.charge(100)
    answers = await _refund_at_once(shop, payment)
    kinds = Counter(type(answer) for answer in answers)
    assert kinds == {PaymentResult: 10, asyncpg.CheckViolationError: 30}, kinds
    assert (await shop.check(payment.id)).refunded_minor == 100
    await shop.assert_sound()


async def test_with_both_gone_too_much_is_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    _take_plan_out_of_refunds(monkeypatch)
    _take_refund_guard_out_of_update(monkeypatch)
    async with _without_constraint(shop, "payment_refunds_suffice"):
        payment = await shop.charge(100)
        answers = await _refund_at_once(shop, payment)
        with pytest.raises(AssertionError):
            await _assert_refunded_exactly(shop, payment, answers)


# --- F5: two steps that exclude each other --------------------------------------------------------


async def _capture(shop: Shop, payment_id: str) -> Any:
    return await shop.capture(payment_id)


async def _capture_most(shop: Shop, payment_id: str) -> Any:
    return await shop.capture(payment_id, 60, final=False)


async def _void(shop: Shop, payment_id: str) -> Any:
    return await shop.void(payment_id)


async def _refund_all(shop: Shop, payment_id: str) -> Any:
    return await shop.refund(payment_id)


async def _refund_most(shop: Shop, payment_id: str) -> Any:
    return await shop.refund(payment_id, 60)


async def _expire(shop: Shop, payment_id: str) -> Any:
    """Its clock is past the hold's end, the other one's is not yet."""
    payment = await shop.payment(payment_id)
    if payment.hold_expires_at is None:
        raise HoldExpired
    past = payment.hold_expires_at - datetime.now(UTC) + timedelta(seconds=1)
    with shop.till.clock.later(past) as then:
        await shop.engine.reconciler.run_once(at=then)
    after = await shop.payment(payment_id)
    if after.status != "EXPIRED":
        raise HoldExpired
    return after


async def _pay_again(shop: Shop, payment_id: str) -> Any:
    return await shop.confirm(payment_id, "tok_visa")


_PAIRS: dict[str, tuple[Step, Step]] = {
    "capture and void": (_capture, _void),
    "capture and capture": (_capture, _capture),
    "two parts that are too much": (_capture_most, _capture_most),
    "void and void": (_void, _void),
    "refund and refund": (_refund_all, _refund_all),
    "two refunds that are too much": (_refund_most, _refund_most),
    "capture and expiry": (_capture, _expire),
    "void and expiry": (_void, _expire),
    "another method, twice": (_pay_again, _pay_again),
    "another method and cancel": (_pay_again, _void),
}


async def _start(shop: Shop, name: str) -> Payment:
    if name.startswith("another method"):
        return (await shop.pay(100, token="tok_decline_lost_card")).payment
    return await (shop.charge(100) if "refund" in name else shop.hold(100))


async def _race(shop: Shop, name: str) -> tuple[Payment, Sequence[Any]]:
    payment = await _start(shop, name)
    first, second = _PAIRS[name]
    return payment, await asyncio.gather(
        first(shop, payment.id), second(shop, payment.id), return_exceptions=True
    )


async def _assert_one_winner(shop: Shop, payment: Payment, answers: Sequence[Any]) -> None:
    losers = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(losers) == 1, answers
    assert isinstance(losers[0], _TYPED_LOSERS), losers
    first, *later = await shop.operations(payment.id)
    assert first.status in ("succeeded", "declined")
    assert [operation.status for operation in later] == ["succeeded"]
    await shop.check(payment.id)


@pytest.mark.parametrize("name", _PAIRS)
async def test_one_of_two_wins_and_the_other_is_told(shop: Shop, name: str) -> None:
    for _ in range(max(_RACES // len(_PAIRS), 1)):
        payment, answers = await _race(shop, name)
        await _assert_one_winner(shop, payment, answers)
    await shop.assert_sound()


async def _assert_nothing_is_left(shop: Shop, *, times: int) -> None:
    """A capture of all races with a raise of the hold: what the gateway let go is not held here."""
    for _ in range(times):
        held = await shop.hold(100)
        answers = await asyncio.gather(
            shop.capture(held.id), shop.increment(held.id, 50), return_exceptions=True
        )
        for answer in answers:
            assert isinstance(answer, (PaymentResult, OperationInFlight, TransitionRefused))
        after = await shop.check(held.id)
        assert not (after.captured_minor and after.capturable_minor), after


async def test_a_final_capture_leaves_nothing_held(shop: Shop) -> None:
    await _assert_nothing_is_left(shop, times=30)
    await shop.assert_sound()


async def test_without_the_version_a_final_capture_leaves_something_held(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.PaymentSteps, "_reserve", _reserve_carelessly)
    with pytest.raises(AssertionError):
        await _assert_nothing_is_left(shop, times=100)


async def _reserve_carelessly(
    self: object, session: Session, context: TenantContext, payment: Payment, plan: Plan, **at: Any
) -> Payment:
    """As the real one, without looking whether another was quicker."""
    del self
    reserved = await store.reserve(
        session,
        context.tenant_id,
        payment.id,
        capture_minor=plan.amount_minor if plan.kind == "capture" else 0,
        void_minor=plan.released_minor,
        statuses=("AUTHORIZED", "CAPTURED"),
        **at,
    )
    assert reserved is not None
    return reserved


def _take_hold_guard_out(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = "$3::bigint + $4::bigint = 0"
    assert guard in store._RESERVE
    monkeypatch.setattr(store, "_RESERVE", store._RESERVE.replace(guard, f"true OR {guard}"))
    monkeypatch.setattr(steps.PaymentSteps, "_reserve", _reserve_carelessly)


@pytest.mark.parametrize("name", ["capture and void", "void and void"])
async def test_the_conditional_update_alone_holds_holds(shop: Shop, name: str) -> None:
    async with _without_constraint(shop, "payment_holds_suffice"):
        for _ in range(5):
            payment, answers = await _race(shop, name)
            await _assert_one_winner(shop, payment, answers)


@pytest.mark.parametrize("name", ["capture and void", "void and void"])
async def test_the_check_alone_holds_holds(
    shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _take_hold_guard_out(monkeypatch)
    refused = 0
    for _ in range(10):
        payment, answers = await _race(shop, name)
        refused += sum(isinstance(answer, asyncpg.CheckViolationError) for answer in answers)
        assert sum(isinstance(answer, BaseException) for answer in answers) == 1, answers
        await shop.check(payment.id)
    assert refused > 0
    await shop.assert_sound()


@pytest.mark.parametrize("name", ["capture and void", "void and void"])
async def test_with_neither_both_are_sent(
    shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _take_hold_guard_out(monkeypatch)
    failed = 0
    async with _without_constraint(shop, "payment_holds_suffice"):
        for _ in range(10):
            payment, answers = await _race(shop, name)
            try:
                await _assert_one_winner(shop, payment, answers)
            except AssertionError:
                failed += 1
    assert failed > 0


# --- The answer, the reconciler and chaos ---------------------------------------------------------


async def test_the_answer_and_the_reconciler_may_meet(shop: Shop) -> None:
    """Both learn of the same operation at the same time; it is booked once, and nobody fails."""
    for _ in range(60):
        paid, *_ = await asyncio.gather(shop.pay(1_000), shop.look(), shop.look(), shop.look())
        settled = await shop.payment(paid.payment.id)
        if settled.status == "PROCESSING":
            await shop.look(after=timedelta(hours=1))
        assert (await shop.check(paid.payment.id)).captured_minor == 1_000
    assert len(await shop.movements()) == 60
    await shop.assert_sound()


@pytest.fixture
async def stormy(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """A hasty till whose breaker never opens, so that every fault is met."""
    async with open_till(payment_home, gateway_deadline_ms=500) as opened:
        opened.engine.registry.guard = Guard(breakers=Breakers(threshold=10**9))
        yield opened


async def test_through_a_storm_every_key_charges_once(stormy: Till, shop: Shop) -> None:
    """Errors, silence, late results and nonsense in one of four calls; nothing is presumed."""
    shop = shop.at(stormy)
    faults = ("error_before", "error_after", "hang_before", "hang_after", "late_success", "garbage")
    await stormy.engine.registry.save_settings(
        shop.context,
        "sandbox",
        settings={"seed": 7, "late_ms": 100, **dict.fromkeys(faults, 40)},
    )
    bound = asyncio.Semaphore(8)

    async def buy(number: int) -> None:
        async with bound:
            automatic = number % 3 > 0
            method = "AUTOMATIC" if automatic else "MANUAL"
            made = (await shop.pay(1_000 + number, capture_method=method)).payment
            with contextlib.suppress(*_TYPED_LOSERS):
                if automatic:
                    await shop.refund(made.id, 100)
                else:
                    await shop.capture(made.id, 500)

    await asyncio.gather(*(buy(number) for number in range(120)))
    for hours in range(1, 30):
        if not await shop.look(after=timedelta(hours=hours)):
            break
        await asyncio.sleep(0.05)
    rows = await shop.engine.payments.page(shop.context, PaymentFilter(), first=200)
    assert len(rows) == 120
    statuses = Counter(row.status for row in rows)
    assert set(statuses) <= {"CAPTURED", "AUTHORIZED", "CREATED"}, statuses
    assert statuses["CAPTURED"] > 60
    assert (await shop.rows())["evidence"] > 10
    assert not any(row.needs_review for row in rows)
    keys = Counter(movement.key for movement in await shop.movements())
    assert set(keys.values()) == {1}
    await shop.assert_sound()
