"""Is a balance at any past instant what a replay of all transfers gives?"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.context import TenantContext
from payengine.errors import CursorInvalid, InputInvalid
from payengine.ledger import (
    AccountBalance,
    Ledger,
    Posting,
    Transfer,
    TransferFilter,
    balances,
    balances_at,
    broken,
    fold_tail,
    post,
)
from payengine.ledger.chart import is_debit_normal
from payengine.storage import Database

from tests.conftest import make_tenant

_START = datetime(2026, 1, 30, 22, 0, tzinfo=UTC)
_ACCOUNTS = ("psp_receivable:a", "merchant_payable:m", "processor_fees:a", "bank:main")
_MANY = settings(max_examples=100 if os.environ.get("PAYENGINE_NIGHTLY") else 6)

#: (hours after the start, debited, credited, amount, currency, what becomes of it)
_MOVES = st.lists(
    st.tuples(
        st.integers(0, 100),
        st.integers(0, 3),
        st.integers(1, 3),
        st.integers(1, 10_000),
        st.sampled_from(["EUR", "JPY"]),
        st.sampled_from(["posted", "posted", "pending", "post", "void"]),
    ),
    min_size=1,
    max_size=25,
)

_Sums = dict[tuple[str, str], list[int]]


def _replayed(rows: Sequence[tuple[datetime, str, str, str, int, str, int]], at: datetime) -> _Sums:
    """What the transfers up to and with `at` sum to: posted and pending, debits and credits."""
    sums: _Sums = defaultdict(lambda: [0, 0, 0, 0])
    for instant, phase, debited, credited, amount, currency, reserved in rows:
        if instant > at:
            continue
        posted = amount if phase in ("posted", "post") else 0
        pending = {"pending": amount, "posted": 0}.get(phase, -reserved)
        for place, account in ((0, debited), (1, credited)):
            sums[account, currency][place] += posted
            sums[account, currency][place + 2] += pending
    return {key: four for key, four in sums.items() if any(four)}


def _as_sums(found: Sequence[AccountBalance]) -> _Sums:
    return {
        (each.account, each.currency): [
            each.posted_debits,
            each.posted_credits,
            each.pending_debits,
            each.pending_credits,
        ]
        for each in found
    }


@_MANY
@given(_MOVES, st.integers(0, 2**32))
async def test_balances_at_any_instant_equal_the_replay(
    database: Database,
    moves: list[tuple[int, int, int, int, str, str]],
    seed: int,
) -> None:
    dice = random.Random(seed)
    tenant = await make_tenant(database)
    rows: list[tuple[datetime, str, str, str, int, str, int]] = []
    for number, (hours, first, step, amount, currency, fate) in enumerate(moves):
        at = _START + timedelta(hours=hours, microseconds=number)
        debited, credited = _ACCOUNTS[first], _ACCOUNTS[(first + step) % 4]
        phase = "posted" if fate == "posted" else "pending"
        sides = {"debit_account": debited, "credit_account": credited, "currency": currency}
        await _post(database, tenant, f"t{number}", at, phase=phase, amount_minor=amount, **sides)
        rows.append((at, phase, debited, credited, amount, currency, 0))
        if fate in ("post", "void"):
            part = dice.randint(1, amount) if fate == "post" else amount
            then = at + timedelta(hours=dice.randint(0, 60))
            await _post(
                database,
                tenant,
                f"t{number}x",
                then,
                phase=fate,
                amount_minor=part,
                pending=(f"t{number}", 1),
                **sides,
            )
            rows.append((then, fate, debited, credited, part, currency, amount))
        if dice.random() < 0.2:
            async with database.tenant(tenant.tenant_id) as session:
                await fold_tail(session, tenant.tenant_id, dice.randint(1, 9))
    for at in _instants(dice, rows):
        async with database.tenant(tenant.tenant_id) as session:
            found = await balances_at(session, tenant.tenant_id, at=at)
        assert _as_sums(found) == _replayed(rows, at)
    async with database.tenant(tenant.tenant_id) as session:
        assert await balances_at(
            session, tenant.tenant_id, at=_START + timedelta(days=99)
        ) == await balances(session, tenant.tenant_id)
        assert await broken(session, tenant.tenant_id) == []


async def _post(
    database: Database, tenant: TenantContext, name: str, at: datetime, **transfer: object
) -> None:
    posting = Posting(
        transaction_id=name,
        kind="test.moved",
        transfers=(Transfer(**transfer),),  # type: ignore[arg-type]
    )
    async with database.tenant(tenant.tenant_id) as session:
        await post(session, tenant.tenant_id, [posting], at=at)


def _instants(
    dice: random.Random, rows: Sequence[tuple[datetime, str, str, str, int, str, int]]
) -> list[datetime]:
    """Instants of transfers, those just before, midnights, and some in between."""
    own = [row[0] for row in dice.sample(rows, min(4, len(rows)))]
    midnight = datetime(2026, 2, 1, tzinfo=UTC)
    return [
        *own,
        *(at - timedelta(microseconds=1) for at in own),
        midnight,
        midnight - timedelta(microseconds=1),
        _START - timedelta(seconds=1),
    ]


async def _some(database: Database, tenant: TenantContext, count: int) -> None:
    for number in range(count):
        await _post(
            database,
            tenant,
            f"t{number}",
            _START + timedelta(hours=12 * number),
            debit_account="psp_receivable:a",
            credit_account="merchant_payable:m",
            amount_minor=100 + number,
            currency="EUR",
        )


async def test_a_statement_leads_from_its_opening_to_its_closing_balance(
    database: Database, tenant: TenantContext
) -> None:
    await _some(database, tenant, 6)
    ledger = Ledger(database)
    since, until = _START + timedelta(hours=12), _START + timedelta(hours=48)
    for account in ("merchant_payable:m", "psp_receivable:a"):
        found = await ledger.statement(tenant, account, "EUR", since=since, until=until)
        assert (found.opening_minor, found.closing_minor) == (100, 406)
        assert [each.amount_minor for each in found.entries] == [101, 102, 103]
        assert found.entries[-1].balance_minor == found.closing_minor
        assert is_debit_normal(account) == account.startswith("psp")
    before = since - timedelta(microseconds=1)
    stood = await ledger.balance(tenant, "merchant_payable:m", "EUR", at=before)
    assert stood.balance == 100
    nothing = await ledger.balance(tenant, "merchant_payable:m", "USD", at=until)
    assert (nothing.balance, nothing.type) == (0, "liability")


async def test_transfers_are_paged_from_the_latest_on(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    await _some(database, tenant, 6)
    ledger = Ledger(database)
    wanted = TransferFilter(
        since=_START, until=_START + timedelta(days=3), account="merchant_payable:m"
    )
    first = await ledger.transfers(tenant, wanted, first=4)
    assert [line.amount_minor for line in first] == [105, 104, 103, 102, 101]
    rest = await ledger.transfers(tenant, wanted, first=4, after=first[3].cursor)
    assert [line.amount_minor for line in rest] == [101, 100]
    assert await ledger.transfers(other_tenant, wanted, first=4) == []
    with pytest.raises(CursorInvalid):
        await ledger.transfers(tenant, wanted, first=4, after="nonsense")
    with pytest.raises(InputInvalid):
        await ledger.transfers(
            tenant, TransferFilter(since=_START, until=_START + timedelta(days=367)), first=4
        )


async def test_days_that_do_not_sum_to_the_balance_are_found(
    database: Database, tenant: TenantContext
) -> None:
    await _some(database, tenant, 2)
    async with database.tenant(tenant.tenant_id) as session:
        await fold_tail(session, tenant.tenant_id)
        await session.execute(
            "UPDATE ledger_day SET debits_posted = debits_posted + 1 WHERE tenant_id = $1"
            " AND account = 'psp_receivable:a'",
            tenant.tenant_id,
        )
        found = await broken(session, tenant.tenant_id)
    assert found == ["ledger: the days of psp_receivable:a/EUR do not sum to where it stands"]


async def test_a_statement_may_begin_with_the_first_instant_there_is(
    database: Database, tenant: TenantContext
) -> None:
    begins = datetime.min.replace(tzinfo=UTC)
    found = await Ledger(database).statement(
        tenant, "merchant_payable:main", "EUR", since=begins, until=begins + timedelta(days=1)
    )
    assert (found.opening_minor, found.closing_minor, found.entries) == (0, 0, ())
