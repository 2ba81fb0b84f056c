"""What does a credit note take back, and where does the money go?

A note has a number without a gap. What is owed still is lowered first; what was paid beyond that
goes to the customer's balance, or back by the payment. A refund is asked for in the transaction
that writes the note, and sent under a key of the note's own by whoever comes first: once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import structlog

from payengine.billing.collection.hearing import Resume, invoice_paid, lock_subscription
from payengine.billing.credit_notes import CreditNoteEffect, issue_credit_note, price_credit_note
from payengine.billing.decimals import parse_decimal, spell_decimal
from payengine.billing.invoice_lines import exact_rate
from payengine.billing.invoices import reading
from payengine.billing.invoices.balance import BalanceChange, change_balances
from payengine.billing.invoices.models import CreateCreditNote, CreditNote, StoredInvoice
from payengine.clock import Clock, wall_now
from payengine.context import TenantContext
from payengine.errors import (
    Conflict,
    CreditNoteExceedsInvoice,
    InputInvalid,
    InvoiceInvalidTransition,
    PayengineError,
)
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.payments import Payments, RefundPayment
from payengine.storage import Database, Session
from payengine.storage.columns import Columns
from payengine.texts import check_id, check_text

__all__ = ["CreditNotes"]

BATCH = 50
_AGAIN = timedelta(seconds=30)
#: A refund whose outcome is open is looked at again.
_OPEN_STILL = timedelta(minutes=10)
_REFUSED = frozenset({"declined", "not_sent", "canceled", "expired"})
_LONGEST_NUMBER = 60
_NOTE = Columns(CreditNote)
_log = structlog.get_logger(__name__)

_LOCK_COLLECTION = """
    SELECT 1 FROM collection WHERE tenant_id = $1 AND invoice_id = $2 FOR UPDATE
"""
_LOWER = """
    UPDATE invoice SET amount_due = $3, amount_credited = amount_credited + $4,
        version = version + 1
    WHERE tenant_id = $1 AND id = $2
"""

#: The number is the last thing that a transaction takes.
_INSERT = f"""
    WITH counted AS (
        INSERT INTO billing_counter AS counter (tenant_id, kind, last)
        VALUES ($1, 'credit_note', 1)
        ON CONFLICT (tenant_id, kind) DO UPDATE SET last = counter.last + 1
        RETURNING last
    ), written AS (
        INSERT INTO credit_note (tenant_id, id, number, invoice_id, amount, given_back, refund,
                                 refund_due_at, document, reason, created_at)
        SELECT $1, $2, last, $3, $4, $5, $6, $7, $8, $9, $10 FROM counted
        RETURNING *
    ), told AS (
        INSERT INTO event (tenant_id, id, type, data, occurred_at, customer_id)
        SELECT $1, $11, 'credit_note.created', $12 || jsonb_build_object('number', number), $10, $13
        FROM written
    )
    SELECT {_NOTE.listed} FROM written
"""
_BY_ID = f"SELECT {_NOTE.listed} FROM credit_note WHERE tenant_id = $1 AND id = ANY ($2)"
_OF = f"""
    SELECT {_NOTE.listed} FROM credit_note
    WHERE tenant_id = $1 AND invoice_id = ANY ($2) ORDER BY invoice_id, id
"""
_DUE = """
    SELECT tenant_id, id FROM credit_note
    WHERE refund_due_at <= $1 ORDER BY refund_due_at LIMIT $2
"""
_LEASE = f"""
    UPDATE credit_note SET refund_due_at = $3
    WHERE tenant_id = $1 AND id = $2 AND refund = 'asked' AND refund_due_at <= $4
    RETURNING {_NOTE.listed}
"""
_SETTLE = """
    UPDATE credit_note SET refund = $3, refund_id = $4, refund_due_at = NULL
    WHERE tenant_id = $1 AND id = $2 AND refund = 'asked'
"""
_WAIT = """
    UPDATE credit_note SET refund_due_at = $3
    WHERE tenant_id = $1 AND id = $2 AND refund = 'asked'
"""
_MODE = "SELECT mode FROM tenant WHERE id = $1"


class CreditNotes:
    """The credit notes of all tenants."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        payments: Payments,
        resume: Resume | None = None,
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        """`nudge` says that there are new events.

        `resume` begins a new period of a subscription of which no unpaid invoice is left.
        """
        self._database = database
        self._resume = resume
        self._clock = clock
        self._payments = payments
        self._nudge = nudge

    async def by_id(self, context: TenantContext, ids: Sequence[str]) -> dict[str, CreditNote]:
        """The notes that exist, by id."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: _NOTE.read(row) for row in rows}

    async def of(
        self, context: TenantContext, invoice_ids: Sequence[str]
    ) -> dict[str, list[CreditNote]]:
        """Each invoice's notes, oldest first."""
        context.require("billing:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_OF, context.tenant_id, list(invoice_ids))
        found: dict[str, list[CreditNote]] = {}
        for row in rows:
            found.setdefault(row["invoice_id"], []).append(_NOTE.read(row))
        return found

    async def create(self, context: TenantContext, request: CreateCreditNote) -> CreditNote:
        """Lower an invoice that is open or paid.

        Raises `NotFound`, `InvoiceInvalidTransition`, `CreditNoteExceedsInvoice`, and `Conflict`
        where money is to go back by a payment that there is not.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        check_id(request.invoice_id, "inv", field="invoiceId")
        check_text(request.reason, field="reason")
        at = self._clock.now(context.tenant_id)
        name = new_id("cno")
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="createCreditNote",
                fingerprint=fingerprint("createCreditNote", request),
                resource_id=name,
                at=at,
            )
            if earlier is None:
                note = await _write(
                    session, context.tenant_id, request, name, at=at, resume=self._resume
                )
            else:
                row = await session.fetchrow(_BY_ID, context.tenant_id, [earlier])
                assert row is not None
                note = _NOTE.read(row)
        self._nudge()
        if note.refund == "asked":
            await self._send(context.tenant_id, note.id, wall=wall_now())
            return (await self.by_id(context, [note.id]))[note.id]
        return note

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Send the refunds that were asked for and not sent; how many were taken up."""
        async with self._database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
        for row in due:
            try:
                await self._send(row["tenant_id"], row["id"], wall=at)
            except Exception as failure:  # comes again; the others have their turn
                _log.warning("credit_note_refund_failed", note=row["id"], error=repr(failure))
        return len(due)

    async def _send(self, tenant_id: uuid.UUID, name: str, *, wall: datetime) -> None:
        """Ask for the refund under the note's key: however often, it is one refund."""
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_LEASE, tenant_id, name, wall + _AGAIN, wall)
            if row is None:
                return
            note = _NOTE.read(row)
            invoice = await reading.the_invoice(session, tenant_id, note.invoice_id)
            mode = await session.fetchval(_MODE, tenant_id)
        context = TenantContext(
            tenant_id, mode, "billing", frozenset({"payments:read", "payments:write"})
        )
        assert invoice.payment_id is not None
        asked = RefundPayment(
            idempotency_key=f"{note.id}_r",
            payment_id=invoice.payment_id,
            amount_minor=note.given_back,
            reason=note.reason,
        )
        try:
            result = await self._payments.refund(context, asked)
        except PayengineError as refused:
            if refused.retryable:
                return
            await self._settle(tenant_id, note, invoice, refund_id=None)
            return
        refund = result.operation
        if refund is None or refund.status in _REFUSED:
            if refund is None and result.error is not None and result.error.retryable:
                return
            await self._settle(tenant_id, note, invoice, refund_id=None)
        elif refund.status == "succeeded":
            await self._settle(tenant_id, note, invoice, refund_id=refund.id)
        else:  # what became of it is asked later, under the same key
            async with self._database.tenant(tenant_id) as session:
                await session.execute(_WAIT, tenant_id, note.id, wall + _OPEN_STILL)

    async def _settle(
        self, tenant_id: uuid.UUID, note: CreditNote, invoice: StoredInvoice, refund_id: str | None
    ) -> None:
        """Keep that the refund exists, or that it was refused: the customer has credit instead."""
        at = self._clock.now(tenant_id)
        state = "failed" if refund_id is None else "sent"
        async with self._database.tenant(tenant_id) as session:
            tag = await session.execute(_SETTLE, tenant_id, note.id, state, refund_id)
            if tag == "UPDATE 1" and refund_id is None:
                await change_balances(session, tenant_id, at, [_back(invoice, note.given_back)])
        self._nudge()


async def _write(
    session: Session,
    tenant_id: uuid.UUID,
    request: CreateCreditNote,
    name: str,
    *,
    at: datetime,
    resume: Resume | None,
) -> CreditNote:
    found = await reading.the_invoice(session, tenant_id, request.invoice_id)
    earlier = [_NOTE.read(row) for row in await session.fetch(_OF, tenant_id, [found.id])]
    parts = _parts(found, request, earlier)
    amount = sum(part["net"] + part["tax"] for part in parts)
    effect = _effect(found, amount)
    # Whoever charges for it holds these first, and the invoice after them.
    await lock_subscription(session, tenant_id, found.subscription_id)
    await session.execute(_LOCK_COLLECTION, tenant_id, found.id)
    locked = await reading.lock_invoice(session, tenant_id, found.id)
    if (locked.amount_credited, locked.amount_due) != (found.amount_credited, found.amount_due):
        raise Conflict("The invoice was changed at the same moment; try again.")
    due = locked.amount_paid + effect.amount_due if found.status == "open" else locked.amount_due
    await session.execute(_LOWER, tenant_id, found.id, due, amount)
    if found.status == "open" and effect.amount_due == 0:
        await invoice_paid(session, tenant_id, found.id, at=at, resume=resume)
    back, refund = effect.given_back, "none"
    if back:
        refund = "asked" if request.give_back == "payment" else "balance"
    if refund == "asked" and found.payment_id is None:
        raise Conflict("The invoice was not paid by a payment.", path=("giveBack",))
    if refund == "balance":
        await change_balances(session, tenant_id, at, [_back(found, back)])
    data = {
        "credit_note_id": name,
        "invoice_id": found.id,
        "currency": found.currency,
        "amount": amount,
        "given_back": back,
        "refund": refund,
    }
    row = await session.fetchrow(
        _INSERT,
        tenant_id,
        name,
        found.id,
        amount,
        back,
        refund,
        wall_now() if refund == "asked" else None,
        {"lines": parts},
        request.reason,
        at,
        new_id("evt"),
        data,
        found.customer_id,
    )
    assert row is not None
    return _NOTE.read(row)


def _parts(
    invoice: StoredInvoice, request: CreateCreditNote, earlier: Sequence[CreditNote]
) -> list[dict[str, Any]]:
    """What is taken back of each line, each part rounded once; without lines all that is left."""
    if invoice.status not in ("open", "paid"):
        raise InvoiceInvalidTransition(f"An invoice that is {invoice.status} is not credited.")
    lines = invoice.invoice.lines
    if not request.lines:
        if invoice.total - invoice.amount_credited <= 0:
            raise CreditNoteExceedsInvoice(path=("invoiceId",))
        return _rest(invoice, earlier)
    found = []
    for asked in request.lines:
        if not 0 <= asked.place < len(lines):
            raise InputInvalid("The invoice has no such line.", path=("lines",))
        bps = lines[asked.place].line.tax_bps
        parts = price_credit_note(_exact(asked.net), tax_bps=bps)
        found.append(
            {
                "place": asked.place,
                "net": parts.net,
                "tax": parts.tax,
                "net_exact": asked.net,
                "rate": None if bps is None else spell_decimal(exact_rate(bps) * 10_000),
            }
        )
    return found


def _rest(invoice: StoredInvoice, earlier: Sequence[CreditNote]) -> list[dict[str, Any]]:
    """What earlier notes left of each line."""
    lines = invoice.invoice.lines
    left = [{"place": place, "net": line.net, "tax": line.tax} for place, line in enumerate(lines)]
    for note in earlier:
        for part in note.document["lines"]:
            left[part["place"]]["net"] -= part["net"]
            left[part["place"]]["tax"] -= part["tax"]
    return [part for part in left if part["net"] or part["tax"]]


def _exact(text: str) -> Fraction:
    """The number that a decimal or a fraction spells; raises `InputInvalid`."""
    above, slash, below = text.partition("/")
    if not slash:
        return Fraction(parse_decimal(text, name="net"))
    if len(text) > _LONGEST_NUMBER or not (_is_whole(above) and _is_whole(below)):
        raise InputInvalid("A fraction is written 58000/3.", path=("lines", "net"))
    if int(below) == 0:
        raise InputInvalid("Nothing is divided by zero.", path=("lines", "net"))
    return Fraction(int(above), int(below))


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _effect(invoice: StoredInvoice, amount: int) -> CreditNoteEffect:
    """What of the invoice is paid already: by money, and by the balance when it was issued."""
    document = invoice.invoice
    return issue_credit_note(
        invoice_total=max(invoice.total, 0),
        credit_note_total=amount,
        already_credited=invoice.amount_credited,
        amount_paid=invoice.amount_paid + invoice.total - document.charge,
    )


def _back(invoice: StoredInvoice, amount: int) -> BalanceChange:
    return BalanceChange(
        customer_id=invoice.customer_id,
        currency=invoice.currency,
        amount=amount,
        reason="credit_note",
        invoice_id=invoice.id,
    )
