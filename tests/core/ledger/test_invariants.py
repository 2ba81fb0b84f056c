"""Does the check see each way in which a ledger can be broken?"""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from payengine.context import TenantContext
from payengine.ledger import broken, fold_tail, templates
from payengine.storage import Counters, Database, Session

from tests.conftest import Servers
from tests.core.ledger.postings import moved, post_in


@pytest.fixture
async def owner(
    servers: Servers, database: Database, tenant: TenantContext
) -> AsyncIterator[Session]:
    """The owner's hand in a tenant with two payments, half of it folded; all is undone after."""
    hold = templates.authorized(
        operation_id="op_1",
        payment_id="pay_1",
        gateway="sandbox",
        amount_minor=100,
        currency="USD",
    )
    await post_in(database, tenant, [moved("t1"), hold])
    async with database.tenant(tenant.tenant_id) as session:
        await fold_tail(session, tenant.tenant_id, 1)
    connection = await asyncpg.connect(servers.owner_url)
    await connection.execute(f"BEGIN; SET LOCAL app.tenant_id = '{tenant.tenant_id}'")
    try:
        yield Session(connection, Counters())
    finally:
        await connection.execute("ROLLBACK")
        await connection.close()


async def test_a_whole_ledger_has_nothing_to_say(owner: Session, tenant: TenantContext) -> None:
    assert await broken(owner, tenant.tenant_id) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE ledger_rollup SET debits_pending = debits_pending + 1", "stands at"),
        (
            "UPDATE ledger_rollup SET debits_posted = debits_posted + 1",
            "has debits of",
        ),
        ("DELETE FROM ledger_rollup", "stands at"),
        ("DELETE FROM ledger_tail", "stands at"),
        (
            "INSERT INTO ledger_tail"
            " SELECT tenant_id, transaction_id FROM ledger_transfer ON CONFLICT DO NOTHING",
            "stands at",
        ),
        ("UPDATE ledger_transfer SET amount_minor = amount_minor + 1", "stands at"),
        (
            "INSERT INTO ledger_tail SELECT tenant_id, 'ghost' FROM ledger_tail",
            "the tail names ghost",
        ),
        (
            "ALTER TABLE ledger_transfer DISABLE TRIGGER ledger_transfer_fits_pending;"
            "INSERT INTO ledger_transfer (tenant_id, transaction_id, line, phase, kind,"
            " debit_account, credit_account, amount_minor, currency, pending_transaction_id,"
            " pending_line, created_at)"
            " SELECT tenant_id, 'too-much', 1, 'post', kind, debit_account, credit_account, 101,"
            " currency, transaction_id, line, created_at FROM ledger_transfer"
            " WHERE phase = 'pending'",
            "does not fit the pending transfer",
        ),
    ],
)
async def test_each_damage_is_seen(
    damage: str, said: str, owner: Session, tenant: TenantContext
) -> None:
    await owner.execute(damage)
    findings = await broken(owner, tenant.tenant_id)
    assert any(said in finding for finding in findings), findings
