"""Are balances exact at every moment, however postings and foldings interleave?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from payengine.context import TenantContext
from payengine.ledger import (
    Posting,
    balances,
    broken,
    fold_all,
    fold_tail,
    open_holds,
    post,
    templates,
)
from payengine.storage import Database

from tests.conftest import Servers
from tests.core.ledger.postings import AT, moved, post_in, standing, whole

_WRITERS = 32
_ROUNDS = 12


@pytest.fixture(scope="module")
async def wide(servers: Servers) -> AsyncIterator[Database]:
    """A database with a connection for every writer and more."""
    opened = await Database.open(servers.login_url, pool_size=_WRITERS + 6)
    yield opened
    await opened.close()


async def _fold(database: Database, tenant: TenantContext, limit: int = 500) -> int:
    async with database.tenant(tenant.tenant_id) as session:
        return await fold_tail(session, tenant.tenant_id, limit)


async def _one_payment(
    database: Database, tenant: TenantContext, name: str, dice: random.Random
) -> int:
    """Authorize, then capture or void, a commit each; returns what was captured."""
    amount = dice.randint(2, 10_000)
    hold = templates.authorized(
        operation_id=f"{name}a",
        payment_id=name,
        gateway="sandbox",
        amount_minor=amount,
        currency="USD",
    )
    await post_in(database, tenant, [hold])
    taken = dice.choice([0, amount, amount // 2])
    async with database.tenant(tenant.tenant_id) as session:
        holds = await open_holds(session, tenant.tenant_id, name)
        end = (
            templates.captured_from_hold(
                operation_id=f"{name}c", payment_id=name, holds=holds, amount_minor=taken
            )
            if taken
            else templates.voided(operation_id=f"{name}v", payment_id=name, holds=holds)
        )
        await post(session, tenant.tenant_id, [end], at=AT)
        await asyncio.sleep(dice.random() / 200)  # commits come late and in any order
    return taken


async def test_balances_are_exact_while_thirty_two_write_and_two_fold(
    wide: Database, tenant: TenantContext
) -> None:
    writing = True
    looks = 0

    async def write(number: int) -> int:
        dice = random.Random(number)
        return sum(
            [
                await _one_payment(wide, tenant, f"pay_{number}_{turn}", dice)
                for turn in range(_ROUNDS)
            ]
        )

    async def fold(limit: int) -> None:
        while writing:
            await _fold(wide, tenant, limit)
            await asyncio.sleep(0.002)

    async def look() -> None:
        nonlocal looks
        while writing:
            async with wide.tenant(tenant.tenant_id) as session:
                assert await broken(session, tenant.tenant_id) == []
            looks += 1

    others = [asyncio.create_task(each) for each in (fold(7), fold(50), look())]
    try:
        captured = sum(await asyncio.gather(*(write(number) for number in range(_WRITERS))))
    finally:
        writing = False
        await asyncio.gather(*others)
    assert looks
    expected = {
        ("merchant_payable:main", "USD"): (0, captured, 0, 0),
        ("psp_receivable:sandbox", "USD"): (captured, 0, 0, 0),
    }
    assert await standing(wide, tenant) == expected
    while await _fold(wide, tenant):
        pass
    assert await standing(wide, tenant) == expected
    assert await whole(wide, tenant)


async def test_a_late_commit_is_counted_once_when_it_comes(
    database: Database, tenant: TenantContext
) -> None:
    async with AsyncExitStack() as open_until_late:
        late = await open_until_late.enter_async_context(database.tenant(tenant.tenant_id))
        await post(late, tenant.tenant_id, [moved("a-late", 1_000)], at=AT)
        for number in range(5):
            await post_in(database, tenant, [moved(f"z{number}", 1)])
            assert await _fold(database, tenant) == 1
            sums = await standing(database, tenant)
            assert sums["merchant_payable:main", "USD"] == (0, number + 1, 0, 0)
    assert (await standing(database, tenant))["merchant_payable:main", "USD"] == (0, 1_005, 0, 0)
    assert await _fold(database, tenant) == 1
    assert await _fold(database, tenant) == 0
    assert (await standing(database, tenant))["merchant_payable:main", "USD"] == (0, 1_005, 0, 0)
    assert await whole(database, tenant)


async def test_a_fold_that_rolls_back_leaves_the_balances(
    database: Database, tenant: TenantContext
) -> None:
    await post_in(database, tenant, [moved("t1")])

    async def fold_and_fail() -> None:
        async with database.tenant(tenant.tenant_id) as session:
            assert await fold_tail(session, tenant.tenant_id) == 1
            sums = await balances(session, tenant.tenant_id)
            assert [each.posted_credits for each in sums] == [100, 0]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fold_and_fail()
    assert (await standing(database, tenant))["merchant_payable:main", "USD"] == (0, 100, 0, 0)
    assert await _fold(database, tenant) == 1


async def test_a_hold_folded_before_it_ends_is_released_by_the_end(
    database: Database, tenant: TenantContext
) -> None:
    hold = templates.authorized(
        operation_id="op_1",
        payment_id="pay_1",
        gateway="sandbox",
        amount_minor=100,
        currency="JPY",
    )
    await post_in(database, tenant, [hold])
    await _fold(database, tenant)
    assert (await standing(database, tenant))["psp_receivable:sandbox", "JPY"] == (0, 0, 100, 0)
    async with database.tenant(tenant.tenant_id) as session:
        holds = await open_holds(session, tenant.tenant_id, "pay_1")
    capture = templates.captured_from_hold(
        operation_id="op_2", payment_id="pay_1", holds=holds, amount_minor=60
    )
    await post_in(database, tenant, [capture])
    for _ in range(2):
        sums = await standing(database, tenant)
        assert sums["psp_receivable:sandbox", "JPY"] == (60, 0, 0, 0)
        assert await whole(database, tenant)
        await _fold(database, tenant)


async def test_every_tenant_with_a_tail_is_folded(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    many: list[Posting] = [moved(f"t{number}") for number in range(700)]
    await post_in(database, tenant, many)
    await post_in(database, other_tenant, many[:3])
    assert await fold_all(database) >= 703
    for each, count in ((tenant, 700), (other_tenant, 3)):
        async with database.tenant(each.tenant_id) as session:
            assert await session.fetchval("SELECT count(*) FROM ledger_tail") == 0
        sums = await standing(database, each)
        assert sums["merchant_payable:main", "USD"] == (0, 100 * count, 0, 0)
