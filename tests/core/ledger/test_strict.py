"""Can more leave an account than is there?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
import pytest
from payengine.context import TenantContext
from payengine.errors import InsufficientAvailableBalance, LedgerTransactionConflict
from payengine.ledger import HoldLine, Posting, Transfer, fold_tail, open_holds, post_strict
from payengine.ledger.holds import release_of_holds, resolve_holds
from payengine.ledger.posting import PostResult
from payengine.storage import Database

from tests.conftest import Servers
from tests.core.ledger.postings import AT, holds_of, moved, post_in, standing, whole

_RACES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 300
_VENDOR = "vendor_payable:v"


@pytest.fixture(scope="module")
async def wide(servers: Servers) -> AsyncIterator[Database]:
    """A database with more connections than usual."""
    opened = await Database.open(servers.login_url, pool_size=24)
    yield opened
    await opened.close()


def _sold(amount_minor: int) -> Posting:
    return moved("sold", amount_minor, credited=_VENDOR)


def _payout(
    name: str, amount_minor: int, phase: Literal["posted", "pending"] = "posted"
) -> Posting:
    transfer = Transfer(
        debit_account=_VENDOR,
        credit_account="payouts_in_transit:v",
        amount_minor=amount_minor,
        currency="USD",
        phase=phase,
    )
    return Posting(
        transaction_id=name, kind="payout.created", transfers=(transfer,), payment_id="po_1"
    )


async def _strictly(database: Database, tenant: TenantContext, posting: Posting) -> PostResult:
    async with database.tenant(tenant.tenant_id) as session:
        return await post_strict(session, tenant.tenant_id, posting, at=AT)


async def test_what_is_there_may_leave_and_no_more(
    database: Database, tenant: TenantContext
) -> None:
    with pytest.raises(InsufficientAvailableBalance):
        await _strictly(database, tenant, _payout("p0", 1))
    await post_in(database, tenant, [_sold(100)])
    with pytest.raises(InsufficientAvailableBalance):
        await _strictly(database, tenant, _payout("p1", 101))
    assert await _strictly(database, tenant, _payout("p1", 100)) == "posted"
    with pytest.raises(InsufficientAvailableBalance):
        await _strictly(database, tenant, _payout("p2", 1))
    assert await whole(database, tenant)


async def test_a_pending_debit_counts_at_once_and_a_pending_credit_never(
    database: Database, tenant: TenantContext
) -> None:
    await post_in(database, tenant, [_sold(100)])
    incoming = msgspec.structs.replace(
        moved("later", 500, credited=_VENDOR),
        transfers=(
            msgspec.structs.replace(
                moved("later", 500, credited=_VENDOR).transfers[0], phase="pending"
            ),
        ),
    )
    await post_in(database, tenant, [incoming])
    assert await _strictly(database, tenant, _payout("p1", 70, "pending")) == "posted"
    with pytest.raises(InsufficientAvailableBalance):
        await _strictly(database, tenant, _payout("p2", 50, "pending"))
    holds = await holds_of(database, tenant, "po_1")
    end = Posting(
        transaction_id="p1:paid", kind="payout.paid", transfers=resolve_holds(holds, posted=())
    )
    await _strictly(database, tenant, end)
    assert await _strictly(database, tenant, _payout("p2", 100, "pending")) == "posted"


async def test_another_currency_is_another_balance(
    database: Database, tenant: TenantContext
) -> None:
    await post_in(database, tenant, [moved("sold", 100, credited=_VENDOR, currency="EUR")])
    with pytest.raises(InsufficientAvailableBalance):
        await _strictly(database, tenant, _payout("p1", 1))


async def test_posting_strictly_again_is_no_second_taking(
    database: Database, tenant: TenantContext
) -> None:
    await post_in(database, tenant, [_sold(100)])
    assert await _strictly(database, tenant, _payout("p1", 100)) == "posted"
    assert await _strictly(database, tenant, _payout("p1", 100)) == "exists"
    with pytest.raises(LedgerTransactionConflict):
        await _strictly(database, tenant, _payout("p1", 99))


@pytest.mark.parametrize("phase", ["posted", "pending"])
async def test_racing_payouts_never_overspend(
    phase: Literal["posted", "pending"], wide: Database, tenant: TenantContext
) -> None:
    """Some hundreds; ten thousand at night."""
    await post_in(wide, tenant, [_sold(1_000)])
    racing = True

    async def fold() -> None:
        while racing:
            async with wide.tenant(tenant.tenant_id) as session:
                await fold_tail(session, tenant.tenant_id, 3)
            await asyncio.sleep(0.001)

    folding = asyncio.create_task(fold())
    results = await asyncio.gather(
        *(_strictly(wide, tenant, _payout(f"p{number}", 7, phase)) for number in range(_RACES)),
        return_exceptions=True,
    )
    racing = False
    await folding
    assert results.count("posted") == 142  # of 1,000: 142 times 7 and no more
    assert sum(isinstance(each, InsufficientAvailableBalance) for each in results) == _RACES - 142
    taken = (994, 1_000, 0, 0) if phase == "posted" else (0, 1_000, 994, 0)
    assert (await standing(wide, tenant))[_VENDOR, "USD"] == taken
    assert await whole(wide, tenant)


async def test_transfers_between_two_accounts_in_both_directions_never_lock_each_other_out(
    wide: Database, tenant: TenantContext
) -> None:
    others = [f"vendor_payable:{name}" for name in "abcd"]
    await post_in(wide, tenant, [moved(f"sold{a}", 1_000, credited=a) for a in others])

    def swap(number: int) -> Posting:
        one, other = others[number % 4], others[(number + 1 + number // 4) % 4]
        if one == other:
            other = "vendor_payable:e"
        pairs = ((one, "bank:main"), (other, "cash:main"))
        return Posting(
            transaction_id=f"s{number}",
            kind="transfer",
            transfers=tuple(
                Transfer(debit_account=d, credit_account=c, amount_minor=1, currency="USD")
                for d, c in (pairs if number % 2 else reversed(pairs))
            ),
        )

    results = await asyncio.gather(
        *(_strictly(wide, tenant, swap(number)) for number in range(120)), return_exceptions=True
    )
    strange = [
        each
        for each in results
        if each != "posted" and not isinstance(each, InsufficientAvailableBalance)
    ]
    assert strange == []
    assert await whole(wide, tenant)


async def test_releasing_a_reserved_payout_makes_it_available(
    database: Database, tenant: TenantContext
) -> None:
    await post_in(database, tenant, [_sold(100)])
    await _strictly(database, tenant, _payout("p1", 100, "pending"))
    async with database.tenant(tenant.tenant_id) as session:
        holds: list[HoldLine] = await open_holds(session, tenant.tenant_id, "po_1")
    release = Posting(
        transaction_id="p1:failed",
        kind="payout.failed",
        transfers=release_of_holds(holds, 40),
        payment_id="po_1",
    )
    await post_in(database, tenant, [release])
    with pytest.raises(InsufficientAvailableBalance):
        await _strictly(database, tenant, _payout("p2", 41))
    assert await _strictly(database, tenant, _payout("p2", 40)) == "posted"
