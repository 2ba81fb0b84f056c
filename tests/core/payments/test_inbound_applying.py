"""Does what a provider told change the right operation, once, and wait where it cannot?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from payengine.errors import NotFound

from tests.core.payments.telling import CRIER, held_back, open_operation, unheard_of
from tests.crier import Stage, cry, word
from tests.engines import Shop, Till, key
from tests.notices import Doorbell, drain, shown, take

_SECOND = timedelta(seconds=1)


async def test_a_webhook_ends_what_nobody_answered(hasty: Till, shop: Shop) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    (stored,) = (await bell.tell(shown(operation))).stored
    assert (await shop.payment(operation.payment_id)).status == "PROCESSING"
    assert await drain(shop.engine) >= 1
    payment = await shop.check(operation.payment_id)
    assert (payment.status, payment.captured_minor) == ("CAPTURED", 3_104)
    (row,) = await bell.received()
    assert (row.state, row.due_at, row.problem, row.tries) == ("applied", None, None, 1)
    assert (row.payment_id, row.operation_id) == (operation.payment_id, operation.id)
    assert row.settled_at is not None
    (why,) = [each for each in await shop.evidence(operation.id) if each.source == "webhook"]
    assert why.data["told"] == {"webhook": stored, "event": row.event_id}


async def test_what_is_known_already_is_kept_and_changes_nothing(shop: Shop) -> None:
    payment = await shop.charge(1_000)
    (operation,) = await shop.operations(payment.id)
    bell = await Doorbell.of(shop.engine, shop.context)
    await bell.tell(unheard_of())  # seals the tenant's first secret
    before = await shop.rows(), await shop.payment(payment.id)
    await bell.tell(shown(operation))
    await bell.tell(shown(operation, status="pending", captured=False))
    await drain(shop.engine)
    assert [row.state for row in await bell.received()] == ["unmatched", "stale", "stale"]
    assert (await shop.rows(), await shop.payment(payment.id)) == before


async def test_another_amount_is_a_conflict_and_never_fulfilled(hasty: Till, shop: Shop) -> None:
    bell = await Doorbell.of(shop.engine, shop.context)
    for changes in ({"amount_minor": 3_103}, {"currency": "USD"}, {"captured": False}):
        operation = await open_operation(hasty, shop)
        await bell.tell(shown(operation, **changes))
        await drain(shop.engine)
        payment = await shop.check(operation.payment_id)
        assert (payment.status, payment.captured_minor) == ("PROCESSING", 0)
        assert (payment.conflicted, payment.needs_review) == (True, True)
        assert await shop.booked(payment.id) == (0, 0)


@pytest.mark.parametrize("first", ["right", "wrong"])
async def test_two_amounts_end_alike_in_either_order(hasty: Till, shop: Shop, first: str) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    told = [shown(operation), shown(operation, amount_minor=1)]
    for each in told if first == "right" else told[::-1]:
        await bell.tell(each)
        await drain(shop.engine)
    payment = await shop.check(operation.payment_id)
    assert (payment.status, payment.captured_minor) == ("CAPTURED", 3_104)
    assert (payment.conflicted, payment.needs_review) == (True, True)


async def test_a_status_that_nobody_knows_moves_nothing_and_is_told_to_people(
    crier_shop: Shop, stage: Stage
) -> None:
    shop = crier_shop
    operation, bell, paying = await held_back(shop, stage)
    strange = word("authorize", "unmodelled", 1_000, key=operation.id)
    await bell.ring(cry(strange))
    await drain(shop.engine)
    assert (await shop.payment(operation.payment_id)).status == "PROCESSING"
    assert (await shop.operations(operation.payment_id))[0].status == "unknown"
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        types = [row["type"] for row in await session.fetch("SELECT type FROM event")]
    assert "payment.status_unmodelled" in types
    assert [row.state for row in await bell.received()] == ["applied"]
    await stage.crier.release(str(shop.context.tenant_id))
    await paying


async def test_the_answer_that_comes_after_the_webhook_changes_nothing(
    crier_shop: Shop, stage: Stage
) -> None:
    shop = crier_shop
    operation, bell, paying = await held_back(shop, stage)
    await bell.ring(cry(word("authorize", "succeeded", 1_000, key=operation.id, captured=True)))
    await drain(shop.engine)
    known = await shop.check(operation.payment_id)
    assert known.status == "CAPTURED"
    await stage.crier.release(str(shop.context.tenant_id))
    answered = await paying
    assert answered.payment == known
    assert await shop.payment(known.id) == known
    await shop.assert_sound()


async def test_a_provider_that_does_not_know_our_key_names_its_own_reference(
    crier_shop: Shop, stage: Stage
) -> None:
    shop = crier_shop
    held = (await shop.pay(1_000, payment_method=CRIER, capture_method="MANUAL")).payment
    stage.crier.answers[str(shop.context.tenant_id)] = "pending"
    captured = await shop.capture(held.id)
    assert captured.operation is not None
    assert (captured.operation.status, captured.operation.provider_reference) == (
        "pending",
        "capture",
    )
    bell = await Doorbell.of(shop.engine, shop.context, "crier")
    await bell.ring(cry(word("capture", "succeeded", 1_000, reference="capture", captured=True)))
    await drain(shop.engine)
    assert (await shop.check(held.id)).status == "CAPTURED"


async def test_a_reference_that_several_operations_have_tells_nothing(
    crier_shop: Shop, stage: Stage
) -> None:
    shop = crier_shop
    held = (await shop.pay(1_000, payment_method=CRIER, capture_method="MANUAL")).payment
    stage.crier.answers[str(shop.context.tenant_id)] = "pending"
    for _ in range(2):
        await shop.capture(held.id, 400, final=False)
    bell = await Doorbell.of(shop.engine, shop.context, "crier")
    await bell.ring(cry(word("capture", "succeeded", 400, reference="capture", captured=True)))
    await drain(shop.engine)
    (row,) = await bell.received()
    assert (row.state, row.problem) == ("unmatched", "several operations have this reference")
    assert (await shop.payment(held.id)).captured_minor == 0


async def test_another_gateways_word_about_our_operation_is_not_believed(
    hasty: Till, stage: Stage, shop: Shop
) -> None:
    operation = await open_operation(hasty, shop)
    there = shop.at(stage.till)
    bell = await Doorbell.of(there.engine, shop.context, "crier")
    own, reference = operation.id, "sbx_1"
    for told in (
        word("authorize", "succeeded", 3_104, key=own, captured=True),
        word("capture", "succeeded", 3_104, key=own, captured=True),
        word("authorize", "succeeded", 3_104, reference=reference, captured=True),
    ):
        await bell.ring(cry(told))
    await drain(there.engine)
    assert {row.state for row in await bell.received()} == {"unmatched"}
    assert (await shop.payment(operation.payment_id)).status == "PROCESSING"


async def test_a_key_with_another_kind_of_operation_matches_nothing(
    hasty: Till, shop: Shop
) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    await bell.tell(shown(operation, kind="refund"))
    await drain(shop.engine)
    (row,) = await bell.received()
    assert row.state == "unmatched"
    assert row.problem == "the operation with this key is of the kind authorize"


async def test_another_tenants_operation_is_out_of_reach(
    hasty: Till, shop: Shop, other_shop: Shop
) -> None:
    operation = await open_operation(hasty, other_shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    await bell.tell(shown(operation))
    await drain(shop.engine)
    (row,) = await bell.received()
    assert (row.state, row.problem) == ("unmatched", "no operation has this key or this reference")
    assert (await other_shop.payment(operation.payment_id)).status == "PROCESSING"


async def test_what_nobody_asked_for_is_tried_for_hours_and_then_shown_to_a_person(
    shop: Shop,
) -> None:
    bell = await Doorbell.of(shop.engine, shop.context)
    await bell.tell(unheard_of())
    waits, at = [], datetime.now(UTC)
    for _ in range(100):
        await take(shop.engine.inbound.applier, at=at)
        (row,) = await bell.received()
        assert row.state == "unmatched"
        if row.due_at is None:
            break
        waits.append(row.due_at - at)
        assert not row.needs_review
        at = row.due_at
    assert waits[:3] == [_SECOND, 2 * _SECOND, 4 * _SECOND]
    assert max(waits) == timedelta(minutes=10)
    assert timedelta(hours=5) < at - row.received_at < timedelta(hours=7)
    assert row.needs_review
    assert [each.id for each in await bell.received(needs_review=True)] == [row.id]
    await drain(shop.engine, after=timedelta(days=30))
    assert await bell.received() == [row]


async def test_an_unmatched_webhook_finds_its_operation_later(
    crier_shop: Shop, stage: Stage
) -> None:
    shop = crier_shop
    account = str(shop.context.tenant_id)
    bell = await Doorbell.of(shop.engine, shop.context, "crier")
    early = word("capture", "succeeded", 1_000, reference="capture", captured=True)
    await bell.ring(cry(early))
    await drain(shop.engine, after=timedelta())
    assert [row.state for row in await bell.received()] == ["unmatched"]
    held = (await shop.pay(1_000, payment_method=CRIER, capture_method="MANUAL")).payment
    stage.crier.answers[account] = "pending"
    await shop.capture(held.id)
    await drain(shop.engine)
    (row,) = await bell.received()
    assert (row.state, row.payment_id) == ("applied", held.id)
    assert (await shop.check(held.id)).status == "CAPTURED"


async def test_an_older_word_does_not_undo_a_newer_one(crier_shop: Shop, stage: Stage) -> None:
    shop = crier_shop
    operation, bell, paying = await held_back(shop, stage)
    newer = word("authorize", "pending", 1_000, key=operation.id, number=2)
    older = word("authorize", "requires_action", 1_000, key=operation.id, number=1)
    for each in (newer, older):
        await bell.ring(cry(each))
        await drain(shop.engine)
    assert [row.state for row in await bell.received()] == ["applied", "stale"]
    assert (await shop.operations(operation.payment_id))[0].status == "pending"
    await stage.crier.release(str(shop.context.tenant_id))
    await paying


async def test_a_webhook_that_leaves_something_out_makes_us_ask(
    crier_shop: Shop, stage: Stage
) -> None:
    shop = crier_shop
    operation, bell, paying = await held_back(shop, stage)
    told = word("authorize", "succeeded", 1_000, key=operation.id, captured=True)
    await bell.ring(cry(msgspec.structs.replace(told, incomplete=True)))
    at = datetime.now(UTC)
    await take(shop.engine.inbound.applier, at=at)
    (row,) = await bell.received()
    assert (row.state, row.failures) == ("pending", 1)
    assert (row.problem or "").startswith("GATEWAY_UNAVAILABLE")
    stage.crier.fees[operation.id] = 59
    await take(shop.engine.inbound.applier, at=at + 2 * _SECOND)
    (row,) = await bell.received()
    assert row.state == "applied"
    (known,) = await shop.operations(operation.payment_id)
    assert (known.status, known.fee_minor) == ("succeeded", 59)
    await stage.crier.release(str(shop.context.tenant_id))
    await paying
    await shop.check(operation.payment_id)


async def test_several_facts_of_one_call_are_applied_each(crier_shop: Shop, stage: Stage) -> None:
    shop = crier_shop
    stage.crier.answers[str(shop.context.tenant_id)] = "pending"
    bell = await Doorbell.of(shop.engine, shop.context, "crier")
    operations = []
    for _ in range(3):
        made = (await shop.pay(1_000, payment_method=CRIER)).operation
        assert made is not None
        operations.append(made)
    told = [word("authorize", "succeeded", 1_000, key=o.id, captured=True) for o in operations]
    receipt = await bell.ring(cry(*told, told[0]))
    assert (receipt.events, len(receipt.stored)) == (4, 3)
    again = await bell.ring(cry(*reversed(told), word("refund", "succeeded", 5, key=key())))
    assert (again.events, len(again.stored)) == (4, 1)
    await drain(shop.engine)
    for each in operations:
        assert (await shop.check(each.payment_id)).status == "CAPTURED"


async def test_a_call_that_tells_nothing_is_acknowledged_and_not_kept(
    crier_shop: Shop,
) -> None:
    bell = await Doorbell.of(crier_shop.engine, crier_shop.context, "crier")
    assert await bell.ring(cry()) == (0, ())
    assert await bell.received() == []


async def test_a_replay_applies_it_again_and_is_harmless(hasty: Till, shop: Shop) -> None:
    operation = await open_operation(hasty, shop)
    bell = await Doorbell.of(shop.engine, shop.context)
    (stored,) = (await bell.tell(shown(operation))).stored
    await drain(shop.engine)
    before = await shop.rows(), await shop.payment(operation.payment_id)
    again = await shop.engine.inbound.received.replay(shop.context, stored)
    assert (again.state, again.tries) == ("pending", 0)
    assert await drain(shop.engine, after=timedelta()) >= 1
    (row,) = await bell.received()
    assert (row.state, row.tries) == ("applied", 1)
    assert (await shop.rows(), await shop.payment(operation.payment_id)) == before


async def test_a_replay_brings_back_what_waited_for_a_person(shop: Shop) -> None:
    bell = await Doorbell.of(shop.engine, shop.context)
    (stored,) = (await bell.tell(unheard_of())).stored
    await drain(shop.engine, after=timedelta(hours=7))
    assert [row.needs_review for row in await bell.received()] == [True]
    await shop.engine.inbound.received.replay(shop.context, stored)
    assert [row.needs_review for row in await bell.received()] == [False]


async def test_a_foreign_webhook_cannot_be_replayed(shop: Shop, other_shop: Shop) -> None:
    bell = await Doorbell.of(shop.engine, shop.context)
    (stored,) = (await bell.tell(unheard_of())).stored
    with pytest.raises(NotFound):
        await shop.engine.inbound.received.replay(other_shop.context, stored)
    assert await shop.engine.inbound.received.get_many(other_shop.context, [stored]) == {}
