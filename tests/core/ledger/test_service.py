"""What may a tenant read of its ledger, and of nobody else's?"""

from __future__ import annotations

import dataclasses

import pytest
from payengine.context import TenantContext
from payengine.errors import PermissionDenied
from payengine.ledger import Ledger, TrialBalance
from payengine.storage import Database

from tests.core.ledger.postings import moved, post_in


async def test_balances_are_those_of_the_prefix_with_their_normal_sign(
    database: Database, tenant: TenantContext
) -> None:
    await post_in(
        database,
        tenant,
        [
            moved("t1", 500, payment_id="pay_1"),
            moved("t2", 20, debited="processor_fees:sandbox", credited="psp_receivable:sandbox"),
            moved("t3", 7, currency="JPY"),
        ],
    )
    ledger = Ledger(database)
    found = {
        (each.account, each.currency): (each.type, each.balance)
        for each in await ledger.balances(tenant)
    }
    assert found == {
        ("merchant_payable:main", "JPY"): ("liability", 7),
        ("merchant_payable:main", "USD"): ("liability", 500),
        ("processor_fees:sandbox", "USD"): ("expense", 20),
        ("psp_receivable:sandbox", "JPY"): ("asset", 7),
        ("psp_receivable:sandbox", "USD"): ("asset", 480),
    }
    assert {each.account for each in await ledger.balances(tenant, "p")} == {
        "processor_fees:sandbox",
        "psp_receivable:sandbox",
    }
    assert await ledger.balances(tenant, "bank") == []
    assert await ledger.trial_balance(tenant) == [
        TrialBalance(currency="JPY", debits=7, credits=7),
        TrialBalance(currency="USD", debits=520, credits=520),
    ]
    (line,) = await ledger.transfers_of(tenant, "pay_1")
    assert (line.transaction_id, line.amount_minor, line.phase) == ("t1", 500, "posted")


async def test_another_tenant_sees_nothing(
    database: Database, tenant: TenantContext, other_tenant: TenantContext
) -> None:
    await post_in(database, tenant, [moved("t1", payment_id="pay_1")])
    ledger = Ledger(database)
    assert await ledger.balances(other_tenant) == []
    assert await ledger.trial_balance(other_tenant) == []
    assert await ledger.transfers_of(other_tenant, "pay_1") == []


async def test_reading_needs_the_scope(database: Database, tenant: TenantContext) -> None:
    blind = dataclasses.replace(tenant, scopes=frozenset({"payments:read"}))
    ledger = Ledger(database)
    with pytest.raises(PermissionDenied):
        await ledger.balances(blind)
    with pytest.raises(PermissionDenied):
        await ledger.trial_balance(blind)
    with pytest.raises(PermissionDenied):
        await ledger.transfers_of(blind, "pay_1")
