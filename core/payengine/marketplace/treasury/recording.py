"""How does what was learnt of a payout become rows, books and events?

All in the caller's transaction: the payout's new state, the evidence, the ledger's transfers and
the event are there together or not at all.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.errors import OperationInFlight
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.ledger import Posting, post
from payengine.marketplace.postings import (
    payout_canceled,
    payout_failed,
    payout_fee,
    payout_fee_returned,
    payout_paid,
)
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.models import EvidenceSource, Payout, PayoutEvidence
from payengine.marketplace.treasury.states import Finding, Money, PayoutStatus, follow
from payengine.plugin import PAYOUT_FAILURES
from payengine.storage import Session

__all__ = ["FINAL", "Learnt", "call_off", "fee_posting", "learn", "move", "tell"]

#: Nothing more moves of itself; a paid one may still come back.
FINAL = frozenset({"paid", "failed", "returned", "canceled"})

#: What a rail's or a person's news is told as.
_EVENTS: dict[PayoutStatus, str] = {
    "unknown": "payout.unknown",
    "in_transit": "payout.in_transit",
    "paid": "payout.paid",
    "failed": "payout.failed",
    "returned": "payout.returned",
}

#: Failures after which the receiver's account is as good as before.
_NOT_THEIRS = frozenset({"insufficient_funds", "limit_exceeded", "not_sent"})

_FLAG_DESTINATION = """
    UPDATE payout_destination SET status = 'requires_update', updated_at = $3
    WHERE tenant_id = $1 AND id = $2 AND status = 'usable'
"""


class Learnt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rail or a person says of one payout."""

    finding: Finding
    source: EvidenceSource
    actor: str
    failure: str | None = None
    raw_code: str | None = None
    detail: str = ""
    provider_reference: str | None = None


async def learn(
    session: Session, context: TenantContext, payout: Payout, learnt: Learnt, *, at: datetime
) -> Payout:
    """Write what the finding makes of the payout, which is locked; the payout as it then stands.

    What is known already changes nothing. What contradicts is kept, and flags the payout.
    """
    tenant_id = context.tenant_id
    following = follow(payout.status, learnt.finding)
    if following is None:
        await _keep(session, tenant_id, payout, learnt, at=at)
        if payout.needs_review:
            return payout
        flagged = await move(session, tenant_id, payout, at=at, needs_review=True)
        await tell(session, tenant_id, flagged, "payout.needs_review", at=at)
        return flagged
    reference = learnt.provider_reference or payout.provider_reference
    if following.status == payout.status:
        if reference == payout.provider_reference:
            return payout
        return await move(session, tenant_id, payout, at=at, provider_reference=reference)
    changes: dict[str, Any] = {"status": following.status, "provider_reference": reference}
    if following.status in FINAL:
        changes |= {"ended_at": at, "needs_review": False}
    if following.status in ("failed", "returned"):
        code = learnt.failure if learnt.failure in PAYOUT_FAILURES else "unspecified"
        if learnt.finding == "not_sent":
            code = "not_sent"
        changes |= {"failure_code": code, "failure_text": learnt.detail[:500] or None}
        if code not in _NOT_THEIRS:
            await session.execute(_FLAG_DESTINATION, tenant_id, payout.destination_id, at)
    if following.money is not None:
        await post(session, tenant_id, _booked(payout, following.money), at=at)
    await _keep(session, tenant_id, payout, learnt, at=at)
    moved = await move(session, tenant_id, payout, at=at, **changes)
    await tell(session, tenant_id, moved, _EVENTS[moved.status], at=at)
    return moved


async def call_off(
    session: Session,
    tenant_id: uuid.UUID,
    payout: Payout,
    *,
    at: datetime,
    code: str | None,
    text: str,
) -> Payout:
    """Cancel a payout that was never sent, and give its money back."""
    posting = payout_canceled(
        payout_id=payout.id,
        vendor=payout.account_id,
        currency=payout.currency,
        amount_minor=payout.amount_minor,
    )
    await post(session, tenant_id, [posting, *_fee_back(payout)], at=at)
    changed = await move(
        session,
        tenant_id,
        payout,
        at=at,
        status="canceled",
        held_because=None,
        due_at=None,
        ended_at=at,
        failure_code=code,
        failure_text=text[:500] or None,
    )
    await tell(session, tenant_id, changed, "payout.canceled", at=at)
    return changed


async def move(
    session: Session, tenant_id: uuid.UUID, payout: Payout, *, at: datetime, **changes: Any
) -> Payout:
    """Write the changes; raises `OperationInFlight` where the payout has moved on."""
    changed = msgspec.structs.replace(payout, updated_at=at, **changes)
    written = await store.rewrite(session, tenant_id, changed)
    if written is None:
        raise OperationInFlight("This payout is being worked on; try again in a moment.")
    return written


async def tell(
    session: Session, tenant_id: uuid.UUID, payout: Payout, event_type: str, *, at: datetime
) -> None:
    """Write the event with the payout as it stands."""
    data = {
        "payout": payout.id,
        "account": payout.account_id,
        "amountMinor": payout.amount_minor,
        "currency": payout.currency,
        "status": payout.status,
        "rail": payout.rail,
    }
    extra = {
        "feeMinor": payout.fee_minor or None,
        "heldBecause": payout.held_because,
        "failureCode": payout.failure_code,
        "batch": payout.batch_id,
    }
    data |= {name: value for name, value in extra.items() if value is not None}
    await insert_event(
        session,
        tenant_id,
        NewEvent(id=new_id("evt"), type=event_type, data=data, occurred_at=at),
    )


def fee_posting(payout: Payout) -> Posting:
    """What the account pays for the payout; only where that is something."""
    return payout_fee(
        payout_id=payout.id,
        vendor=payout.account_id,
        currency=payout.currency,
        amount_minor=payout.fee_minor,
    )


def _fee_back(payout: Payout) -> list[Posting]:
    """A payout that did not arrive costs nothing; the next one bears the fee."""
    if not payout.fee_minor:
        return []
    return [
        payout_fee_returned(
            payout_id=payout.id,
            vendor=payout.account_id,
            currency=payout.currency,
            amount_minor=payout.fee_minor,
        )
    ]


def _booked(payout: Payout, money: Money) -> list[Posting]:
    named = {
        "payout_id": payout.id,
        "vendor": payout.account_id,
        "currency": payout.currency,
        "paid_from": payout.paid_from,
    }
    if money == "paid":
        return [payout_paid(amount_minor=payout.amount_minor, **named)]
    failed = payout_failed(
        amount_minor=payout.amount_minor, after_paid=money == "back_from_bank", **named
    )
    return [failed, *_fee_back(payout)]


async def _keep(
    session: Session, tenant_id: uuid.UUID, payout: Payout, learnt: Learnt, *, at: datetime
) -> None:
    kept = PayoutEvidence(
        id=new_id("pev"),
        payout_id=payout.id,
        source=learnt.source,
        finding=learnt.finding,
        detail=learnt.detail[:500],
        actor=learnt.actor,
        created_at=at,
        raw_code=learnt.raw_code,
        provider_reference=learnt.provider_reference,
    )
    await store.insert_evidence(session, tenant_id, [kept])
