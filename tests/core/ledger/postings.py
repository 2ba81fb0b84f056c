"""Postings for the tests: how to write and read them in a tenant of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from payengine.context import TenantContext
from payengine.ledger import HoldLine, Posting, Transfer, balances, broken, open_holds, post
from payengine.storage import Database

__all__ = ["AT", "holds_of", "moved", "post_in", "standing", "whole"]

AT = datetime(2025, 6, 1, tzinfo=UTC)

Sums = dict[tuple[str, str], tuple[int, int, int, int]]


def moved(
    transaction_id: str,
    amount_minor: int = 100,
    *,
    debited: str = "psp_receivable:sandbox",
    credited: str = "merchant_payable:main",
    currency: str = "USD",
    payment_id: str | None = None,
) -> Posting:
    """A posting of one posted transfer."""
    transfer = Transfer(
        debit_account=debited,
        credit_account=credited,
        amount_minor=amount_minor,
        currency=currency,
    )
    return Posting(
        transaction_id=transaction_id, kind="test", transfers=(transfer,), payment_id=payment_id
    )


async def post_in(
    database: Database, tenant: TenantContext, postings: Sequence[Posting]
) -> tuple[str, ...]:
    """Post in a transaction of their own."""
    async with database.tenant(tenant.tenant_id) as session:
        return await post(session, tenant.tenant_id, postings, at=AT)


async def holds_of(database: Database, tenant: TenantContext, payment_id: str) -> list[HoldLine]:
    """The payment's open holds."""
    async with database.tenant(tenant.tenant_id) as session:
        return await open_holds(session, tenant.tenant_id, payment_id)


async def standing(database: Database, tenant: TenantContext) -> Sums:
    """(account, currency) → posted debits and credits, pending debits and credits."""
    async with database.tenant(tenant.tenant_id) as session:
        found = await balances(session, tenant.tenant_id)
    return {
        (each.account, each.currency): (
            each.posted_debits,
            each.posted_credits,
            each.pending_debits,
            each.pending_credits,
        )
        for each in found
    }


async def whole(database: Database, tenant: TenantContext) -> bool:
    """Whether the ledger passes its own check."""
    async with database.tenant(tenant.tenant_id) as session:
        return await broken(session, tenant.tenant_id) == []
