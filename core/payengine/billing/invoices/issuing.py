"""How does an invoice become final?

A batch at a time, by a handful of statements: what it takes up, what the customer's balance becomes
and how it is collected. Last of all one statement takes the tenant's counter, writes the invoices
with their numbers, and tells of them; the counter is locked from then to the commit, and no
further. Nothing that fails leaves a gap.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from payengine.billing.collection.begin import Begin, begin
from payengine.billing.decimals import spell_decimal
from payengine.billing.dunning_words import CollectionKind
from payengine.billing.invoice_states import finalized_status
from payengine.billing.invoices.balance import BalanceChange, change_balances
from payengine.billing.invoices.models import Planned, StoredInvoice
from payengine.billing.invoicing import InvoiceReason, invoice_bytes
from payengine.billing.wakeups import COLLECT, wake
from payengine.errors import Conflict
from payengine.ids import new_id
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["INVOICE", "collected_as", "issue"]

INVOICE = Columns(StoredInvoice)

_TAKE_LINES = """
    UPDATE pending_line SET invoice_id = taken.invoice_id
    FROM unnest($2::text[], $3::text[]) AS taken (id, invoice_id)
    WHERE tenant_id = $1 AND pending_line.id = taken.id AND pending_line.invoice_id IS NULL
"""

_BILL_USAGE = """
    INSERT INTO billed_usage (tenant_id, subscription_id, item_id, period_start, period_end,
                              customer_id, meter_id, quantity, billed_at)
    SELECT $1, subscription_id, item_id, period_start, period_end, customer_id, meter_id,
           quantity, $2
    FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[],
                $8::text[], $9::text[])
        AS used (subscription_id, item_id, period_start, period_end, customer_id, meter_id,
                 quantity)
    ON CONFLICT (tenant_id, subscription_id, item_id, period_start)
    DO UPDATE SET quantity = excluded.quantity, billed_at = excluded.billed_at
"""

#: The last statement of a transaction that makes invoices final.
_ISSUE = """
    WITH counted AS (
        INSERT INTO billing_counter AS counter (tenant_id, kind, last)
        VALUES ($1, 'invoice', cardinality($3::text[]))
        ON CONFLICT (tenant_id, kind) DO UPDATE SET last = counter.last + excluded.last
        RETURNING last - cardinality($3::text[]) AS base
    ), issued AS (
        INSERT INTO invoice (tenant_id, id, number, customer_id, subscription_id, period_start,
            period_end, reason, status, currency, total, amount_due, amount_paid, amount_credited,
            document, hash, version, created_at, finalized_at, due_at, paid_at)
        SELECT $1, id, base + place, customer_id, subscription_id, period_start, period_end,
            reason, status, currency, total, amount_due, 0, 0, document, hash, 1, $2, $2, due_at,
            CASE WHEN status = 'paid' THEN $2::timestamptz END
        FROM counted, unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[],
            $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[],
            $13::bytea[], $14::text[], $15::timestamptz[]) WITH ORDINALITY
            AS given (id, customer_id, subscription_id, period_start, period_end, reason, status,
                      currency, total, amount_due, document, hash, due_at, place)
        ON CONFLICT (tenant_id, id) DO UPDATE SET  -- a draft, locked by the caller
            number = excluded.number, status = excluded.status, total = excluded.total,
            amount_due = excluded.amount_due, document = excluded.document, hash = excluded.hash,
            version = invoice.version + 1, finalized_at = excluded.finalized_at,
            due_at = excluded.due_at, paid_at = excluded.paid_at
        RETURNING *
    ), told AS (
        INSERT INTO event (tenant_id, id, type, data, occurred_at, customer_id)
        SELECT $1, event_id, type, data || jsonb_build_object('number', number), $2, customer_id
        FROM unnest($16::text[], $17::text[], $18::text[], $19::jsonb[])
            AS news (event_id, type, invoice_id, data)
        JOIN issued ON issued.id = news.invoice_id
    )
    SELECT {columns} FROM issued ORDER BY number
"""
_ISSUE = _ISSUE.format(columns=INVOICE.listed)

_KINDS: dict[InvoiceReason, CollectionKind] = {
    "subscription_create": "first",
    "usage_cycle": "usage",
    "manual": "usage",
}


async def issue(
    session: Session, tenant_id: uuid.UUID, at: datetime, planned: Sequence[Planned]
) -> list[StoredInvoice]:
    """Make the invoices final, in their order, and begin to collect what they charge.

    One whose charge is zero is paid at once. Raises `Conflict` where a line that waited has been
    taken meanwhile, and asyncpg's `UniqueViolationError` where a period is invoiced already; then
    nothing may be committed.
    """
    if not planned:
        return []
    ids = [each.invoice_id or new_id("inv") for each in planned]
    named = list(zip(ids, planned, strict=True))
    await _take_lines(session, tenant_id, named)
    await _bill_usage(session, tenant_id, at, named)
    await change_balances(session, tenant_id, at, _changes(named))
    await _collect(session, tenant_id, at, named)
    issued = await _write(session, tenant_id, at, named)
    if any(each.invoice.charge for each in planned):
        await wake(session, tenant_id, COLLECT)
    return issued


def collected_as(reason: InvoiceReason) -> CollectionKind:
    """As what an invoice that was made for this reason is collected."""
    return _KINDS.get(reason, "renewal")


async def _take_lines(
    session: Session, tenant_id: uuid.UUID, named: Sequence[tuple[str, Planned]]
) -> None:
    taken = [(line, name) for name, planned in named for line in planned.pending]
    if not taken:
        return
    lines, names = zip(*taken, strict=True)
    tag = await session.execute(_TAKE_LINES, tenant_id, lines, names)
    if tag != f"UPDATE {len(taken)}":
        raise Conflict("A line that waited is on another invoice by now.")


async def _bill_usage(
    session: Session, tenant_id: uuid.UUID, at: datetime, named: Sequence[tuple[str, Planned]]
) -> None:
    used = [(planned, usage) for _, planned in named for usage in planned.usage]
    if not used:
        return
    newest = {
        (planned.subscription_id, usage.item_id, usage.start): (planned, usage)
        for planned, usage in used
    }
    rows = list(newest.values())
    await session.execute(
        _BILL_USAGE,
        tenant_id,
        at,
        [planned.subscription_id for planned, _ in rows],
        [usage.item_id for _, usage in rows],
        [usage.start for _, usage in rows],
        [usage.end for _, usage in rows],
        [planned.customer_id for planned, _ in rows],
        [usage.meter_id for _, usage in rows],
        [spell_decimal(usage.quantity) for _, usage in rows],
    )


def _changes(named: Iterable[tuple[str, Planned]]) -> list[BalanceChange]:
    return [
        BalanceChange(
            customer_id=planned.customer_id,
            currency=planned.invoice.currency,
            amount=planned.invoice.ending_credit_balance - planned.invoice.starting_credit_balance,
            reason="invoice",
            invoice_id=name,
        )
        for name, planned in named
    ]


async def _collect(
    session: Session, tenant_id: uuid.UUID, at: datetime, named: Sequence[tuple[str, Planned]]
) -> None:
    begun = [
        (
            planned.policy,
            Begin(
                invoice_id=name,
                customer_id=planned.customer_id,
                subscription_id=planned.subscription_id,
                kind=collected_as(planned.invoice.reason),
                payment_method_id=planned.payment_method_id,
            ),
        )
        for name, planned in named
        if planned.invoice.charge
    ]
    if begun:
        # One tenant has one policy at a time.
        await begin(session, tenant_id, [each for _, each in begun], policy=begun[0][0], at=at)


async def _write(
    session: Session, tenant_id: uuid.UUID, at: datetime, named: Sequence[tuple[str, Planned]]
) -> list[StoredInvoice]:
    documents = [invoice_bytes(planned.invoice) for _, planned in named]
    invoices = [planned.invoice for _, planned in named]
    statuses = [finalized_status(invoice.charge) for invoice in invoices]
    news = list(_news(named, statuses))
    rows = await session.fetch(
        _ISSUE,
        tenant_id,
        at,
        [name for name, _ in named],
        [planned.customer_id for _, planned in named],
        [planned.subscription_id for _, planned in named],
        [invoice.period_start for invoice in invoices],
        [invoice.period_end for invoice in invoices],
        [invoice.reason for invoice in invoices],
        statuses,
        [invoice.currency for invoice in invoices],
        [invoice.total for invoice in invoices],
        [invoice.charge for invoice in invoices],
        documents,
        [hashlib.sha256(document).hexdigest() for document in documents],
        [planned.due_at for _, planned in named],
        [new_id("evt") for _ in news],
        [kind for kind, _, _ in news],
        [name for _, name, _ in news],
        [data for _, _, data in news],
    )
    return [INVOICE.read(row) for row in rows]


def _news(
    named: Sequence[tuple[str, Planned]], statuses: Sequence[str]
) -> Iterable[tuple[str, str, dict[str, Any]]]:
    for (name, planned), status in zip(named, statuses, strict=True):
        invoice = planned.invoice
        data = {
            "invoice_id": name,
            "subscription_id": planned.subscription_id,
            "reason": invoice.reason,
            "status": status,
            "currency": invoice.currency,
            "total": invoice.total,
            "amount_due": invoice.charge,
            "amount_paid": 0,
        }
        yield "invoice.finalized", name, data
        if status == "paid":
            yield "invoice.paid", name, data
