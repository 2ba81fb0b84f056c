"""Is money that nobody can use given back, all of it, once?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.invariants import verify
from payengine.payments import Operation, Payment, PaymentResult
from payengine.payments.findings import Finding
from payengine.payments.orphans import orphans, release_key
from payengine.plugin import Amount, Outcome
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard

from tests.core.payments.histories import operation
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

_STRAY = operation(status="succeeded", anomaly="late_success")
_PAID = operation(id="op_2", attempt_id="att_2", status="succeeded")


def _void(**given: Any) -> Operation:
    return operation(**({"id": "op_v", "kind": "void", "status": "succeeded"} | given))


@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ([_STRAY, _PAID], 1_000),
        ([_STRAY, _void()], 1_000),
        ([_STRAY, _PAID, _void(released_minor=1_000)], 0),
        ([_STRAY, _PAID, _void(released_minor=1_000, status="sending")], 0),
        ([_STRAY, _PAID, _void(released_minor=1_000, status="declined")], 1_000),
        ([operation(status="succeeded", anomaly="late_success", capture=True), _PAID], 1_000),
        ([_STRAY, operation(id="op_2", attempt_id="att_2", status="sending")], None),
        ([_STRAY, operation(id="op_2", attempt_id="att_2", status="declined")], None),
        ([_STRAY], None),
        ([_PAID, operation(id="op_3", attempt_id="att_3", status="succeeded")], None),
        ([_STRAY, _PAID, operation(id="op_c", kind="capture", status="succeeded")], None),
        ([_STRAY, _void(released_minor=1_000)], None),
    ],
)
def test_what_nobody_can_use_is_told_from_what_is_in_use(
    operations: list[Operation], left: int | None
) -> None:
    found = [orphan.left_minor for orphan in orphans(operations)]
    assert found == ([] if left is None else [left])


def test_of_two_that_came_late_the_earlier_pays() -> None:
    both = [
        _STRAY,
        operation(id="op_2", attempt_id="att_2", status="succeeded", anomaly="late_success"),
    ]
    assert [orphan.operation.id for orphan in orphans(both)] == ["op_2"]


def test_a_release_has_another_key_only_after_one_came_to_nothing() -> None:
    known = [_STRAY, _PAID]
    (orphan,) = orphans(known)
    first = release_key(orphan, known)
    assert release_key(orphan, [*known, _void(status="unknown", released_minor=1)]) == first
    assert release_key(orphan, [*known, _void(status="not_sent")]) != first


@pytest.fixture
async def calm_shop(payment_home: HomeOfTest) -> AsyncIterator[Shop]:
    """A shop whose breaker never opens."""
    async with open_till(payment_home, gateway_deadline_ms=1_000) as till:
        till.engine.registry.guard = Guard(breakers=Breakers(threshold=10**9))
        yield await till.shop()


async def _lose(shop: Shop, amount: int, **given: Any) -> PaymentResult:
    """A payment whose authorization was done at the sandbox, and was given up here."""
    made = await shop.pay(amount, "tok_magic", **given)
    assert made.operation is not None
    await _record(shop, made.operation, "not_sent")
    return made


async def _record(shop: Shop, stray: Operation, status: Any) -> Payment:
    outcome = None
    if status == "succeeded":
        found = await shop.engine.reconciler._recorder.look_up(shop.context, stray)
        outcome = found.outcome
        assert outcome is not None
    payment, _ = await shop.engine.reconciler._recorder.record(
        shop.context,
        payment_id=stray.payment_id,
        operation_id=stray.id,
        finding=Finding(status=status, source="webhook", outcome=outcome),
    )
    return payment


async def _events(shop: Shop) -> list[str]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch("SELECT type FROM event ORDER BY seq")
    return [row["type"] for row in rows]


@pytest.mark.parametrize("how", ["AUTOMATIC", "MANUAL"])
@pytest.mark.parametrize("why", ["canceled", "superseded"])
async def test_a_late_success_of_a_payment_that_is_over_is_given_back(
    calm_shop: Shop, how: str, why: str
) -> None:
    shop = calm_shop
    made = await _lose(shop, 3_002, capture_method=how)
    stray = made.operation
    assert stray is not None
    if why == "canceled":
        assert (await shop.void(made.payment.id)).payment.status == "CANCELED"
    else:
        again = await shop.confirm(made.payment.id, "tok_visa")
        assert again.payment.status == ("CAPTURED" if how == "AUTOMATIC" else "AUTHORIZED")
    await _record(shop, stray, "succeeded")
    report = await verify(shop.engine, tenant_ids=[shop.context.tenant_id])
    assert "orphans_are_released" in {each.check for each in report.broken}
    for after in range(4):
        await asyncio.gather(*(shop.look(after=timedelta(minutes=1 + after)) for _ in range(3)))
    done = await shop.check(made.payment.id)
    paid = 0 if why == "canceled" else 3_002
    assert sum(m.amount.minor for m in await shop.movements()) == (
        paid if how == "AUTOMATIC" else 0
    )
    if how == "AUTOMATIC":
        assert (done.refunded_minor, done.captured_minor) == (3_002, 3_002 + paid)
    else:
        assert (done.voided_minor, done.authorized_minor) == (3_002, 3_002 + paid)
    released = [o for o in await shop.operations(done.id) if o.kind in ("refund", "void")]
    released = [o for o in released if o.raw_status != "nothing_to_release"]
    assert [(o.status, o.attempt_id) for o in released] == [("succeeded", stray.attempt_id)]
    (why_,) = await shop.evidence(released[0].id)
    assert why_.data["releases"] == stray.id
    events = await _events(shop)
    assert [events.count(f"payment.orphan_{each}") for each in ("found", "released")] == [1, 1]
    (row,) = [o for o in await shop.operations(done.id) if o.id == stray.id]
    assert row.due_at is None
    await shop.assert_sound()


async def test_a_release_that_nobody_answered_ends_like_any_step(calm_shop: Shop) -> None:
    shop = calm_shop
    made = await _lose(shop, 3_104)  # every answer about this amount is lost, the release's too
    assert made.operation is not None
    await shop.void(made.payment.id)
    await _record(shop, made.operation, "succeeded")
    for after in range(1, 6):
        await shop.look(after=timedelta(hours=after))
    done = await shop.check(made.payment.id)
    assert (done.refunded_minor, done.captured_minor) == (3_104, 3_104)
    assert sum(m.amount.minor for m in await shop.movements()) == 0
    await shop.assert_sound()


async def test_a_late_success_that_can_be_used_is_kept_for_a_person(calm_shop: Shop) -> None:
    shop = calm_shop
    made = await _lose(shop, 3_002, capture_method="MANUAL")
    assert made.operation is not None
    await _record(shop, made.operation, "succeeded")
    await shop.look()
    kept = await shop.check(made.payment.id)
    assert (kept.status, kept.voided_minor, kept.needs_review) == ("AUTHORIZED", 0, True)
    assert (await shop.capture(kept.id, 3_000)).payment.captured_minor == 3_000
    await shop.look(after=timedelta(hours=1))
    assert (await shop.payment(kept.id)).refunded_minor == 0
    await shop.assert_sound()


async def test_what_was_given_up_as_not_found_is_looked_up_once_more(calm_shop: Shop) -> None:
    shop = calm_shop
    made = await shop.pay(3_103, "tok_magic")  # nothing is ever done
    assert made.operation is not None
    stray = made.operation
    # Past the sandbox's window the lookup's "not found" is proof enough to go on.
    at = datetime.now(UTC)
    await shop.engine.reconciler.run_once(at=at + timedelta(days=4_000))
    (row,) = await shop.operations(made.payment.id)
    assert (row.status, row.raw_status) == ("not_sent", "not_found")
    for wait in (timedelta(minutes=10), timedelta(minutes=50), timedelta(hours=23)):
        assert row.due_at is not None
        assert wait <= row.due_at - at < wait + timedelta(seconds=10)
        at = row.due_at
        await shop.engine.reconciler.run_once(at=at)
        (row,) = await shop.operations(made.payment.id)
    assert (row.id, row.due_at) == (stray.id, None)


async def test_a_sweep_stops_asking_a_gateway_that_always_refuses(till: Till, shop: Shop) -> None:
    made = await _lose_with_short_hold(shop)
    for after in range(1, 12):
        await shop.look(after=timedelta(hours=after))
    tried = [o for o in await shop.operations(made.id) if o.kind == "refund"]
    assert [o.status for o in tried] == ["declined"] * 5
    report = await verify(shop.engine, tenant_ids=[shop.context.tenant_id])
    assert "orphans_are_released" in {each.check for each in report.broken}
    assert (await shop.payment(made.id)).needs_review


async def _lose_with_short_hold(shop: Shop) -> Payment:
    """The sandbox declines each refund of this amount."""
    made = await shop.pay(2_038, "tok_magic")
    assert made.operation is not None
    assert made.payment.status == "DECLINED"
    await shop.void(made.payment.id)
    outcome = Outcome(
        status="succeeded",
        captured=True,
        amount=Amount(2_038, "EUR"),
        provider_reference=made.operation.provider_reference,
    )
    payment, _ = await shop.engine.reconciler._recorder.record(
        shop.context,
        payment_id=made.payment.id,
        operation_id=made.operation.id,
        finding=Finding(status="succeeded", source="webhook", outcome=outcome),
    )
    return payment
