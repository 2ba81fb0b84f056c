"""Payments of many tenants, written by one message, stay each tenant's own."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from payengine.context import TenantContext
from payengine.errors import NotFound
from payengine.events.writing import EVENT
from payengine.ids import new_id
from payengine.payments import PaymentFilter, store
from payengine.payments.batch import Opening, PaymentBatches
from payengine.payments.findings import Finding
from payengine.payments.inputs import FraudInput
from payengine.payments.models import Attempt, Operation, Payment
from payengine.payments.settle import Change, event_of, settle
from payengine.payments.store import ATTEMPT, OPERATION, PAYMENT
from payengine.plugin import Amount, Outcome
from payengine.storage import Database
from payengine.storage.columns import Columns

from tests.conftest import Servers, make_tenant
from tests.engines import Shop

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def opening(
    context: TenantContext, *, key: str | None = None, customer: str | None = None
) -> Opening:
    """A payment that is about to be sent."""
    payment = Payment(
        id=new_id("pay"),
        status="PROCESSING",
        amount_minor=1_000,
        currency="EUR",
        capture_method="AUTOMATIC",
        customer_id=customer,
        method_kind="card",
        gateway="sandbox",
        metadata={"order": "ä\"'\\ \u2028"},
        created_at=AT,
        updated_at=AT,
    )
    attempt = Attempt(
        id=new_id("att"),
        payment_id=payment.id,
        number=1,
        gateway="sandbox",
        method={"kind": "card"},
        routing={"chosen": "sandbox"},
        created_at=AT,
    )
    operation_id = new_id("op")
    operation = Operation(
        id=operation_id,
        payment_id=payment.id,
        attempt_id=attempt.id,
        kind="authorize",
        status="sending",
        amount_minor=1_000,
        currency="EUR",
        capture=True,
        gateway="sandbox",
        provider_key=operation_id,
        request={"key": operation_id},
        sent_at=AT,
        due_at=AT + timedelta(days=36_500),  # no reconciler asks after it
        created_at=AT,
        updated_at=AT,
    )
    return Opening(
        tenant_id=context.tenant_id,
        key=key or operation_id,
        fingerprint=b"\x00f" * 16,
        payment=payment,
        attempt=attempt,
        operation=operation,
        event=event_of("payment.created", payment, operation, at=AT),
    )


def captured(opened: Opening) -> Change:
    """What the gateway's yes changes."""
    outcome = Outcome(
        status="succeeded",
        provider_reference="ref_1",
        amount=Amount(1_000, "EUR"),
        captured=True,
        fee_minor=59,
    )
    finding = Finding(status="succeeded", source="answer", outcome=outcome)
    assert opened.operation is not None
    change = settle(opened.payment, [opened.operation], opened.operation, finding, at=AT)
    assert change is not None
    return change


async def rows(database: Database, context: TenantContext, table: str) -> list[asyncpg.Record]:
    """Everything that the tenant sees of a table."""
    async with database.tenant(context.tenant_id) as session:
        return await session.fetch(f"SELECT * FROM {table} WHERE tenant_id = $1", context.tenant_id)


async def test_each_tenants_rows_are_written_and_seen_by_it_alone(database: Database) -> None:
    tenants = [await make_tenant(database) for _ in range(4)]
    batches = PaymentBatches(database)
    openings = [opening(tenant) for tenant in tenants for _ in range(3)]
    assert await batches._open(openings) == [True] * 12
    changes = [(each.tenant_id, captured(each)) for each in openings]
    assert await batches._settle(changes) == [True] * 12
    for tenant in tenants:
        mine = [each for each in openings if each.tenant_id == tenant.tenant_id]
        found = await rows(database, tenant, "payment")
        assert {row["id"] for row in found} == {each.payment.id for each in mine}
        assert {row["status"] for row in found} == {"CAPTURED"}
        assert len(await rows(database, tenant, "ledger_transfer")) == 6
        assert len(await rows(database, tenant, "event")) == 6


async def test_what_is_written_is_what_the_records_say(database: Database) -> None:
    tenant = await make_tenant(database)
    batches = PaymentBatches(database)
    opened = opening(tenant)
    await batches.open(opened)
    async with database.tenant(tenant.tenant_id) as session:
        payment = await session.fetchrow(f"SELECT {PAYMENT.listed} FROM payment")
        attempt = await session.fetchrow(f"SELECT {ATTEMPT.listed} FROM attempt")
        operation = await session.fetchrow(f"SELECT {OPERATION.listed} FROM operation")
        event = await session.fetchrow(f"SELECT {EVENT.listed} FROM event")
        claim = await session.fetchrow("SELECT * FROM idempotency_key")
    assert payment is not None
    assert PAYMENT.read(payment) == opened.payment
    assert attempt is not None
    assert ATTEMPT.read(attempt) == opened.attempt
    assert operation is not None
    assert OPERATION.read(operation) == opened.operation
    assert event is not None
    assert EVENT.read(event) == opened.event
    assert claim is not None
    assert (claim["fingerprint"], claim["mutation"]) == (opened.fingerprint, "createPayment")
    change = captured(opened)
    assert await batches.settle(tenant.tenant_id, change)
    async with database.tenant(tenant.tenant_id) as session:
        payment = await session.fetchrow(f"SELECT {PAYMENT.listed} FROM payment")
        operation = await session.fetchrow(f"SELECT {OPERATION.listed} FROM operation")
    assert payment is not None
    assert PAYMENT.read(payment) == change.payment
    assert operation is not None
    assert OPERATION.read(operation) == change.operation


async def test_a_taken_key_opens_nothing_and_keeps_nobody_from_opening(database: Database) -> None:
    tenant, other = await make_tenant(database), await make_tenant(database)
    batches = PaymentBatches(database)
    first = opening(tenant, key="order-1")
    assert await batches.open(first)
    again = opening(tenant, key="order-1")
    twice = [opening(tenant, key="order-2"), opening(tenant, key="order-2")]
    fresh, theirs = opening(tenant), opening(other, key="order-1")
    opened = await batches._open([again, *twice, fresh, theirs])
    assert opened[0] is False
    assert sorted(opened[1:3]) == [False, True]
    assert opened[3:] == [True, True]
    assert len(await rows(database, tenant, "payment")) == 3
    assert len(await rows(database, tenant, "operation")) == 3
    assert len(await rows(database, other, "payment")) == 1


async def test_a_foreign_customer_opens_nothing_and_keeps_nobody_from_opening(
    database: Database,
) -> None:
    tenant, other = await make_tenant(database), await make_tenant(database)
    customer = new_id("cus")
    async with database.tenant(other.tenant_id) as session:
        await session.execute(
            "INSERT INTO customer (tenant_id, id, metadata, created_at) VALUES ($1, $2, '{}', $3)",
            other.tenant_id,
            customer,
            AT,
        )
    batches = PaymentBatches(database)
    opened = await batches._open(
        [
            opening(tenant, customer=customer),
            opening(tenant, customer=new_id("cus")),
            opening(tenant),
            opening(other, customer=customer),
        ]
    )
    assert opened == [False, False, True, True]
    assert len(await rows(database, tenant, "payment")) == 1
    assert len(await rows(database, tenant, "idempotency_key")) == 1


async def test_a_row_that_has_moved_on_is_left_alone(database: Database) -> None:
    tenant = await make_tenant(database)
    batches = PaymentBatches(database)
    late, well = opening(tenant), opening(tenant)
    assert await batches._open([late, well]) == [True, True]
    assert await batches.settle(tenant.tenant_id, captured(late))
    settled = await batches._settle(
        [(tenant.tenant_id, captured(late)), (tenant.tenant_id, captured(well))]
    )
    assert settled == [False, True]
    assert len(await rows(database, tenant, "ledger_transfer")) == 4


async def test_of_two_changes_of_one_payment_in_a_batch_the_first_counts(
    database: Database,
) -> None:
    tenant = await make_tenant(database)
    batches = PaymentBatches(database)
    opened = opening(tenant)
    assert await batches.open(opened)
    changes = [(tenant.tenant_id, captured(opened)) for _ in range(2)]
    assert await batches._settle(changes) == [True, False]
    assert len(await rows(database, tenant, "ledger_tail")) == len(changes[0][1].postings)


async def test_what_was_never_opened_is_not_settled(database: Database) -> None:
    """Rows are found as conflicts: one that is not there must not be written."""
    tenant = await make_tenant(database)
    assert not await PaymentBatches(database).settle(tenant.tenant_id, captured(opening(tenant)))
    assert await rows(database, tenant, "payment") == []


async def test_an_operation_that_moved_on_alone_stops_the_whole_batch(database: Database) -> None:
    tenant = await make_tenant(database)
    batches = PaymentBatches(database)
    odd, well = opening(tenant), opening(tenant)
    assert await batches._open([odd, well]) == [True, True]
    assert odd.operation is not None
    async with database.tenant(tenant.tenant_id) as session:
        await session.execute("UPDATE operation SET version = 7 WHERE id = $1", odd.operation.id)
    with pytest.raises(asyncpg.SerializationError):
        await batches._settle(
            [(tenant.tenant_id, captured(odd)), (tenant.tenant_id, captured(well))]
        )
    assert {row["status"] for row in await rows(database, tenant, "payment")} == {"PROCESSING"}


async def test_a_batch_stands_behind_no_lock_for_long(database: Database) -> None:
    tenant = await make_tenant(database)
    batches = PaymentBatches(database)
    opened = opening(tenant)
    assert await batches.open(opened)
    async with database.tenant(tenant.tenant_id) as session:
        await session.execute("SELECT 1 FROM payment WHERE id = $1 FOR UPDATE", opened.payment.id)
        assert not await batches.settle(tenant.tenant_id, captured(opened))
    assert await batches.settle(tenant.tenant_id, captured(opened))


async def test_a_part_that_names_another_tenant_than_its_scope_is_refused(
    database: Database,
) -> None:
    """The function sets the scope from the part; the rows cannot say anything else."""
    tenant, other = await make_tenant(database), await make_tenant(database)
    opened = opening(tenant)
    row = msgspec.to_builtins(opened.payment) | {"tenant_id": str(other.tenant_id)}
    claim = {"key": "k", "mutation": "createPayment", "fingerprint": "\\x00"}
    claim |= {"resource_id": opened.payment.id, "created_at": AT.isoformat()}
    part = {"tenant_id": str(tenant.tenant_id), "claims": [claim], "payments": [row]}
    await database.call("open_payments", [part])
    assert len(await rows(database, tenant, "payment")) == 1
    assert await rows(database, other, "payment") == []


async def test_no_scope_outlives_a_batch(database: Database) -> None:
    tenant = await make_tenant(database)
    assert await PaymentBatches(database).open(opening(tenant))
    for _ in range(20):  # whichever connection is next
        assert await database._app.fetchval("SELECT count(*) FROM payment") == 0


async def test_the_functions_write_every_column_that_the_records_have(servers: Servers) -> None:
    connection = await asyncpg.connect(servers.owner_url)
    try:
        body = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'open_rows'")
        settles = await connection.fetchval(
            "SELECT prosrc FROM pg_proc WHERE proname = 'settle_payments'"
        )
        definers = await connection.fetchval("SELECT count(*) FROM pg_proc WHERE prosecdef")
    finally:
        await connection.close()
    assert definers == 0
    tables: dict[str, Columns[Any]] = {
        "payment": PAYMENT,
        "attempt": ATTEMPT,
        "operation": OPERATION,
        "event": EVENT,
    }
    for table, columns in tables.items():
        found = re.search(rf"INSERT INTO {table} \(tenant_id,([^)]*)\)", body)
        assert found is not None
        assert {name.strip() for name in found[1].split(",")} == set(columns.names)
    halves = settles.split("INSERT INTO operation")
    for half, moves in zip(halves, (store._PAYMENT_MOVES, store._OPERATION_MOVES), strict=True):
        assert set(re.findall(r"(\w+) = excluded\.\1\b", half)) == set(moves)


async def test_bad_customers_of_one_shop_do_not_spoil_the_payments_of_another(
    shop: Shop, other_shop: Shop
) -> None:
    async def bad() -> None:
        with pytest.raises(NotFound):
            await shop.pay(customer_id=new_id("cus"))

    paid = [other_shop.pay(500 + n) for n in range(20)]
    results = await asyncio.gather(*paid, *(bad() for _ in range(20)))
    assert {each.payment.status for each in results if each} == {"CAPTURED"}
    assert await shop.engine.payments.page(shop.context, PaymentFilter(), first=10) == []


async def transactions(database: Database, shops: Sequence[Shop], table: str) -> int:
    """How many transactions have written the rows of a table as they now stand."""
    found = set()
    for one in shops:
        async with database.tenant(one.context.tenant_id) as session:
            of_tenant = "SELECT xmin::text AS made_by FROM {} WHERE tenant_id = $1"
            sql = of_tenant.format(table)
            found |= {row["made_by"] for row in await session.fetch(sql, one.context.tenant_id)}
    return len(found)


async def test_payments_of_one_moment_share_their_commits(shop: Shop, other_shop: Shop) -> None:
    """Were a batch refused, each of its payments would be written alone, as well and dearer."""
    shops = (shop, other_shop)
    results = await asyncio.gather(*(one.pay(500 + n) for n in range(20) for one in shops))
    assert {each.payment.status for each in results} == {"CAPTURED"}
    for table in ("attempt", "payment"):
        assert await transactions(shop.engine.database, shops, table) < len(results)


async def test_what_triggers_write_for_a_batch_is_written_for_each_tenant(
    shop: Shop, other_shop: Shop
) -> None:
    """A trigger runs when its statement has passed on to the last tenant's scope."""
    shops = (shop, other_shop)
    database = shop.engine.database
    tokens = ["tok_visa", "tok_decline_lost_card", "tok_fraud_review"] * 4
    results = await asyncio.gather(
        *(
            one.pay(500, token=token, fraud=FraudInput(card_fingerprint=f"card-{number}"))
            for number, token in enumerate(tokens)
            for one in shops
        )
    )
    statuses = Counter(each.payment.status for each in results)
    assert statuses == {"CAPTURED": 8, "DECLINED": 8, "IN_REVIEW": 8}
    for table in ("attempt", "payment"):
        assert await transactions(database, shops, table) < len(results)
    for one in shops:
        told = await rows(database, one.context, "fraud_event")
        # An authorization that is held for review has succeeded.
        assert Counter(row["declined"] for row in told) == {True: 4, False: 8}
        held = {row["payment_id"] for row in await rows(database, one.context, "review")}
        mine = {each.payment.id for each in results if each.payment.status == "IN_REVIEW"}
        assert len(held) == 4
        assert held < mine
