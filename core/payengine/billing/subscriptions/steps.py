"""What does time do to a subscription beside renewing it?

One step for each look, in the transaction of the renewals that holds the row: the notice before a
trial ends, the next phase, a scheduled change. Each is made for its own instant, however late it
is looked at, and comes before the renewal at the same boundary.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import msgspec

from payengine.billing.invoices.setting_store import load_settings
from payengine.billing.invoices.terms import NO_TAXES, TaxAnswers
from payengine.billing.subscriptions import store
from payengine.billing.subscriptions.changing import plan_change
from payengine.billing.subscriptions.ending import plan_cancel, plan_pause, plan_resume
from payengine.billing.subscriptions.held import Held, Plan, change_at_of, settled
from payengine.billing.subscriptions.models import ScheduledChange, Subscription
from payengine.billing.subscriptions.offers import load_offers
from payengine.billing.subscriptions.phasing import plan_phase
from payengine.billing.subscriptions.scheduling import (
    SpelledChange,
    change_of,
    spelled_change,
)
from payengine.billing.subscriptions.service import prices_of_rows
from payengine.errors import PayengineError, TaxNotKnown
from payengine.ids import new_id
from payengine.storage import Session

__all__ = ["Steps", "plan_next", "plan_waiting"]


class Steps:
    """The steps of all tenants; nothing of them is kept here."""

    async def apply(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        subscription_id: str,
        at: datetime,
        taxes: TaxAnswers = NO_TAXES,
    ) -> None:
        """Take the one step that waits, and write when the subscription is due next.

        A scheduled change that is refused is set aside as failed, which is told; only a tax that
        nobody knows is raised, as it is asked for again.
        """
        row = await store.lock_row(session, tenant_id, subscription_id)
        waiting = await store.waiting_changes(session, tenant_id, row.id)
        step_at = change_at_of(row, waiting)
        noticed = row.notice_at if row.status == "trialing" else None
        if noticed is not None and noticed <= min(at, step_at or at):
            row = settled(msgspec.structs.replace(row, notice_at=None), waiting)
            ends = {"trial_end": row.period_end.isoformat()}
            told = (("subscription.trial_will_end", ends),)
            await store.write_told(session, tenant_id, row, told, now=at)
            return
        if step_at is None or step_at > at:
            await store.write_told(session, tenant_id, settled(row, waiting), (), now=at)
            return
        held = await store.load_held(
            session, tenant_id, row, at=step_at, taxes=taxes, for_update=True
        )
        change = waiting[0] if waiting and waiting[0].at == step_at else None
        try:
            plan = await plan_next(session, tenant_id, held, at=step_at)
        except TaxNotKnown:
            raise
        except PayengineError as refused:
            await _refuse(session, tenant_id, held, change, refused, now=at)
            return
        if change is not None:
            await store.settle_change(session, tenant_id, change.id, "done")
        await store.write_plan(session, tenant_id, plan, at=step_at, now=at)

    async def resume_unpaid(
        self, session: Session, tenant_id: uuid.UUID, subscription_id: str, at: datetime
    ) -> None:
        """Begin a new period of a subscription whose invoices are paid at last.

        In the transaction that paid them, in which no calculator can be asked: where the tenant has
        one, it is unpaid still and resumes by a step that is due at once.
        """
        row = await store.lock_row(session, tenant_id, subscription_id)
        if row.status not in ("unpaid", "active"):
            return
        unpaid = msgspec.structs.replace(row, status="unpaid")
        if (await load_settings(session, tenant_id)).tax_calculator is not None:
            await _resume_later(session, tenant_id, unpaid, at=at)
            return
        held = await store.load_held(
            session, tenant_id, unpaid, at=at, taxes=NO_TAXES, for_update=True
        )
        names = prices_of_rows(row.phases)
        offers = await load_offers(session, tenant_id, names)
        plan = plan_resume(held, offers=offers, at=at)
        await store.write_plan(session, tenant_id, plan, at=at, now=at)


async def plan_next(session: Session, tenant_id: uuid.UUID, held: Held, *, at: datetime) -> Plan:
    """The step that waits at the instant: a scheduled change before a phase.

    The plan's `waiting` are the changes that wait after it. Raises as the mutations do.
    """
    if held.waiting and held.waiting[0].at == at:
        after = msgspec.structs.replace(held, waiting=held.waiting[1:])
        return await plan_waiting(session, tenant_id, after, held.waiting[0], at=at)
    offers = await load_offers(session, tenant_id, prices_of_rows(held.row.phases[:1]))
    return plan_phase(held, offers, at=at)


async def plan_waiting(
    session: Session, tenant_id: uuid.UUID, held: Held, change: ScheduledChange, *, at: datetime
) -> Plan:
    """What a scheduled change makes of the subscription at the instant."""
    spelled = spelled_change(change)
    if spelled.kind == "cancel":
        return plan_cancel(held, when="now", prorate=spelled.prorate, at=at)
    if spelled.kind == "pause":
        return plan_pause(held, when="now", prorate=spelled.prorate, at=at)
    if spelled.kind == "resume":
        offers = await load_offers(session, tenant_id, prices_of_rows(held.row.phases))
        return plan_resume(held, offers=offers, at=at)
    names = [each.price_id or "" for each in spelled.items]
    names += [item.price.id for item in held.terms.items if spelled.items]
    offers = await load_offers(session, tenant_id, names)
    given = None
    if spelled.coupons is not None:
        had = [words["coupon"] for words in held.row.coupons]
        given = await store.given_coupons(session, tenant_id, spelled.coupons, held=had)
    return plan_change(held, change_of(spelled, given), offers=offers, at=at)


async def _resume_later(
    session: Session, tenant_id: uuid.UUID, row: Subscription, *, at: datetime
) -> None:
    """Keep that it resumes, for the next look: which asks for the tax before it takes the row."""
    spelled = SpelledChange(kind="resume")
    change = ScheduledChange(
        id=new_id("sch"),
        subscription_id=row.id,
        at=at,
        change=msgspec.to_builtins(spelled),
        status="waiting",
        failure=None,
        created_at=at,
    )
    await store.insert_change(session, tenant_id, change)
    waiting = await store.waiting_changes(session, tenant_id, row.id)
    await store.write_told(session, tenant_id, settled(row, waiting), (), now=at)


async def _refuse(
    session: Session,
    tenant_id: uuid.UUID,
    held: Held,
    change: ScheduledChange | None,
    refused: PayengineError,
    *,
    now: datetime,
) -> None:
    why: dict[str, object] = {"code": refused.code, "message": refused.message}
    row: Subscription = held.row
    waiting = held.waiting
    if change is not None:
        await store.settle_change(session, tenant_id, change.id, "failed", failure=refused.code)
        waiting = waiting[1:]
        why["scheduled_change_id"] = change.id
    else:  # a phase that cannot begin: nobody guesses what comes instead
        row = msgspec.structs.replace(row, status="needs_operator")
    told = (("subscription.change_failed", why),)
    await store.write_told(session, tenant_id, settled(row, waiting), told, now=now)
