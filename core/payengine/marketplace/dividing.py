"""How does a payment come to be divided?

Its split is written in the transaction that makes the payment, and that of a capture or refund in
the transaction that makes its operation: neither is ever there without the other.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec

from payengine.errors import (
    ChargesNotEnabled,
    InputInvalid,
    NotFound,
    RefundExceedsRemaining,
)
from payengine.ids import new_id
from payengine.marketplace import sharing_store as store
from payengine.marketplace.accounts import capabilities
from payengine.marketplace.commission import CommissionRule, commission
from payengine.marketplace.meant import ShareInput, SplitInput, share_amounts
from payengine.marketplace.rules import agreed_rule, check_rule
from payengine.marketplace.sharer import share_now
from payengine.marketplace.sharing_models import EscrowHold, Part, Split
from payengine.storage import Session

__all__ = ["split_capture", "split_payment", "split_refund"]

_STATUSES = "SELECT id, status FROM connected_account WHERE tenant_id = $1 AND id = ANY ($2)"


async def split_payment(
    session: Session,
    tenant_id: uuid.UUID,
    split: SplitInput,
    *,
    payment_id: str,
    amount_minor: int,
    currency: str,
    at: datetime,
) -> None:
    """Write how a new payment is divided.

    Raises `NotFound` for an account that is not there, `ChargesNotEnabled`, `InputInvalid` where
    no commission is agreed, and what `check_split` raises.
    """
    owners = [share.account_id for share in split.shares] or [split.vendor_id, None]
    await _require_charges(session, tenant_id, owners)
    rule = None
    planned = [0] * len(owners)
    if split.vendor_id is not None:
        rule = await agreed_rule(session, tenant_id, split, currency=currency)
        check_rule(rule)
        planned = _kept(rule, amount_minor, base_minor=split.base_minor)
    else:
        planned = share_amounts(split.shares, amount_minor)
    escrow = _escrow(split, payment_id, currency, at=at)
    if escrow is not None:
        await store.insert_escrow(session, tenant_id, escrow)
    await store.insert_split(
        session,
        tenant_id,
        Split(
            payment_id=payment_id,
            currency=currency,
            amount_minor=amount_minor,
            vendor_id=split.vendor_id,
            commission=None if rule is None else msgspec.to_builtins(rule),
            base_minor=split.base_minor,
            fee_policy=split.fee_policy,
            liability=split.liability,
            fee_bearer=split.fee_bearer,
            escrow_id=None if escrow is None else escrow.id,
            created_at=at,
        ),
    )
    parts = _parts(payment_id, owners, planned)
    await store.insert_parts(session, tenant_id, parts)


async def split_capture(
    session: Session,
    tenant_id: uuid.UUID,
    shares: Sequence[ShareInput],
    *,
    operation_id: str,
    captured_minor: int,
    payment_id: str,
    amount_minor: int,
    currency: str,
    at: datetime,
) -> None:
    """Write how this capture of `captured_minor` is divided, whatever its payment's split says.

    A payment that had none gets one. Raises as `split_payment` does.
    """
    amounts = share_amounts(shares, captured_minor)
    owners = [share.account_id for share in shares]
    await _require_charges(session, tenant_id, owners)
    split = await store.lock_split(session, tenant_id, payment_id)
    if split is None:
        split = Split(
            payment_id=payment_id, currency=currency, amount_minor=amount_minor, created_at=at
        )
        await store.insert_split(session, tenant_id, split)
    known = (await store.parts_of(session, tenant_id, [payment_id])).get(payment_id, [])
    numbers = {part.account_id: part.number for part in known}
    new = [owner for owner in owners if owner not in numbers]
    more = _parts(payment_id, new, [0] * len(new), first=len(known))
    await store.insert_parts(session, tenant_id, more)
    numbers |= {part.account_id: part.number for part in more}
    asked = {numbers[owner]: amount for owner, amount in zip(owners, amounts, strict=True)}
    await store.insert_asked(
        session, tenant_id, operation_id=operation_id, payment_id=payment_id, amounts=asked
    )


async def split_refund(
    session: Session,
    tenant_id: uuid.UUID,
    shares: Sequence[ShareInput],
    *,
    operation_id: str,
    refunded_minor: int,
    payment_id: str,
    at: datetime,
) -> None:
    """Write who gives back how much of this refund.

    What happened before it is shared first. Raises `InputInvalid` where the payment is not split
    or an owner has no part of it, and `RefundExceedsRemaining`.
    """
    amounts = share_amounts(shares, refunded_minor)
    shared = await share_now(session, tenant_id, payment_id, at=at, but=operation_id)
    if shared is None:
        raise InputInvalid("The payment is not split.", path=("shares",))
    by_owner = {part.account_id: part for part in shared.parts}
    asked: dict[int, int] = {}
    for share, amount in zip(shares, amounts, strict=True):
        part = by_owner.get(share.account_id)
        if part is None:
            raise InputInvalid("This owner has no part of the payment.", path=("shares",))
        if amount > part.refundable_minor:
            raise RefundExceedsRemaining(path=("shares",))
        asked[part.number] = amount
    await store.insert_asked(
        session, tenant_id, operation_id=operation_id, payment_id=payment_id, amounts=asked
    )


async def _require_charges(
    session: Session, tenant_id: uuid.UUID, owners: Sequence[str | None]
) -> None:
    wanted = [owner for owner in owners if owner is not None]
    rows = await session.fetch(_STATUSES, tenant_id, wanted)
    statuses = {row["id"]: row["status"] for row in rows}
    for owner in wanted:
        if owner not in statuses:
            raise NotFound("There is no such account.", path=("split",))
        if not capabilities(statuses[owner]).charges_enabled:
            raise ChargesNotEnabled(path=("split",))


def _kept(rule: CommissionRule, amount_minor: int, *, base_minor: int | None) -> list[int]:
    """The vendor's and the platform's planned minor units; by tiers they are known at the sale."""
    if rule.tiers:
        return [0, 0]
    found = commission(amount_minor, rule, base_minor=base_minor)
    return [found.vendor_net, found.commission]


def _parts(
    payment_id: str, owners: Sequence[str | None], planned: Sequence[int], *, first: int = 0
) -> list[Part]:
    return [
        Part(payment_id=payment_id, number=number, account_id=owner, planned_minor=minor)
        for number, (owner, minor) in enumerate(zip(owners, planned, strict=True), start=first)
    ]


def _escrow(
    split: SplitInput, payment_id: str, currency: str, *, at: datetime
) -> EscrowHold | None:
    if split.escrow is None:
        return None
    return EscrowHold(
        id=new_id("esc"),
        payment_id=payment_id,
        currency=currency,
        status="awaited",
        terms=msgspec.to_builtins(split.escrow),
        progress={"accepted": [], "paid": []},
        created_at=at,
        updated_at=at,
    )
