"""Is a sound shop called sound, and each corruption named?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from payengine.events import publish_batch
from payengine.invariants import verify
from payengine.ledger import fold_all
from payengine.plugin import Amount, Authorize, PaymentMethod

from tests.core.payments import disputing
from tests.engines import Shop, Till


async def _busy(shop: Shop) -> dict[str, str]:
    """A shop with some of everything, published and folded; the ids of what it did."""
    paid = await shop.pay(1_000)
    held = await shop.hold(2_000)
    part = await shop.hold(3_000)
    taken = await shop.capture(part.id, 1_000, final=False)
    refund = await shop.refund(paid.payment.id, 300)
    await shop.pay(token="tok_decline_lost_card")
    while await publish_batch(shop.engine.database):
        pass
    assert paid.operation is not None
    assert taken.operation is not None
    assert refund.operation is not None
    lost = await shop.pay(500)
    assert lost.operation is not None
    dispute = await disputing.Court(shop).hear(disputing.report(lost.operation.id, amount=500))
    while await publish_batch(shop.engine.database):
        pass
    return {
        "dispute": dispute.id,
        "paid": paid.payment.id,
        "charge": paid.operation.id,
        "held": held.id,
        "part": part.id,
        "capture": taken.operation.id,
        "refund": refund.operation.id,
    }


async def test_a_sound_shop_is_sound(shop: Shop) -> None:
    await _busy(shop)
    report = await verify(shop.engine, tenant_ids=[shop.context.tenant_id])
    assert (report.ok, report.broken) == (True, ())
    assert (report.tenants, report.payments, report.movements) == (1, 5, 4)
    await fold_all(shop.engine.database)
    await shop.assert_sound()


async def test_every_tenant_is_looked_at(shop: Shop, other_shop: Shop) -> None:
    await shop.pay()
    named = await _busy(other_shop)
    await _corrupt(other_shop, "DELETE FROM evidence; UPDATE payment SET refunded_minor = 0")
    told: list[tuple[int, int]] = []
    report = await verify(shop.engine, told=lambda done, of: told.append((done, of)))
    assert not report.ok
    theirs = [b for b in report.broken if b.tenant_id == str(other_shop.context.tenant_id)]
    assert {breach.subject for breach in theirs} == {named["paid"]}
    assert not [b for b in report.broken if b.tenant_id == str(shop.context.tenant_id)]
    assert told[-1] == (report.tenants - 1, report.tenants)
    mend = "UPDATE payment SET refunded_minor = 300 WHERE id = '{paid}'"
    await _corrupt(other_shop, mend.format(**named))
    await other_shop.assert_sound()


_CORRUPTIONS: dict[str, tuple[str, str, str]] = {
    "an amount of a payment": (
        "UPDATE payment SET captured_minor = 999 WHERE id = '{paid}'",
        "payment_is_fold_of_operations",
        "paid",
    ),
    "a status of a payment": (
        "UPDATE payment SET status = 'CANCELED' WHERE id = '{held}'",
        "payment_is_fold_of_operations",
        "held",
    ),
    "a reservation that nobody made": (
        "UPDATE payment SET refund_reserved_minor = 1 WHERE id = '{paid}'",
        "payment_is_fold_of_operations",
        "paid",
    ),
    "a second charge": (
        "INSERT INTO operation SELECT (jsonb_populate_record(o, jsonb_build_object("
        "'id', 'op_twice', 'provider_key', 'op_twice'))).* FROM operation o "
        "WHERE id = '{charge}'",
        "payment_is_fold_of_operations",
        "paid",
    ),
    "a charge that the gateway does not know": (
        "INSERT INTO operation SELECT (jsonb_populate_record(o, jsonb_build_object("
        "'id', 'op_twice', 'provider_key', 'op_twice', 'updated_at', '2026-01-01T00:00:00Z'))).* "
        "FROM operation o WHERE id = '{charge}'",
        "gateway_equals_ledger",
        "op_twice",
    ),
    "an amount of an operation": (
        "UPDATE operation SET amount_minor = amount_minor - 1 WHERE id = '{capture}'",
        "gateway_equals_ledger",
        "capture",
    ),
    "an operation declined that moved money": (
        "ALTER TABLE operation DISABLE TRIGGER operation_transition; "
        "UPDATE operation SET status = 'declined' WHERE id = '{refund}'; "
        "ALTER TABLE operation ENABLE TRIGGER operation_transition",
        "gateway_equals_ledger",
        "refund",
    ),
    "a fee": (
        "UPDATE ledger_transfer SET amount_minor = amount_minor + 1 "
        "WHERE transaction_id = '{charge}:fee'",
        "gateway_equals_ledger",
        "charge",
    ),
    "a transfer's amount": (
        "UPDATE ledger_transfer SET amount_minor = amount_minor + 1 "
        "WHERE transaction_id = '{charge}:captured'",
        "ledger_books_all_movements",
        "charge",
    ),
    "a charge that was not booked": (
        "DELETE FROM ledger_tail WHERE transaction_id = '{charge}:captured'; "
        "DELETE FROM ledger_transfer WHERE transaction_id = '{charge}:captured'",
        "ledger_books_all_movements",
        "charge",
    ),
    "a refund that was not booked": (
        "DELETE FROM ledger_tail WHERE transaction_id = '{refund}:refund_succeeded'; "
        "DELETE FROM ledger_transfer WHERE transaction_id = '{refund}:refund_succeeded'",
        "ledger_books_all_movements",
        "refund",
    ),
    "a hold that is not reserved": (
        "DELETE FROM ledger_transfer WHERE payment_id = '{held}'",
        "ledger_reserves_what_is_held",
        "held",
    ),
    "a dispute that was not booked": (
        "DELETE FROM ledger_tail WHERE transaction_id = '{dispute}:opened'; "
        "DELETE FROM ledger_transfer WHERE transaction_id = '{dispute}:opened'",
        "ledger_books_all_disputes",
        "dispute",
    ),
    "a transaction that is not in the tail": (
        "DELETE FROM ledger_tail WHERE transaction_id = '{charge}:captured'",
        "ledger",
        "",
    ),
    "a balance": (
        "INSERT INTO ledger_rollup SELECT tenant_id, 'merchant_payable:main', 'USD', 0, 1, 0, 0 "
        "FROM payment LIMIT 1",
        "ledger",
        "",
    ),
    "an event that is gone": (
        "DELETE FROM event WHERE operation_id = '{refund}'",
        "events_tell_all_movements",
        "refund",
    ),
    "a gap between events": (
        "DELETE FROM event WHERE position = 2",
        "positions_are_dense",
        "",
    ),
    "an event that is not published": (
        "UPDATE event SET position = NULL, occurred_at = '2026-01-01T00:00:00Z' "
        "WHERE operation_id = '{refund}' AND position = "
        "(SELECT max(position) FROM event WHERE operation_id = '{refund}')",
        "nothing_open_past_its_deadline",
        "*",
    ),
    "an operation that is overdue": (
        "UPDATE operation SET due_at = '2026-01-01T00:00:00Z' WHERE id = '{capture}'",
        "nothing_open_past_its_deadline",
        "capture",
    ),
    "a hold that is overdue": (
        "UPDATE payment SET hold_expires_at = '2026-01-01T00:00:00Z' WHERE id = '{held}'",
        "nothing_open_past_its_deadline",
        "held",
    ),
}


@pytest.mark.parametrize("name", _CORRUPTIONS)
async def test_each_corruption_is_named(corruptible: Shop, name: str) -> None:
    shop = corruptible
    sql, check, subject = _CORRUPTIONS[name]
    named = await _busy(shop)
    await shop.assert_sound()
    await _corrupt(shop, sql.format(**named))
    report = await verify(shop.engine, tenant_ids=[shop.context.tenant_id])
    assert not report.ok
    wanted = named.get(subject, subject)
    found = [b for b in report.broken if b.check == check and wanted in ("*", b.subject)]
    assert found, report.broken
    assert all(breach.message for breach in found)
    assert all(breach.tenant_id == str(shop.context.tenant_id) for breach in report.broken)


async def test_money_that_nobody_asked_for_is_named(corruptible: Shop) -> None:
    shop = corruptible
    await _busy(shop)
    stray = Authorize(
        key="stray",
        amount=Amount(1_000, "EUR"),
        capture=True,
        payment_method=PaymentMethod(token="tok_visa"),
        payment_id="pay_0",
    )
    await shop.engine.registry.call(shop.context, "sandbox", "authorize", stray, deadline_ms=5_000)
    report = await verify(shop.engine, tenant_ids=[shop.context.tenant_id])
    assert [(b.check, b.subject) for b in report.broken] == [("gateway_equals_ledger", "stray")]


async def test_a_gateway_whose_books_cannot_be_read_is_named(
    corruptible: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payengine_sandbox.gateway import SandboxGateway

    async def fails(*args: Any, **given: Any) -> Any:
        raise RuntimeError("the books are out")

    await corruptible.pay()
    monkeypatch.setattr(SandboxGateway, "movements", fails)
    report = await verify(corruptible.engine, tenant_ids=[corruptible.context.tenant_id])
    assert [(b.check, b.subject) for b in report.broken] == [("gateway_equals_ledger", "sandbox")]


async def _corrupt(shop: Shop, sql: str) -> None:
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        await owner.execute(sql)


@pytest.fixture
async def corruptible(till: Till) -> AsyncIterator[Shop]:
    """A shop whose rows are forgotten afterwards."""
    made = await till.shop()
    yield made
    await _corrupt(
        made,
        "; ".join(
            f"DELETE FROM {table}"
            for table in (
                "dispute_report",
                "dispute",
                "evidence",
                "event",
                "operation",
                "attempt",
                "payment",
                "ledger_tail",
                "ledger_rollup",
                "ledger_transfer",
                "idempotency_key",
            )
        ),
    )


async def test_a_shop_that_is_selling_is_not_called_broken(shop: Shop) -> None:
    sells = True

    async def sell() -> None:
        while sells:
            paid = await shop.charge()
            await shop.refund(paid.id, 100)

    selling = asyncio.gather(*(sell() for _ in range(4)))
    try:
        for _ in range(3):
            await shop.assert_sound()
    finally:
        sells = False
        await selling
    assert (await shop.rows())["operation"] > 4
