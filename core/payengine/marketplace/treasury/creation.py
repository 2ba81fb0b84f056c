"""May this be paid out, and is it then taken from the balance?

The row, the claim on the money and the event are one transaction. The ledger's strict posting locks
the account's balance, so that two payouts can never take the same money, whoever makes them.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec

from payengine.context import TenantContext
from payengine.errors import (
    AmountNotPositive,
    InputInvalid,
    InsufficientAvailableBalance,
    NotFound,
    PayoutsNotEnabled,
)
from payengine.ids import new_id
from payengine.ledger import post, post_strict
from payengine.marketplace.accounts import (
    OnboardingStatus,
    capabilities,
    check_leaving,
    not_covered,
)
from payengine.marketplace.payouts import payable
from payengine.marketplace.postings import payout_created
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.models import Destination, Payout, PayoutOrigin
from payengine.marketplace.treasury.recording import fee_posting, tell
from payengine.money import decimal_text
from payengine.plugin import RailManifest
from payengine.registry.rails import RailDesk
from payengine.storage import Session

__all__ = ["Wanted", "check_account", "make_payout", "may_carry"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A payout that somebody asks for; without an amount it takes all, if `minimum_minor`."""

    account_id: str
    currency: str
    origin: PayoutOrigin
    amount_minor: int | None = None
    minimum_minor: int = 0
    statement: str = ""
    payout_id: str = msgspec.field(default_factory=lambda: new_id("po"))


async def make_payout(
    session: Session,
    context: TenantContext,
    rails: RailDesk,
    wanted: Wanted,
    *,
    at: datetime,
    due_at: datetime,
) -> Payout:
    """Write the payout and take its money.

    The fee for it is taken with it. Raises `NotFound`, `PayoutsNotEnabled` (the account, a hold or
    its destination), `InputInvalid` (no destination, or an amount that the rail cannot send),
    `AmountNotPositive` and `InsufficientAvailableBalance`; the transaction must be left then.
    """
    tenant_id = context.tenant_id
    await check_account(session, context, wanted.account_id)
    destination, manifest = await _way(session, context, rails, wanted)
    there = await store.available(
        session, tenant_id, wanted.account_id, currency=wanted.currency, at=at
    )
    fee = await store.fee_of(session, tenant_id, wanted.account_id, currency=wanted.currency)
    amount = _amount(wanted, there - fee, manifest)
    check_leaving(
        available_minor=there, amount_minor=amount + fee, currency=wanted.currency, path=("amount",)
    )
    payout = Payout(
        id=wanted.payout_id,
        account_id=wanted.account_id,
        destination_id=destination.id,
        amount_minor=amount,
        fee_minor=fee,
        currency=wanted.currency,
        status="pending",
        origin=wanted.origin,
        rail=destination.rail,
        paid_from=manifest.paid_from,
        statement=wanted.statement,
        created_at=at,
        updated_at=at,
        due_at=due_at,
    )
    posting = payout_created(
        payout_id=payout.id,
        vendor=payout.account_id,
        currency=payout.currency,
        amount_minor=amount,
    )
    await post_strict(session, tenant_id, posting, at=at)
    if fee:
        await post(session, tenant_id, [fee_posting(payout)], at=at)
    # From here on the balance is locked: whoever took something meanwhile is counted now.
    left = await store.available(
        session, tenant_id, wanted.account_id, currency=wanted.currency, at=at
    )
    if left < 0:
        raise not_covered(
            available_minor=left + amount + fee,
            amount_minor=amount + fee,
            currency=wanted.currency,
            path=("amount",),
        )
    await store.insert_payout(session, tenant_id, payout)
    await tell(session, tenant_id, payout, "payout.created", at=at)
    return payout


async def check_account(session: Session, context: TenantContext, account_id: str) -> None:
    """Raise `NotFound` or `PayoutsNotEnabled` unless the account may be paid out now."""
    status = await store.account_status(session, context.tenant_id, account_id)
    if status is None:
        raise NotFound("There is no such account.", path=("accountId",))
    if not capabilities(cast(OnboardingStatus, status)).payouts_enabled:
        raise PayoutsNotEnabled
    if await store.hold_on(session, context.tenant_id, account_id) is not None:
        raise PayoutsNotEnabled("A person has put this account's payouts on hold.")


def may_carry(manifest: RailManifest, *, currency: str, kind: str, country: str) -> bool:
    """Whether the rail pays this currency to such a destination."""
    return (
        (not manifest.currencies or currency in manifest.currencies)
        and kind in manifest.destinations
        and (not country or not manifest.countries or country in manifest.countries)
    )


async def _way(
    session: Session, context: TenantContext, rails: RailDesk, wanted: Wanted
) -> tuple[Destination, RailManifest]:
    destination = await store.destination_of(
        session, context.tenant_id, wanted.account_id, currency=wanted.currency
    )
    if destination is None:
        raise InputInvalid(
            f"The account has no payout destination for {wanted.currency}.", path=("currency",)
        )
    if destination.status == "requires_update":
        raise PayoutsNotEnabled(
            "The last payout did not arrive: save where the money goes once more."
        )
    rail = rails.find(destination.rail)
    if rail is None:
        raise PayoutsNotEnabled("The payout rail of its destination is not installed.")
    return destination, rail.manifest


def _amount(wanted: Wanted, there: int, manifest: RailManifest) -> int:
    step = manifest.steps.get(wanted.currency)
    if wanted.amount_minor is None:
        whole = payable(
            there, currency=wanted.currency, minimum_minor=wanted.minimum_minor, step_minor=step
        )
        if not whole.payout:
            raise InsufficientAvailableBalance(
                f"{decimal_text(there, wanted.currency)} {wanted.currency} are available: "
                "less than the smallest payout.",
                path=("currency",),
            )
        return whole.payout
    if wanted.amount_minor <= 0:
        raise AmountNotPositive(path=("amount",))
    sendable = payable(wanted.amount_minor, currency=wanted.currency, step_minor=step)
    if sendable.remaining:
        raise InputInvalid(
            f"Of {wanted.currency} only whole multiples of some minor units are paid out: "
            f"{sendable.payout} would be one.",
            path=("amount",),
        )
    return wanted.amount_minor
