"""How is a subscription made and changed?

Each mutation locks the subscription's row first. What time had done to it by then is done before:
a boundary that was missed is renewed, so that a change never comes before it.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import asyncpg
import msgspec

from payengine.billing.invoice_lines import require_currency
from payengine.billing.invoices.drafting import load_customer_terms
from payengine.billing.invoices.renewals import Renewals
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.invoices.terms import TaxAnswers
from payengine.billing.subscriptions import store
from payengine.billing.subscriptions.changing import plan_change
from payengine.billing.subscriptions.ending import plan_cancel, plan_pause, plan_resume
from payengine.billing.subscriptions.held import Held, Plan, settled
from payengine.billing.subscriptions.models import (
    CancelSubscription,
    ChangeSubscription,
    CreateSubscription,
    PauseSubscription,
    ResumeSubscription,
    ScheduleSubscriptionChange,
    Subscription,
    WithdrawScheduledChange,
)
from payengine.billing.subscriptions.offers import load_offers
from payengine.billing.subscriptions.opening import plan_opening
from payengine.billing.subscriptions.scheduling import (
    change_of,
    check_edits,
    check_quantity,
    check_schedule,
    prices_of_phases,
    scheduled,
)
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.idempotency import check_key, claim, claimed, fingerprint
from payengine.storage import Database, Session
from payengine.texts import check_id, check_metadata

__all__ = [
    "Request",
    "Subscriptions",
    "check_change",
    "check_create",
    "check_version",
    "instant_of_request",
    "plan_request",
    "planned_opening",
    "prices_of_rows",
    "refuse_behind",
]

#: How often a mutation lets what is due come first before it gives up.
_ROUNDS = 5

Request = ChangeSubscription | CancelSubscription | PauseSubscription | ResumeSubscription

_NAMES: dict[type[Request], str] = {
    ChangeSubscription: "changeSubscription",
    CancelSubscription: "cancelSubscription",
    PauseSubscription: "pauseSubscription",
    ResumeSubscription: "resumeSubscription",
}

_CHANGE = """
    SELECT subscription_id FROM scheduled_change WHERE tenant_id = $1 AND id = $2
"""

Work = Callable[[Session, Subscription, datetime, TaxAnswers], Awaitable[None]]


class Subscriptions:
    """The subscriptions of all tenants."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        taxes: TaxDesk,
        renewals: Renewals,
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._taxes = taxes
        self._renewals = renewals
        self._nudge = nudge

    async def create(self, context: TenantContext, request: CreateSubscription) -> Subscription:
        """Begin a subscription, with its first invoice in the same transaction; none in a trial.

        Raises `InputInvalid`, `NotFound`, `Conflict` for what is archived, `TaxNotKnown`, and
        `PriceCurrencyNotAvailable`.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_create(request)
        tenant_id = context.tenant_id
        at = self._clock.now(tenant_id)
        taxes = await self._taxes.ask(tenant_id, [request.customer_id], at=at)
        mutation = "createSubscription"
        try:
            async with self._database.tenant(tenant_id) as session:
                marked = fingerprint(mutation, request)
                earlier = await claimed(
                    session, tenant_id, key=request.idempotency_key, fingerprint=marked
                )
                if earlier is not None:
                    return await store.read_row(session, tenant_id, earlier)
                plan = await planned_opening(
                    session, tenant_id, request, at=at, taxes=taxes, for_update=True
                )
                earlier = await self._claim(session, context, mutation, request, plan.row.id, at=at)
                if earlier is None:
                    await store.write_plan(session, tenant_id, plan, at=at, now=at)
                found = await store.read_row(session, tenant_id, earlier or plan.row.id)
        except asyncpg.ForeignKeyViolationError:
            raise NotFound("There is no such customer.", path=("customerId",)) from None
        self._nudge()
        return found

    async def change(self, context: TenantContext, request: ChangeSubscription) -> Subscription:
        """Other items, quantities, prices or coupons from now on.

        Raises `Conflict` for a status or version that does not allow it, and as `create` does.
        """
        check_change(request)
        return await self._mutate(context, request)

    async def cancel(self, context: TenantContext, request: CancelSubscription) -> Subscription:
        """End it now or with its period; raises `Conflict`."""
        return await self._mutate(context, request)

    async def pause(self, context: TenantContext, request: PauseSubscription) -> Subscription:
        """Pause it now or with its period; raises `Conflict`."""
        return await self._mutate(context, request)

    async def resume(self, context: TenantContext, request: ResumeSubscription) -> Subscription:
        """Let it go on from now, or undo a pending end or pause; raises `Conflict`."""
        return await self._mutate(context, request)

    async def schedule(
        self, context: TenantContext, request: ScheduleSubscriptionChange
    ) -> Subscription:
        """Keep a change for later; raises `InputInvalid`, `NotFound` and `Conflict`."""
        check_schedule(request)
        mutation = "scheduleSubscriptionChange"

        async def work(
            session: Session, row: Subscription, at: datetime, taxes: TaxAnswers
        ) -> None:
            tenant_id = context.tenant_id
            waiting = await store.waiting_changes(session, tenant_id, row.id)
            names = [each.price_id or "" for each in request.items]
            offers = await load_offers(session, tenant_id, names)
            await store.given_coupons(session, tenant_id, request.coupons or ())
            after, change, told = scheduled(row, waiting, request, offers=offers, at=at)
            await store.insert_change(session, tenant_id, change)
            await store.write_told(session, tenant_id, after, told, now=at)

        return await self._locked(context, mutation, request, request.subscription_id, work)

    async def withdraw(
        self, context: TenantContext, request: WithdrawScheduledChange
    ) -> Subscription:
        """A change that waits is not made; raises `NotFound`, and `Conflict` where none waits."""
        context.require("billing:write")
        check_id(request.scheduled_change_id, "sch", field="scheduledChangeId")
        tenant_id = context.tenant_id
        async with self._database.tenant(tenant_id) as session:
            owner = await session.fetchval(_CHANGE, tenant_id, request.scheduled_change_id)
        if owner is None:
            raise NotFound("There is no such scheduled change.", path=("scheduledChangeId",))

        async def work(
            session: Session, row: Subscription, at: datetime, taxes: TaxAnswers
        ) -> None:
            name = request.scheduled_change_id
            if not await store.settle_change(session, tenant_id, name, "withdrawn"):
                raise Conflict("The change does not wait any more.", path=("scheduledChangeId",))
            waiting = await store.waiting_changes(session, tenant_id, row.id)
            told = (("subscription.change_withdrawn", {"scheduled_change_id": name}),)
            await store.write_told(session, tenant_id, settled(row, waiting), told, now=at)

        return await self._locked(context, "withdrawScheduledChange", request, owner, work)

    async def _mutate(self, context: TenantContext, request: Request) -> Subscription:
        async def work(
            session: Session, row: Subscription, at: datetime, taxes: TaxAnswers
        ) -> None:
            check_version(row, request)
            when = instant_of_request(request, at)
            held = await store.load_held(
                session, context.tenant_id, row, at=when, taxes=taxes, for_update=True
            )
            plan = await plan_request(session, context.tenant_id, held, request, at=when)
            await store.write_plan(session, context.tenant_id, plan, at=when, now=at)

        return await self._locked(
            context, _NAMES[type(request)], request, request.subscription_id, work
        )

    async def _locked(
        self,
        context: TenantContext,
        mutation: str,
        request: msgspec.Struct,
        subscription_id: str,
        work: Work,
    ) -> Subscription:
        """Run a mutation once for its key, on the locked row, behind what was due before it."""
        context.require("billing:write")
        check_key(request.idempotency_key)  # type: ignore[attr-defined]
        check_id(subscription_id, "sub", field="subscriptionId")
        tenant_id = context.tenant_id
        async with self._database.tenant(tenant_id) as session:
            customer_id = (await store.read_row(session, tenant_id, subscription_id)).customer_id
        for _ in range(_ROUNDS):
            at = self._clock.now(tenant_id)
            taxes = await self._taxes.ask(tenant_id, [customer_id], at=at)
            async with self._database.tenant(tenant_id) as session:
                row = await store.lock_row(session, tenant_id, subscription_id)
                # Whoever held the row may have begun a period since the question was read.
                at = self._clock.now(tenant_id)
                earlier = await self._claimed(session, context, mutation, request)
                if earlier is not None:
                    return row
                if row.due_at is None or row.due_at > at:
                    refuse_behind(row, at)
                    await work(session, row, at, taxes)
                    await self._claim(session, context, mutation, request, row.id, at=at)
                    row = await store.read_row(session, tenant_id, subscription_id)
                    break
            await self._renewals.run_subscription(tenant_id, subscription_id, at=at)
        else:
            raise Conflict("The subscription is being renewed; try again.")
        self._nudge()
        return row

    async def _claimed(
        self, session: Session, context: TenantContext, mutation: str, request: msgspec.Struct
    ) -> str | None:
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        marked = fingerprint(mutation, request)
        return await claimed(session, context.tenant_id, key=key, fingerprint=marked)

    async def _claim(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: msgspec.Struct,
        resource_id: str,
        *,
        at: datetime,
    ) -> str | None:
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        return await claim(
            session,
            context.tenant_id,
            key=key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=resource_id,
            at=at,
        )


async def planned_opening(
    session: Session,
    tenant_id: uuid.UUID,
    request: CreateSubscription,
    *,
    at: datetime,
    taxes: TaxAnswers,
    for_update: bool,
) -> Plan:
    """What a creation makes, from what is stored now; raises as `Subscriptions.create` does."""
    await store.check_method(
        session,
        tenant_id,
        method_id=request.payment_method_id,
        customer_id=request.customer_id,
    )
    price_ids = [item.price_id for item in request.items] + prices_of_phases(request.phases)
    offers = await load_offers(session, tenant_id, price_ids)
    given = await store.given_coupons(session, tenant_id, request.coupons)
    terms = await load_customer_terms(
        session,
        tenant_id,
        request.customer_id,
        request.currency,
        taxes=taxes,
        for_update=for_update,
    )
    return plan_opening(request, terms, offers=offers, given=given, at=at)


async def plan_request(
    session: Session, tenant_id: uuid.UUID, held: Held, request: Request, *, at: datetime
) -> Plan:
    """What a mutation makes of a subscription at the instant; raises as the mutation does."""
    if isinstance(request, CancelSubscription):
        return plan_cancel(held, when=request.when, prorate=request.prorate, at=at)
    if isinstance(request, PauseSubscription):
        return plan_pause(held, when=request.when, prorate=request.prorate, at=at)
    if isinstance(request, ResumeSubscription):
        names = prices_of_rows(held.row.phases)
        offers = await load_offers(session, tenant_id, names)
        return plan_resume(held, offers=offers, at=at)
    await store.check_method(
        session,
        tenant_id,
        method_id=request.payment_method_id,
        customer_id=held.row.customer_id,
    )
    names = [each.price_id or "" for each in request.items]
    names += [item.price.id for item in held.terms.items if request.items]
    offers = await load_offers(session, tenant_id, names)
    given = None
    if request.coupons is not None:
        had = [words["coupon"] for words in held.row.coupons]
        given = await store.given_coupons(session, tenant_id, request.coupons, held=had)
    return plan_change(held, change_of(request, given), offers=offers, at=at)


def instant_of_request(request: Request, at: datetime) -> datetime:
    """When it holds from: now, or the instant that it names; raises `InputInvalid` for a later."""
    if not isinstance(request, ChangeSubscription) or request.at is None:
        return at
    if request.at > at:
        raise InputInvalid("A change of later is scheduled.", path=("at",))
    return request.at


def check_create(request: CreateSubscription) -> None:
    """Refuse what cannot be, before anything is read; raises `InputInvalid`."""
    check_id(request.customer_id, "cus", field="customerId")
    require_currency(request.currency)
    check_metadata(request.metadata)
    if request.payment_method_id is not None:
        check_id(request.payment_method_id, "pm", field="paymentMethodId")
    _check_instants(request.starts_at, request.trial_end, request.anchor)
    for items in (request.items, *(phase.items for phase in request.phases)):
        for item in items:
            check_id(item.price_id, "prc", field="priceId")
            check_quantity(item.quantity)
    for coupon in request.coupons:
        check_id(coupon, "cpn", field="coupons")


def check_change(request: ChangeSubscription) -> None:
    """Refuse what cannot be, before anything is read; raises `InputInvalid`."""
    check_edits(request.items)
    _check_instants(request.at)
    if request.metadata is not None:
        check_metadata(request.metadata)
    if request.payment_method_id is not None:
        check_id(request.payment_method_id, "pm", field="paymentMethodId")


def check_version(row: Subscription, request: Request) -> None:
    """Raise `Conflict` where somebody has come between."""
    if request.expected_version not in (None, row.version):
        raise Conflict(f"The subscription is at version {row.version}.", path=("expectedVersion",))


def refuse_behind(row: Subscription, at: datetime) -> None:
    """Raise `Conflict` where a boundary is missed still: its renewal failed and was set aside."""
    if row.status in ("trialing", "active", "past_due") and row.period_end <= at:
        raise Conflict("Its renewal has failed and is tried again later.")


def _check_instants(*instants: datetime | None) -> None:
    for each in instants:
        if each is not None and each.utcoffset() is None:
            raise InputInvalid("An instant carries its offset from UTC.")


def prices_of_rows(phases: Sequence[dict[str, object]]) -> list[str]:
    """The prices that a row's phases name."""
    found: list[str] = []
    for phase in phases:
        items = phase.get("items")
        if isinstance(items, list):
            found += [each["price_id"] for each in items]
    return found
