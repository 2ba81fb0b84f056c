"""What would be charged, before it is done?

The same plans as the mutations make, from the same rows, and nothing is written: done at the same
instant, the invoice is equal byte for byte.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import msgspec

from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoices.drafting import plan_of
from payengine.billing.invoices.due import DueSubscription, closing_periods
from payengine.billing.invoices.models import Planned
from payengine.billing.invoices.renewals import Renewals
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.invoices.terms import UsedPeriod
from payengine.billing.invoices.used import used_periods
from payengine.billing.invoicing import Invoice, invoice_hash
from payengine.billing.periods import Period
from payengine.billing.renewing import Renewable, renew
from payengine.billing.subscriptions import store
from payengine.billing.subscriptions.held import RENEWED, Held, change_at_of
from payengine.billing.subscriptions.models import (
    ChangeSubscription,
    CreateSubscription,
    Subscription,
)
from payengine.billing.subscriptions.service import (
    Request,
    check_change,
    check_create,
    check_version,
    instant_of_request,
    plan_request,
    planned_opening,
    refuse_behind,
)
from payengine.billing.subscriptions.steps import plan_next
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import NotFound, PayengineError, TaxNotKnown
from payengine.storage import Database, Session
from payengine.texts import check_id

__all__ = ["Preview", "Previews", "upcoming", "with_usage"]

#: The steps that a preview looks ahead over.
_MOST_STEPS = 100

_FORMULAS = "SELECT id, formula FROM meter WHERE tenant_id = $1 AND id = ANY ($2)"
_CUSTOMER = "SELECT 1 FROM customer WHERE tenant_id = $1 AND id = $2"


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a mutation at the instant `at` would make.

    `invoice` is the one that it issues at once, None where it issues none; `lines` are new and wait
    for the next; `upcoming` is the next that time alone brings, at `upcoming_at`.
    """

    at: datetime
    subscription: Subscription
    invoice: Invoice | None
    lines: tuple[InvoiceLine, ...]
    upcoming: Invoice | None
    upcoming_at: datetime | None

    @property
    def hash(self) -> str | None:
        """The hash that the invoice issued at once will have."""
        return None if self.invoice is None else invoice_hash(self.invoice)

    @property
    def upcoming_hash(self) -> str | None:
        """The hash that the next invoice will have if nothing comes between."""
        return None if self.upcoming is None else invoice_hash(self.upcoming)


class Previews:
    """The previews of all tenants."""

    def __init__(
        self, *, database: Database, clock: Clock, taxes: TaxDesk, renewals: Renewals
    ) -> None:
        self._database = database
        self._clock = clock
        self._taxes = taxes
        self._renewals = renewals

    async def creation(self, context: TenantContext, request: CreateSubscription) -> Preview:
        """What `create` would charge; its idempotency key says nothing here. Raises as it does."""
        context.require("billing:read")
        check_create(request)
        tenant_id = context.tenant_id
        at = self._clock.now(tenant_id)
        taxes = await self._taxes.ask(tenant_id, [request.customer_id], at=at)
        async with self._database.tenant(tenant_id) as session:
            if not await session.fetchval(_CUSTOMER, tenant_id, request.customer_id):
                raise NotFound("There is no such customer.", path=("customerId",))
            plan = await planned_opening(
                session, tenant_id, request, at=at, taxes=taxes, for_update=False
            )
            held = plan.held
            if plan.row.status == "incomplete":
                # What comes next supposes that this invoice is paid.
                row = msgspec.structs.replace(plan.row, status="active")
                held = msgspec.structs.replace(held, row=row)
            held = await with_usage(session, tenant_id, held)
            found = await upcoming(session, tenant_id, held)
        return _preview(at, plan.row, plan.planned, [each.line for each in plan.lines], found)

    async def change(self, context: TenantContext, request: Request) -> Preview:
        """What a change, an end, a pause or a resumption would charge; raises as it does."""
        context.require("billing:read")
        if isinstance(request, ChangeSubscription):
            check_change(request)
        check_id(request.subscription_id, "sub", field="subscriptionId")
        tenant_id = context.tenant_id
        at, customer_id = await self._brought_up(tenant_id, request.subscription_id)
        when = instant_of_request(request, at)
        taxes = await self._taxes.ask(tenant_id, [customer_id], at=at)
        async with self._database.tenant(tenant_id) as session:
            row = await store.read_row(session, tenant_id, request.subscription_id)
            refuse_behind(row, at)
            check_version(row, request)
            held = await store.load_held(
                session, tenant_id, row, at=when, taxes=taxes, for_update=False
            )
            plan = await plan_request(session, tenant_id, held, request, at=when)
            after = await with_usage(session, tenant_id, plan.held)
            found = await upcoming(session, tenant_id, after)
        return _preview(when, plan.row, plan.planned, [each.line for each in plan.lines], found)

    async def upcoming(self, context: TenantContext, subscription_id: str) -> Preview:
        """The next invoice that time alone brings; raises `NotFound`."""
        context.require("billing:read")
        check_id(subscription_id, "sub", field="subscriptionId")
        tenant_id = context.tenant_id
        at, customer_id = await self._brought_up(tenant_id, subscription_id)
        taxes = await self._taxes.ask(tenant_id, [customer_id], at=at)
        async with self._database.tenant(tenant_id) as session:
            row = await store.read_row(session, tenant_id, subscription_id)
            held = await store.load_held(
                session, tenant_id, row, at=at, taxes=taxes, for_update=False
            )
            found = await upcoming(session, tenant_id, held)
        return _preview(at, row, None, [], found)

    async def _brought_up(self, tenant_id: uuid.UUID, subscription_id: str) -> tuple[datetime, str]:
        """Now, and the customer; what time had done to the subscription by then is done first.

        As a mutation does it: of a boundary that is missed nothing can be foretold.
        """
        at = self._clock.now(tenant_id)
        async with self._database.tenant(tenant_id) as session:
            row = await store.read_row(session, tenant_id, subscription_id)
        if row.due_at is not None and row.due_at <= at:
            await self._renewals.run_subscription(tenant_id, subscription_id, at=at)
        return at, row.customer_id


async def with_usage(session: Session, tenant_id: uuid.UUID, held: Held) -> Held:
    """The subscription with the usage that the end of its period would charge as things stand.

    Of one that a plan has changed, what was loaded before says nothing of it.
    """
    row = held.row
    items = [
        item
        for item in held.terms.items
        if item.ended_at is None or item.ended_at > row.period_start
    ]
    meters = sorted({item.price.meter_id for item in items if item.price.meter_id is not None})
    used: tuple[UsedPeriod, ...] = ()
    if meters:
        rows = await session.fetch(_FORMULAS, tenant_id, meters)
        formulas: dict[str, str] = {each["id"]: each["formula"] for each in rows}
        due = msgspec.convert(msgspec.structs.asdict(row), DueSubscription)
        pairs = [(item, formulas.get(item.price.meter_id or "")) for item in items]
        closed = closing_periods(due, row.period_start)
        found = await used_periods(
            session, tenant_id, [due], items={row.id: pairs}, closed={row.id: closed}
        )
        used = tuple(found.get(row.id, ()))
    return msgspec.structs.replace(held, terms=msgspec.structs.replace(held.terms, used=used))


async def upcoming(
    session: Session, tenant_id: uuid.UUID, held: Held
) -> tuple[Planned, datetime] | None:
    """The next invoice that time alone brings, and when; None where it brings none.

    What is scheduled before it, and at its boundary, is done first, as it will be.
    """
    for _ in range(_MOST_STEPS):
        row = held.row
        renews = row.status in RENEWED
        step_at = change_at_of(row, held.waiting)
        if step_at is not None and not (renews and row.period_end < step_at):
            try:
                plan = await plan_next(session, tenant_id, held, at=step_at)
            except TaxNotKnown:
                raise
            except PayengineError:  # it will be set aside as failed
                if not (held.waiting and held.waiting[0].at == step_at):
                    return None  # a phase that cannot begin: nobody knows what comes then
                held = msgspec.structs.replace(held, waiting=held.waiting[1:])
                continue
            if plan.planned is not None:
                return plan.planned, step_at
            held = plan.held
            continue
        return _at_boundary(held) if renews else None
    return None


def _at_boundary(held: Held) -> tuple[Planned, datetime] | None:
    row = held.row
    before = Renewable(
        id=row.id,
        status=row.status,  # type: ignore[arg-type]
        cadence=row.cadence,
        period_start=row.period_start,
        period_end=row.period_end,
        cancel_at_period_end=row.cancel_at_period_end,
        pause_at_period_end=row.pause_at_period_end,
    )
    renewal = renew(before, row.period_end)
    terms = msgspec.structs.replace(held.terms, subscription_id=row.id, first_at=row.period_end)
    if renewal.periods:
        planned = plan_of(terms, renewal.periods[0], "subscription_cycle")
    else:
        period = Period(start=row.period_start, end=row.period_end)
        planned = plan_of(terms, period, "usage_cycle")
        if not planned.invoice.lines:
            return None
    return planned, row.period_end


def _preview(
    at: datetime,
    row: Subscription,
    planned: Planned | None,
    lines: list[InvoiceLine],
    found: tuple[Planned, datetime] | None,
) -> Preview:
    return Preview(
        at=at,
        subscription=row,
        invoice=None if planned is None else planned.invoice,
        lines=tuple(lines),
        upcoming=None if found is None else found[0].invoice,
        upcoming_at=None if found is None else found[1],
    )
