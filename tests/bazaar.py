"""A marketplace in few words: vendors, what is sold for them, and what stands on every account."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from payengine.events.relay import publish_batch
from payengine.marketplace.connected_models import (
    AccountStanding,
    ConnectedAccount,
    CreateConnectedAccount,
    DecideOnboarding,
    MoveConnectedAccount,
)
from payengine.marketplace.divided import Divided
from payengine.marketplace.escrows import AcceptMilestone, RecordDelivery, ReleaseEscrow
from payengine.marketplace.meant import EscrowInput, ShareInput, SplitInput
from payengine.marketplace.room import Marketplace
from payengine.marketplace.sharing_models import EscrowHold
from payengine.payments import Payment

from tests.core.payments.disputing import Court
from tests.engines import Shop, key

__all__ = ["Bazaar", "escrow", "platform", "rest", "vendor"]


def vendor(account: ConnectedAccount | str, **part: Any) -> ShareInput:
    """A vendor's share."""
    account_id = account if isinstance(account, str) else account.id
    return ShareInput(account_id=account_id, **part)


def platform(**part: Any) -> ShareInput:
    """The platform's share."""
    return ShareInput(**part)


def rest(account: ConnectedAccount) -> ShareInput:
    """What is left is this vendor's."""
    return vendor(account, remainder=True)


@dataclass(frozen=True)
class Bazaar:
    """One platform."""

    shop: Shop

    @property
    def room(self) -> Marketplace:
        """The engine's room."""
        return self.shop.engine.marketplace

    async def open(self, **given: Any) -> ConnectedAccount:
        """A vendor that has just begun."""
        fields = {
            "idempotency_key": key(),
            "reference": key(),
            "country": "DE",
            "default_currency": "EUR",
        } | given
        return await self.room.accounts.create(self.shop.context, CreateConnectedAccount(**fields))

    async def vendor(self, **given: Any) -> ConnectedAccount:
        """A vendor that may sell and be paid."""
        account = await self.open(**given)
        await self.move("submit", account)
        return await self.decide(account, "verified")

    async def move(self, step: str, account: ConnectedAccount, **given: Any) -> ConnectedAccount:
        """Submit, suspend, resume or close."""
        fields = {"idempotency_key": key()} | given
        request = MoveConnectedAccount(account_id=account.id, **fields)
        moved: ConnectedAccount = await getattr(self.room.accounts, step)(
            self.shop.context, request
        )
        return moved

    async def decide(
        self, account: ConnectedAccount, verdict: Any, **given: Any
    ) -> ConnectedAccount:
        """A person's word."""
        fields = {"idempotency_key": key(), "person": "Ada"} | given
        return await self.room.accounts.decide(
            self.shop.context, DecideOnboarding(account_id=account.id, verdict=verdict, **fields)
        )

    async def sell(self, amount: int, *shares: ShareInput, **given: Any) -> Payment:
        """A captured payment that is divided so, and shared."""
        terms = {name: given.pop(name) for name in _TERMS if name in given}
        split = SplitInput(shares=shares, **terms)
        paid = await self.shop.pay(amount, split=split, **given)
        assert paid.payment.status in ("CAPTURED", "AUTHORIZED"), paid
        await self.share()
        return paid.payment

    async def share(self, *, after: timedelta = timedelta(0)) -> None:
        """Let everything that happened be shared."""
        engine = self.shop.engine
        while (placed := await publish_batch(engine.database)) is None or placed.total():
            pass
        at = datetime.now(UTC) + after + timedelta(seconds=1)
        while await self.room.sharer.run_once(at=at):
            pass

    async def refund(self, payment: Payment, amount: int | None = None, **given: Any) -> None:
        """Give money back, and share that."""
        await self.shop.refund(payment.id, amount, **given)
        await self.share()

    async def divided(self, payment: Payment) -> Divided:
        """The payment's split as it stands."""
        return (await self.room.splits.of_payments(self.shop.context, [payment.id]))[payment.id]

    async def parts(self, payment: Payment) -> list[int]:
        """What may still be refunded of each part."""
        return [part.refundable_minor for part in (await self.divided(payment)).parts]

    async def escrow(self, payment: Payment) -> EscrowHold:
        """The payment's escrow as it stands."""
        found = await self.room.escrows.of_payments(self.shop.context, [payment.id])
        return found[payment.id]

    async def deliver(self, payment: Payment, **given: Any) -> EscrowHold:
        """The goods came."""
        escrow = await self.escrow(payment)
        fields = {"idempotency_key": key(), "escrow_id": escrow.id} | given
        return await self.room.escrows.deliver(self.shop.context, RecordDelivery(**fields))

    async def release(
        self, payment: Payment, amount: int | None = None, **given: Any
    ) -> EscrowHold:
        """A person lets it go."""
        escrow = await self.escrow(payment)
        fields = {"idempotency_key": key(), "escrow_id": escrow.id, "amount_minor": amount} | given
        return await self.room.escrows.release(self.shop.context, ReleaseEscrow(**fields))

    async def accept(self, payment: Payment, number: int = 0, **given: Any) -> EscrowHold:
        """A milestone is accepted."""
        escrow = await self.escrow(payment)
        fields = {"idempotency_key": key(), "escrow_id": escrow.id} | given
        request = AcceptMilestone(number=number, **fields)
        return await self.room.escrows.accept(self.shop.context, request)

    async def standing(self, account: ConnectedAccount, currency: str = "EUR") -> AccountStanding:
        """What the vendor has."""
        found = await self.room.accounts.balances(self.shop.context, account.id)
        return next(
            (each for each in found if each.currency == currency),
            AccountStanding(currency=currency),
        )

    async def available(self, account: ConnectedAccount, currency: str = "EUR") -> int:
        """What the vendor could be paid."""
        return (await self.standing(account, currency)).available_minor

    async def books(self) -> dict[str, int]:
        """Account → credits less debits; those that are empty are left out."""
        found = await Court(self.shop).balances()
        return {name: -amount for name, amount in found.items() if amount}

    async def owned(self) -> dict[str, int]:
        """The same, of those accounts alone that belong to somebody here."""
        found = await self.books()
        ours = ("vendor_payable:", "platform_fee_revenue", "escrow:", "reserve:", "merchant_pay")
        return {name: amount for name, amount in found.items() if name.startswith(ours)}

    async def events(self) -> Counter[str]:
        """How often each type of event was told."""
        async with self.shop.engine.database.tenant(self.shop.context.tenant_id) as session:
            rows = await session.fetch(
                "SELECT type FROM event WHERE tenant_id = $1", self.shop.context.tenant_id
            )
        return Counter(row["type"] for row in rows)


_TERMS = (
    "vendor_id",
    "product",
    "category",
    "commission",
    "base_minor",
    "fee_policy",
    "liability",
    "fee_bearer",
    "escrow",
)


def escrow(*conditions: Any, **given: Any) -> EscrowInput:
    """Terms of an escrow."""
    return EscrowInput(conditions=conditions, **given)
