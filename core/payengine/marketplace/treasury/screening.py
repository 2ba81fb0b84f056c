"""May this payout go through?

Each payout is judged once, after its money was taken and before anything is sent, so that a crash
in between asks again and is answered as the first time.
"""

from __future__ import annotations

from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.means import Means
from payengine.marketplace.treasury.models import Payout
from payengine.marketplace.treasury.recording import call_off, move, tell

__all__ = ["screen"]


async def screen(means: Means, context: TenantContext, payout: Payout) -> Payout:
    """The payout after the rules have spoken: pending, held or canceled."""
    at = means.clock.now(context.tenant_id)
    judged = await means.judge(context, payout, at)
    async with means.database.tenant(context.tenant_id) as session:
        found = await store.get(session, context.tenant_id, payout.id, lock=True)
        if found is None or found.status != "pending" or found.screened:
            return found or payout
        if judged == "refuse":
            return await call_off(
                session,
                context.tenant_id,
                found,
                at=at,
                code="not_allowed",
                text="The fraud rules refused it.",
            )
        if judged == "pass":
            return await move(
                session, context.tenant_id, found, at=at, screened=True, due_at=wall_now()
            )
        held = await move(
            session,
            context.tenant_id,
            found,
            at=at,
            status="held",
            held_because="fraud_review",
            screened=True,
            due_at=None,
        )
        await tell(session, context.tenant_id, held, "payout.held", at=at)
    means.nudge()
    return held
