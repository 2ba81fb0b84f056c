"""A vendor with money, and what became of it: the treasury's mutations with few words."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from payengine.context import TenantContext
from payengine.engine import Engine
from payengine.ids import new_id
from payengine.ledger import balances, post, trial_balance
from payengine.marketplace.postings import Share, captured_in_shares, vendor_account
from payengine.marketplace.treasury import (
    CreatePayout,
    Destination,
    Payout,
    SavePayoutDestination,
)
from payengine_sandbox.payout_book import Kept, PayoutBook

from tests.engines import Shop, key

__all__ = ["Vendor", "open_vendor", "paid_by"]

_ACCOUNT = """
    INSERT INTO connected_account (tenant_id, id, reference, status, country, default_currency,
        requirements, delay_days, business_days, reserve_bps, reserve_days, metadata, created_at,
        updated_at, version)
    VALUES ($1, $2, $2, $3, 'DE', 'EUR', '{}', 0, false, 0, 0, '{}', $4, $4, 1)
"""


@dataclass(frozen=True)
class Vendor:
    """A connected account of a shop."""

    engine: Engine
    context: TenantContext
    id: str
    rounds: list[timedelta] = field(default_factory=list)

    async def earn(self, amount: int, currency: str = "EUR") -> None:
        """Sell something: it is the vendor's, and available."""
        posting = captured_in_shares(
            operation_id=new_id("op"),
            payment_id=new_id("pay"),
            gateway="sandbox",
            currency=currency,
            shares=[Share(account=vendor_account(self.id), amount_minor=amount)],
        )
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            await post(session, self.context.tenant_id, [posting], at=datetime.now(UTC))

    async def bank_at(self, token: str = "acct_ok", **given: Any) -> Destination:
        """Let the money go there from now on."""
        fields = {
            "idempotency_key": key(),
            "account_id": self.id,
            "currency": "EUR",
            "rail": "sandbox",
            "kind": "token",
        } | given
        return await self.engine.treasury.destinations.save(
            self.context, SavePayoutDestination(number=token, **fields)
        )

    async def pay_out(self, amount: int | None = None, **given: Any) -> Payout:
        """A payout in EUR unless `given` says otherwise."""
        fields = {"idempotency_key": key(), "account_id": self.id, "currency": "EUR"} | given
        return await self.engine.treasury.create(
            self.context, CreatePayout(amount_minor=amount, **fields)
        )

    async def go_on(self, *, after: timedelta = timedelta(minutes=15)) -> None:
        """Let the poller look once more, so much later than the last time."""
        self.rounds.append(after)
        at = datetime.now(UTC) + sum(self.rounds, timedelta())
        await self.engine.treasury.run_once(at=at)

    async def payout(self, payout_id: str) -> Payout:
        """The row as it stands."""
        return (await self.engine.treasury.get_many(self.context, [payout_id]))[payout_id]

    async def balance(self, currency: str = "EUR") -> int:
        """What the platform owes the vendor."""
        return await self._of(vendor_account(self.id), currency)

    async def in_transit(self, currency: str = "EUR") -> int:
        """What is on its way."""
        return await self._of(f"payouts_in_transit:{self.id}", currency)

    async def evidence(self, payout_id: str) -> list[tuple[str, str]]:
        """(source, finding) of all evidence, the oldest first."""
        found = await self.engine.treasury.evidence_of(self.context, [payout_id])
        return [(each.source, each.finding) for each in found[payout_id]]

    async def events(self) -> list[str]:
        """The types of the tenant's payout events, in their order."""
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            rows = await session.fetch(
                "SELECT type FROM event WHERE tenant_id = $1 AND type LIKE 'payout%' ORDER BY seq",
                self.context.tenant_id,
            )
        return [row["type"] for row in rows]

    async def set_status(self, status: str) -> None:
        """Let the account stand so."""
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            await session.execute(
                "UPDATE connected_account SET status = $3 WHERE tenant_id = $1 AND id = $2",
                self.context.tenant_id,
                self.id,
                status,
            )

    async def assert_balanced(self) -> None:
        """Debits equal credits, and nothing of the vendor's is below zero."""
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            for each in await trial_balance(session, self.context.tenant_id):
                assert each.debits == each.credits
            for account in (vendor_account(self.id), f"payouts_in_transit:{self.id}"):
                for one in await balances(session, self.context.tenant_id, account=account):
                    assert one.balance >= 0, one

    async def _of(self, account: str, currency: str) -> int:
        async with self.engine.database.tenant(self.context.tenant_id) as session:
            found = await balances(session, self.context.tenant_id, account=account)
        return sum(each.balance for each in found if each.currency == currency)


async def open_vendor(
    shop: Shop, token: str | None = "acct_ok", *, earned: int = 10_000, status: str = "active"
) -> Vendor:
    """A vendor of the shop with a destination and some money."""
    account_id = new_id("acc")
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        await session.execute(
            _ACCOUNT, shop.context.tenant_id, account_id, status, datetime.now(UTC)
        )
    vendor = Vendor(shop.engine, shop.context, account_id)
    if earned:
        await vendor.earn(earned)
    if token is not None:
        await vendor.bank_at(token)
    return vendor


def paid_by(engine: Engine, tenant_id: uuid.UUID) -> list[Kept]:
    """What the sandbox's rail has of a tenant's payouts."""
    rail = engine.registry.rails.rail("sandbox").rail
    book: PayoutBook = rail.book()  # type: ignore[attr-defined]
    return book.every(str(tenant_id))
