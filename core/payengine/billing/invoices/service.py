"""What becomes of an invoice by hand?

Drafts are made, made final or deleted; open invoices are voided or written off. Each takes an
idempotency key; a second time changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from payengine.billing.collection.hearing import (
    Resume,
    invoice_voided,
    invoice_written_off,
)
from payengine.billing.invoice_lines import InvoiceLine, require_minor
from payengine.billing.invoice_states import next_invoice_status
from payengine.billing.invoices import reading
from payengine.billing.invoices.balance import BalanceChange, change_balances
from payengine.billing.invoices.drafting import draft_of, load_customer_terms
from payengine.billing.invoices.issuing import INVOICE, issue
from payengine.billing.invoices.models import (
    CreateInvoice,
    DeleteDraft,
    FinalizeInvoice,
    InvoiceItem,
    Planned,
    StoredInvoice,
    VoidInvoice,
    WriteOffInvoice,
)
from payengine.billing.invoices.setting_store import load_settings
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.invoices.terms import PendingLine, Terms
from payengine.billing.invoicing import compute_invoice, invoice_bytes, invoice_hash
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import AmountTooLarge, InputInvalid, InvoiceInvalidTransition, NotFound
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.storage import Database, Session
from payengine.texts import check_id, check_text

__all__ = ["Invoices"]

_MOST_LINES = 500
_INSERT = f"INSERT INTO invoice (tenant_id, {INVOICE.listed}) VALUES ($1, {INVOICE.parameters(2)})"
_PRODUCTS = "SELECT id FROM product WHERE tenant_id = $1 AND id = ANY ($2)"
_MOVE = """
    UPDATE invoice SET status = $4, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status = $3
"""


class Invoices:
    """The invoices of all tenants."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        taxes: TaxDesk,
        resume: Resume | None = None,
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        """`nudge` says that there are new events.

        `resume` begins a new period of a subscription of which no unpaid invoice is left.
        """
        self._database = database
        self._clock = clock
        self._taxes = taxes
        self._resume = resume
        self._nudge = nudge

    async def by_id(self, context: TenantContext, ids: Sequence[str]) -> dict[str, StoredInvoice]:
        """The invoices that exist, by id."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await reading.invoices_by_id(session, context.tenant_id, ids)

    async def page(
        self,
        context: TenantContext,
        *,
        first: int,
        after: str | None = None,
        status: str | None = None,
        customer_id: str | None = None,
        subscription_id: str | None = None,
    ) -> list[StoredInvoice]:
        """Newest first, after the invoice `after`; one more than `first` where there is."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await reading.page_of_invoices(
                session,
                context.tenant_id,
                first=first,
                after=after,
                status=status,
                customer_id=customer_id,
                subscription_id=subscription_id,
            )

    async def create(self, context: TenantContext, request: CreateInvoice) -> StoredInvoice:
        """A draft; raises `InputInvalid`, `UnknownCurrency`, `NotFound`, `TaxNotKnown`."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        _check_lines(request.lines)
        check_id(request.customer_id, "cus", field="customerId")
        at = self._clock.now(context.tenant_id)
        taxes = await self._taxes.ask(context.tenant_id, [request.customer_id], at=at)
        try:
            async with self._database.tenant(context.tenant_id) as session:
                terms = await load_customer_terms(
                    session, context.tenant_id, request.customer_id, request.currency, taxes=taxes
                )
                await _check_products(session, context, request.lines)
                lines = tuple(_line(item, terms) for item in request.lines)
                draft = _draft(terms, lines, at=at)
                earlier = await self._claim(session, context, "createInvoice", request, draft.id)
                if earlier is None:
                    await session.execute(_INSERT, context.tenant_id, *INVOICE.values(draft))
                    await _tell(session, context, "invoice.created", draft, at=at)
                found = await reading.the_invoice(session, context.tenant_id, earlier or draft.id)
        except asyncpg.ForeignKeyViolationError:
            raise NotFound("There is no such customer.", path=("customerId",)) from None
        self._nudge()
        return found

    async def finalize(self, context: TenantContext, request: FinalizeInvoice) -> StoredInvoice:
        """Number it and begin to collect it; raises `NotFound`, `InvoiceInvalidTransition`."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.invoice_id, "inv", field="invoiceId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await self._claim(
                session, context, "finalizeInvoice", request, request.invoice_id
            )
            draft = await reading.lock_invoice(session, context.tenant_id, request.invoice_id)
            if earlier is None:
                next_invoice_status(draft.status, "finalize")
                settings = await load_settings(session, context.tenant_id)
                terms = await load_customer_terms(
                    session,
                    context.tenant_id,
                    draft.customer_id,
                    draft.currency,
                    for_update=True,
                )
                planned = _planned(draft, terms, net_days=settings.net_days, at=at)
                await issue(session, context.tenant_id, at, [planned])
            found = await reading.the_invoice(session, context.tenant_id, draft.id)
        self._nudge()
        return found

    async def delete_draft(self, context: TenantContext, request: DeleteDraft) -> StoredInvoice:
        """Forget a draft; raises `NotFound`, `InvoiceInvalidTransition`."""
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.invoice_id, "inv", field="invoiceId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            found = await reading.lock_invoice(session, context.tenant_id, request.invoice_id)
            earlier = await self._claim(session, context, "deleteDraftInvoice", request, found.id)
            if earlier is None:
                status = next_invoice_status(found.status, "delete")
                await session.execute(_MOVE, context.tenant_id, found.id, found.status, status)
                found = await reading.the_invoice(session, context.tenant_id, found.id)
                await _tell(session, context, "invoice.deleted", found, at=at)
        self._nudge()
        return found

    async def write_off(self, context: TenantContext, request: WriteOffInvoice) -> StoredInvoice:
        """Hope no more to be paid; raises `NotFound`, `InvoiceInvalidTransition`.

        Nothing is charged for it any more; paid by a transfer it may be still.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.invoice_id, "inv", field="invoiceId")
        tenant_id, at = context.tenant_id, self._clock.now(context.tenant_id)
        async with self._database.tenant(tenant_id) as session:
            found = await reading.the_invoice(session, tenant_id, request.invoice_id)
            earlier = await self._claim(
                session, context, "markInvoiceUncollectible", request, found.id
            )
            if earlier is None:
                next_invoice_status(found.status, "mark_uncollectible")
                await invoice_written_off(session, tenant_id, found.id, at=at, resume=self._resume)
            found = await reading.the_invoice(session, tenant_id, found.id)
            if earlier is None and found.status != "uncollectible":
                raise InvoiceInvalidTransition(f"The invoice is {found.status} by now.")
        self._nudge()
        return found

    async def void(self, context: TenantContext, request: VoidInvoice) -> StoredInvoice:
        """Owe it no more; raises `NotFound`, `InvoiceInvalidTransition`.

        Nothing is charged for it any more, and what the balance paid of it goes back there.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.invoice_id, "inv", field="invoiceId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            found = await reading.the_invoice(session, context.tenant_id, request.invoice_id)
            earlier = await self._claim(session, context, "voidInvoice", request, found.id)
            if earlier is None:
                next_invoice_status(found.status, "void")
                await invoice_voided(
                    session, context.tenant_id, found.id, at=at, resume=self._resume
                )
                after = await reading.lock_invoice(session, context.tenant_id, found.id)
                if after.status != "void":
                    raise InvoiceInvalidTransition(f"The invoice is {after.status} by now.")
                document = after.invoice
                taken = document.ending_credit_balance - document.starting_credit_balance
                back = BalanceChange(
                    customer_id=after.customer_id,
                    currency=after.currency,
                    amount=-taken,
                    reason="invoice_voided",
                    invoice_id=after.id,
                )
                await change_balances(session, context.tenant_id, at, [back])
            found = await reading.the_invoice(session, context.tenant_id, found.id)
        self._nudge()
        return found

    async def _claim(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: msgspec.Struct,
        resource_id: str,
    ) -> str | None:
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        return await claim(
            session,
            context.tenant_id,
            key=key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=resource_id,
            at=self._clock.now(context.tenant_id),
        )


def _check_lines(items: Sequence[InvoiceItem]) -> None:
    if not 1 <= len(items) <= _MOST_LINES:
        raise InputInvalid(f"An invoice has 1 to {_MOST_LINES} lines.", path=("lines",))
    try:
        require_minor(sum(item.amount for item in items), what="sum of the lines")
    except AmountTooLarge as problem:
        raise AmountTooLarge(problem.message, path=("lines", "amountMinor")) from None
    for item in items:
        check_text(item.description, field="description")
        check_text(item.tax_class, field="taxClass", most=60)


async def _check_products(
    session: Session, context: TenantContext, items: Sequence[InvoiceItem]
) -> None:
    names = {item.product_id for item in items if item.product_id is not None}
    if not names:
        return
    rows = await session.fetch(_PRODUCTS, context.tenant_id, sorted(names))
    if len(rows) != len(names):
        raise NotFound("There is no such product.", path=("lines", "productId"))


def _line(item: InvoiceItem, terms: Terms) -> InvoiceLine:
    return InvoiceLine(
        amount=item.amount,
        kind="one_off",
        description=item.description,
        quantity=item.quantity,
        product=item.product_id,
        tax_bps=terms.tax.rate(item.tax_class),
    )


def _with_lines(terms: Terms, lines: Sequence[InvoiceLine]) -> Terms:
    """Lines with their rates as they were drawn up; no line that waits for a renewal is taken."""
    return msgspec.structs.replace(
        terms, pending=tuple(PendingLine(id="", line=line) for line in lines)
    )


def _draft(terms: Terms, lines: Sequence[InvoiceLine], *, at: datetime) -> StoredInvoice:
    invoice = compute_invoice(draft_of(_with_lines(terms, lines), None, "manual"))
    return StoredInvoice(
        id=new_id("inv"),
        number=None,
        customer_id=terms.customer_id,
        subscription_id=None,
        period_start=None,
        period_end=None,
        reason="manual",
        status="draft",
        currency=terms.currency,
        total=invoice.total,
        amount_due=invoice.charge,
        amount_paid=0,
        amount_credited=0,
        document=invoice_bytes(invoice),
        hash=invoice_hash(invoice),
        payment_id=None,
        version=1,
        created_at=at,
        finalized_at=None,
        due_at=None,
        paid_at=None,
    )


def _planned(draft: StoredInvoice, terms: Terms, *, net_days: int, at: datetime) -> Planned:
    """The draft's own lines and rates, with the balance as it is now."""
    lines = [computed.line for computed in draft.invoice.lines]
    invoice = compute_invoice(draft_of(_with_lines(terms, lines), None, "manual"))
    return Planned(
        customer_id=draft.customer_id,
        subscription_id=None,
        invoice=invoice,
        policy=terms.policy,
        due_at=at + timedelta(days=net_days),
        invoice_id=draft.id,
    )


async def _tell(
    session: Session, context: TenantContext, kind: str, invoice: StoredInvoice, *, at: datetime
) -> None:
    names = ("number", "status", "currency", "total", "amount_due", "amount_paid")
    data: dict[str, Any] = {"invoice_id": invoice.id, "subscription_id": invoice.subscription_id}
    event = NewEvent(
        id=new_id("evt"),
        type=kind,
        customer_id=invoice.customer_id,
        data=data | {name: getattr(invoice, name) for name in names},
        occurred_at=at,
    )
    await insert_event(session, context.tenant_id, event)
