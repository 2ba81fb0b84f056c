"""Is a posting written once and for ever, and is a hold ended once?"""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec
import pytest
from payengine.context import TenantContext
from payengine.errors import (
    CaptureExceedsAuthorized,
    HoldAlreadyResolved,
    LedgerTransactionConflict,
    NotFound,
    PayengineError,
)
from payengine.ledger import (
    HoldLine,
    Posting,
    insert_transfers_from,
    ledger_error,
    post,
    templates,
    transfer_arrays,
)
from payengine.storage import Database

from tests.core.ledger.postings import AT, holds_of, moved, post_in, standing, whole


def _authorized(amount_minor: int = 100) -> Posting:
    return templates.authorized(
        operation_id="op_1",
        payment_id="pay_1",
        gateway="sandbox",
        amount_minor=amount_minor,
        currency="USD",
    )


async def _held(
    database: Database, tenant: TenantContext, amount_minor: int = 100
) -> list[HoldLine]:
    await post_in(database, tenant, [_authorized(amount_minor)])
    return await holds_of(database, tenant, "pay_1")


def _capture(name: str, holds: list[HoldLine], amount: int, *, final: bool = True) -> Posting:
    return templates.captured_from_hold(
        operation_id=name, payment_id="pay_1", holds=holds, amount_minor=amount, final=final
    )


async def test_posting_again_changes_nothing(database: Database, tenant: TenantContext) -> None:
    first = [moved("t1"), moved("t2", 5)]
    assert await post_in(database, tenant, first) == ("posted", "posted")
    before = await standing(database, tenant)
    assert await post_in(database, tenant, [moved("t3"), *first]) == (
        "posted",
        "exists",
        "exists",
    )
    assert await post_in(database, tenant, [first[0], first[0]]) == ("exists", "exists")
    after = await standing(database, tenant)
    assert after["merchant_payable:main", "USD"] == (0, 205, 0, 0)
    assert before["merchant_payable:main", "USD"] == (0, 105, 0, 0)
    assert await whole(database, tenant)


@pytest.mark.parametrize(
    "other",
    [
        moved("t1", 101),
        moved("t1", currency="EUR"),
        moved("t1", credited="merchant_payable:other"),
        moved("t1", payment_id="pay_2"),
        msgspec.structs.replace(moved("t1"), transfers=moved("t1").transfers * 2),
        msgspec.structs.replace(moved("t1"), kind="other"),
    ],
)
async def test_another_body_under_an_id_is_refused(
    other: Posting, database: Database, tenant: TenantContext
) -> None:
    await post_in(database, tenant, [moved("t1")])
    with pytest.raises(LedgerTransactionConflict):
        await post_in(database, tenant, [other])
    with pytest.raises(LedgerTransactionConflict):
        await post_in(database, tenant, [moved("t9"), msgspec.structs.replace(moved("t9", 7))])
    assert (await standing(database, tenant))["merchant_payable:main", "USD"] == (0, 100, 0, 0)


async def test_forty_racing_posts_of_one_id_write_it_once(
    database: Database, tenant: TenantContext
) -> None:
    results = await asyncio.gather(
        *(post_in(database, tenant, [moved("t1")]) for _ in range(40)),
    )
    assert sorted(results) == [("exists",)] * 39 + [("posted",)]
    assert (await standing(database, tenant))["merchant_payable:main", "USD"] == (0, 100, 0, 0)


async def test_the_same_id_is_free_in_another_tenant(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    assert await post_in(database, tenant, [moved("t1")]) == ("posted",)
    assert await post_in(database, other_tenant, [moved("t1", 7)]) == ("posted",)


async def test_a_hold_is_captured_in_parts_and_then_gone(
    database: Database, tenant: TenantContext
) -> None:
    holds = await _held(database, tenant)
    await post_in(database, tenant, [_capture("op_2", holds, 30, final=False)])
    rest = await holds_of(database, tenant, "pay_1")
    assert [hold.amount_minor for hold in rest] == [70]
    await post_in(database, tenant, [_capture("op_3", rest, 50)])
    assert await holds_of(database, tenant, "pay_1") == []
    assert await standing(database, tenant) == {
        ("merchant_payable:main", "USD"): (0, 80, 0, 0),
        ("psp_receivable:sandbox", "USD"): (80, 0, 0, 0),
    }
    assert await whole(database, tenant)


async def test_ending_a_hold_twice_is_refused(database: Database, tenant: TenantContext) -> None:
    holds = await _held(database, tenant)
    capture = _capture("op_2", holds, 100)
    await post_in(database, tenant, [capture])
    assert await post_in(database, tenant, [capture]) == ("exists",)
    void = templates.voided(operation_id="op_3", payment_id="pay_1", holds=holds)
    with pytest.raises(HoldAlreadyResolved):
        await post_in(database, tenant, [void])
    assert await whole(database, tenant)


async def test_of_forty_racing_ends_of_a_hold_one_wins(
    database: Database, tenant: TenantContext
) -> None:
    holds = await _held(database, tenant)
    ends = [_capture(f"op_c{number}", holds, 100) for number in range(20)]
    ends += [
        templates.voided(operation_id=f"op_v{number}", payment_id="pay_1", holds=holds)
        for number in range(20)
    ]
    results = await asyncio.gather(
        *(post_in(database, tenant, [each]) for each in ends), return_exceptions=True
    )
    assert results.count(("posted",)) == 1
    assert sum(isinstance(each, HoldAlreadyResolved) for each in results) == 39
    assert await whole(database, tenant)


async def test_the_database_refuses_to_post_above_the_hold(
    database: Database, tenant: TenantContext
) -> None:
    holds = await _held(database, tenant)
    capture = _capture("op_2", holds, 100)
    above = msgspec.structs.replace(capture.transfers[0], amount_minor=101)
    with pytest.raises(CaptureExceedsAuthorized):
        await post_in(database, tenant, [msgspec.structs.replace(capture, transfers=(above,))])
    elsewhere = msgspec.structs.replace(capture.transfers[0], credit_account="bank:main")
    with pytest.raises(CaptureExceedsAuthorized):
        await post_in(database, tenant, [msgspec.structs.replace(capture, transfers=(elsewhere,))])
    assert await holds_of(database, tenant, "pay_1") == holds


async def test_a_hold_of_another_tenant_does_not_exist(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    holds = await _held(database, tenant)
    with pytest.raises(NotFound):
        await post_in(database, other_tenant, [_capture("op_2", holds, 100)])
    assert await holds_of(database, other_tenant, "pay_1") == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_transfer SET amount_minor = 1",
        "UPDATE ledger_transfer SET debit_account = 'bank:mine'",
        "DELETE FROM ledger_transfer",
        "TRUNCATE ledger_transfer",
    ],
)
async def test_the_application_cannot_change_a_transfer(
    statement: str, database: Database, tenant: TenantContext
) -> None:
    await post_in(database, tenant, [moved("t1")])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.tenant(tenant.tenant_id) as session:
            await session.execute(statement)


_INSIDE = f"""
    WITH paid AS (SELECT 1 AS one WHERE $2)
    {insert_transfers_from(source="paid", first=3)}
    SELECT count(*) FROM paid
"""


async def test_transfers_go_into_a_larger_statement_or_not_at_all(
    database: Database, tenant: TenantContext
) -> None:
    async with database.tenant(tenant.tenant_id) as session:

        async def write(go: bool, *postings: Posting) -> None:
            arrays = transfer_arrays(postings, at=AT)
            await session.execute(_INSIDE, tenant.tenant_id, go, *arrays)

        await write(False, moved("t1"))
        await write(True)
        assert await session.fetchval("SELECT count(*) FROM ledger_transfer") == 0
        await write(True, moved("t1"), _authorized())
        assert await session.fetchval("SELECT count(*) FROM ledger_transfer") == 2
        assert await session.fetchval("SELECT count(*) FROM ledger_tail") == 2
        assert await post(session, tenant.tenant_id, [moved("t1")], at=AT) == ("exists",)
    error: PayengineError | None = None
    try:
        async with database.tenant(tenant.tenant_id) as session:
            await write(True, moved("t1"))
    except asyncpg.IntegrityConstraintViolationError as violation:
        error = ledger_error(violation)
    assert isinstance(error, LedgerTransactionConflict)
