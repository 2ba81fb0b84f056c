"""Which payouts go together, and which of them may not go now?

Payouts of one rail and currency are sent as one, up to what the rail takes. What may not leave any
more, because somebody put it on hold meanwhile, is held, and its money stays claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from payengine.context import TenantContext
from payengine.ids import new_id
from payengine.marketplace.accounts import OnboardingStatus, capabilities
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.means import Means
from payengine.marketplace.treasury.models import HeldBecause, Payout, PayoutBatch
from payengine.marketplace.treasury.recording import move, tell
from payengine.storage import Session

__all__ = ["ready_batches"]

_MOST = 1_000

_WAITING = f"""
    SELECT {store.PAYOUT.listed} FROM payout
    WHERE tenant_id = $1 AND status = 'pending' AND screened AND due_at <= $2
    ORDER BY id LIMIT {_MOST} FOR UPDATE SKIP LOCKED
"""

_DESTINATION_STATUS = "SELECT status FROM payout_destination WHERE tenant_id = $1 AND id = $2"


async def ready_batches(
    means: Means, context: TenantContext, *, wall: datetime, lease: datetime
) -> list[PayoutBatch]:
    """Write what will be sent, leased until `lease`; the batches, for the caller to send."""
    at = means.clock.now(context.tenant_id)
    made = []
    async with means.database.tenant(context.tenant_id) as session:
        rows = await session.fetch(_WAITING, context.tenant_id, wall)
        groups: dict[tuple[str, str], list[Payout]] = {}
        for row in rows:
            payout = store.PAYOUT.read(row)
            reason = await _bar(session, means, context, payout)
            if reason is None:
                groups.setdefault((payout.rail, payout.currency), []).append(payout)
                continue
            held = await move(
                session,
                context.tenant_id,
                payout,
                at=at,
                status="held",
                held_because=reason,
                due_at=None,
            )
            await tell(session, context.tenant_id, held, "payout.held", at=at)
        for (rail, _), payouts in groups.items():
            most = means.rails.rail(rail).manifest.max_batch
            for start in range(0, len(payouts), most):
                together = payouts[start : start + most]
                made.append(await _write(session, context, together, at=at, wall=wall, lease=lease))
    if rows:
        means.nudge()
    return made


async def _write(
    session: Session,
    context: TenantContext,
    payouts: Sequence[Payout],
    *,
    at: datetime,
    wall: datetime,
    lease: datetime,
) -> PayoutBatch:
    batch = PayoutBatch(
        id=new_id("pob"),
        rail=payouts[0].rail,
        currency=payouts[0].currency,
        amount_minor=sum(one.amount_minor for one in payouts),
        payouts=len(payouts),
        status="sending",
        created_at=at,
        sent_at=wall,
        due_at=lease,
    )
    await store.insert_batch(session, context.tenant_id, batch)
    for payout in payouts:
        await move(
            session,
            context.tenant_id,
            payout,
            at=at,
            status="sending",
            batch_id=batch.id,
            due_at=None,
            sent_at=at,
        )
    return batch


async def _bar(
    session: Session, means: Means, context: TenantContext, payout: Payout
) -> HeldBecause | None:
    """Why the payout may not leave now, or None."""
    if means.rails.find(payout.rail) is None:
        return "rail_unavailable"
    if await store.hold_on(session, context.tenant_id, payout.account_id) is not None:
        return "hold"
    status = await store.account_status(session, context.tenant_id, payout.account_id)
    if not capabilities(cast(OnboardingStatus, status)).payouts_enabled:
        return "account_not_active"
    standing = await session.fetchval(_DESTINATION_STATUS, context.tenant_id, payout.destination_id)
    return "destination" if standing == "requires_update" else None
