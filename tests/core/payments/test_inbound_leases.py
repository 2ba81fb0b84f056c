"""Is a received webhook applied by one at a time, and do failures wait for nobody else?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payengine import faults
from payengine.errors import NotFound

from tests.core.payments.telling import (
    CRIER,
    DisputeBook,
    applier_of,
    dispute_report,
    open_operation,
    unheard_of,
)
from tests.crier import Stage, cry
from tests.engines import Shop, Till
from tests.notices import Doorbell, drain, shown, take

_SECOND = timedelta(seconds=1)


async def test_many_workers_take_each_webhook_once(hasty: Till, shop: Shop) -> None:
    operations = [await open_operation(hasty, shop) for _ in range(3)]
    bell = await Doorbell.of(shop.engine, shop.context)
    for operation in operations:
        await bell.tell(shown(operation))
    at = datetime.now(UTC)
    takers = [till.engine.inbound.applier for till in (hasty, shop.till)] * 5
    await asyncio.gather(*(take(taker, at=at) for taker in takers))
    await drain(shop.engine)
    assert {(row.state, row.tries) for row in await bell.received()} == {("applied", 1)}
    for operation in operations:
        assert (await shop.check(operation.payment_id)).status == "CAPTURED"


async def test_what_a_killed_worker_took_up_is_taken_up_again(hasty: Till, shop: Shop) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    (stored,) = (await bell.tell(shown(operation))).stored
    at = datetime.now(UTC)
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute(
            "UPDATE received_webhook SET due_at = $3, tries = 1, version = version + 1"
            " WHERE tenant_id = $1 AND id = $2",
            shop.context.tenant_id,
            stored,
            at + 10 * _SECOND,
        )
    assert await take(shop.engine.inbound.applier, at=at) == 0
    await take(shop.engine.inbound.applier, at=at + 11 * _SECOND)
    (row,) = await bell.received()
    assert (row.state, row.tries) == ("applied", 2)


class _Killed(BaseException):
    """What a process feels of SIGKILL."""


async def test_a_worker_killed_between_the_books_and_the_mark_loses_nothing(
    hasty: Till, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    await bell.tell(shown(operation, fee_minor=120))  # as the sandbox booked it

    def kill(name: str) -> None:
        if name == "webhook_applied":
            raise _Killed

    at = datetime.now(UTC)
    with monkeypatch.context() as killing:
        killing.setattr(faults, "point", kill)
        with pytest.raises(_Killed):
            await shop.engine.inbound.applier.run_once(at=at)
    booked = await shop.check(operation.payment_id)
    assert booked.status == "CAPTURED"
    assert [row.state for row in await bell.received()] == ["pending"]
    await take(shop.engine.inbound.applier, at=at + 11 * _SECOND)
    assert [(row.state, row.tries) for row in await bell.received()] == [("applied", 2)]
    assert await shop.payment(operation.payment_id) == booked
    await shop.assert_sound()


async def test_a_webhook_that_kills_whoever_takes_it_up_is_held(hasty: Till, shop: Shop) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    (stored,) = (await bell.tell(shown(operation))).stored
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute(
            "UPDATE received_webhook SET tries = 25 WHERE tenant_id = $1 AND id = $2",
            shop.context.tenant_id,
            stored,
        )
    await drain(shop.engine)
    (row,) = await bell.received()
    assert (row.state, row.needs_review, row.due_at) == ("held", True, None)


async def test_a_zombies_mark_is_refused(crier_shop: Shop, stage: Stage) -> None:
    slow = DisputeBook(pause=asyncio.Event())
    bell = await Doorbell.of(crier_shop.engine, crier_shop.context, "crier")
    await bell.ring(cry(dispute_report()))
    zombie = applier_of(crier_shop.engine, slow)
    at = datetime.now(UTC)
    running = asyncio.create_task(zombie.run_once(at=at))
    await slow.begun.wait()
    # It is frozen past its lease, and somebody else brings the work to its end meanwhile.
    other = applier_of(crier_shop.engine, DisputeBook())
    await take(other, at=at + 11 * _SECOND)
    (done,) = await bell.received()
    assert (done.state, done.tries) == ("applied", 2)
    assert slow.pause is not None
    slow.failure = RuntimeError("too late")
    slow.pause.set()
    await running
    await zombie.rest()
    assert await bell.received() == [done]


# -- what fails ------------------------------------------------------------------------------------


async def test_a_dispute_goes_to_whoever_keeps_disputes(crier_shop: Shop) -> None:
    bell = await Doorbell.of(crier_shop.engine, crier_shop.context, "crier")
    await bell.ring(cry(dispute_report()))
    (row,) = await bell.received()
    assert (row.kind, row.said, row.state) == ("dispute", "needs_response", "pending")
    keeper = DisputeBook()
    await take(applier_of(crier_shop.engine, keeper), at=datetime.now(UTC))
    assert keeper.told == [(crier_shop.context.tenant_id, "crier", "dsp_1")]
    assert [row.state for row in await bell.received()] == ["applied"]


async def test_a_dispute_is_shown_with_the_payment_that_is_disputed(crier_shop: Shop) -> None:
    paid = (await crier_shop.pay(1_000, payment_method=CRIER)).payment
    bell = await Doorbell.of(crier_shop.engine, crier_shop.context, "crier")
    await bell.ring(cry(dispute_report()))
    await drain(crier_shop.engine)
    (row,) = await bell.received()
    assert (row.state, row.payment_id) == ("applied", paid.id)
    assert (await crier_shop.payment(paid.id)).charged_back_minor == 1_000


async def test_where_nobody_keeps_disputes_they_wait_for_a_person(crier_shop: Shop) -> None:
    bell = await Doorbell.of(crier_shop.engine, crier_shop.context, "crier")
    await bell.ring(cry(dispute_report()))
    await take(applier_of(crier_shop.engine, None), at=datetime.now(UTC))
    (row,) = await bell.received()
    assert (row.state, row.needs_review) == ("held", True)


async def test_a_dispute_over_an_unknown_payment_is_unmatched(crier_shop: Shop) -> None:
    bell = await Doorbell.of(crier_shop.engine, crier_shop.context, "crier")
    await bell.ring(cry(dispute_report()))
    keeper = DisputeBook(failure=NotFound("There is no such payment."))
    await take(applier_of(crier_shop.engine, keeper), at=datetime.now(UTC))
    (row,) = await bell.received()
    assert (row.state, row.problem, row.needs_review) == (
        "unmatched",
        "There is no such payment.",
        False,
    )
    assert row.due_at is not None


async def test_what_always_fails_is_tried_later_and_later_and_then_held(crier_shop: Shop) -> None:
    bell = await Doorbell.of(crier_shop.engine, crier_shop.context, "crier")
    await bell.ring(cry(dispute_report()))
    applier = applier_of(crier_shop.engine, DisputeBook(failure=RuntimeError("a value: 42")))
    waits, at = [], datetime.now(UTC)
    for _ in range(20):
        await take(applier, at=at)
        (row,) = await bell.received()
        if row.due_at is None:
            break
        assert row.state == "pending"
        waits.append((row.due_at - at) / _SECOND)
        at = row.due_at
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert (row.state, row.needs_review, row.failures) == ("held", True, 10)
    assert row.problem == "RuntimeError"


async def test_a_tenants_poison_does_not_keep_the_others_waiting(
    hasty: Till, stage: Stage, shop: Shop
) -> None:
    poisoned = await stage.till.shop()
    bell = await Doorbell.of(stage.till.engine, poisoned.context, "crier")
    await bell.ring(cry(*(dispute_report(f"dsp_{number}") for number in range(300))))
    stuck = DisputeBook(pause=asyncio.Event())
    applier = applier_of(stage.till.engine, stuck)
    at = datetime.now(UTC)
    await applier.run_once(at=at)  # two of them hang, and keep their places
    operation = await open_operation(hasty, shop)
    other = await Doorbell.of(shop.engine, shop.context)
    await other.tell(shown(operation))
    await applier.run_once(at=datetime.now(UTC))  # the very next round takes it
    async with asyncio.timeout(60):
        while [row.state for row in await other.received()] != ["applied"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert stuck.pause is not None
    stuck.failure = RuntimeError("poison")
    stuck.pause.set()
    await applier.rest()
    await _drain_held(stage, poisoned)


async def _drain_held(stage: Stage, poisoned: Shop) -> None:
    """Nothing of the poison stays due for the tests that follow."""
    async with stage.till.engine.database.tenant(poisoned.context.tenant_id) as session:
        await session.execute(
            "UPDATE received_webhook SET due_at = NULL WHERE tenant_id = $1",
            poisoned.context.tenant_id,
        )


async def test_a_failure_of_one_row_is_not_another_rows(hasty: Till, shop: Shop) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    (broken,) = (await bell.tell(unheard_of())).stored
    await bell.tell(shown(operation))
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute(
            "UPDATE received_webhook SET data = '{}' WHERE tenant_id = $1 AND id = $2",
            shop.context.tenant_id,
            broken,
        )
    await drain(shop.engine, after=timedelta())
    first, second = await bell.received()
    assert (first.state, first.problem, first.failures) == ("pending", "ValidationError", 1)
    assert second.state == "applied"
