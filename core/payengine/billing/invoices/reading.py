"""Which invoices are there?

Statements over an open session; what belongs to another tenant is not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from payengine.billing.invoices.issuing import INVOICE
from payengine.billing.invoices.models import StoredInvoice
from payengine.errors import NotFound
from payengine.storage import Session

__all__ = ["invoices_by_id", "lock_invoice", "page_of_invoices", "the_invoice"]

_BY_ID = f"SELECT {INVOICE.listed} FROM invoice WHERE tenant_id = $1 AND id = ANY ($2)"
_LOCK = f"SELECT {INVOICE.listed} FROM invoice WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
_PAGE = """
    SELECT {columns} FROM invoice
    WHERE tenant_id = $1 AND id < coalesce($2, '~') {narrowed} ORDER BY id DESC LIMIT $3
"""
_ALL = _PAGE.format(columns=INVOICE.listed, narrowed="AND ($4::text IS NULL OR status = $4)")
_OF_CUSTOMER = _PAGE.format(
    columns=INVOICE.listed, narrowed="AND ($4::text IS NULL OR status = $4) AND customer_id = $5"
)
_OF_SUBSCRIPTION = _PAGE.format(
    columns=INVOICE.listed,
    narrowed="AND ($4::text IS NULL OR status = $4) AND subscription_id = $5",
)


async def invoices_by_id(
    session: Session, tenant_id: uuid.UUID, ids: Sequence[str]
) -> dict[str, StoredInvoice]:
    """Those that exist."""
    rows = await session.fetch(_BY_ID, tenant_id, list(ids))
    return {row["id"]: INVOICE.read(row) for row in rows}


async def the_invoice(session: Session, tenant_id: uuid.UUID, invoice_id: str) -> StoredInvoice:
    """The invoice; raises `NotFound`."""
    row = await session.fetchrow(_BY_ID, tenant_id, [invoice_id])
    if row is None:
        raise NotFound("There is no such invoice.", path=("invoiceId",))
    return INVOICE.read(row)


async def lock_invoice(session: Session, tenant_id: uuid.UUID, invoice_id: str) -> StoredInvoice:
    """The invoice, locked to the end of the transaction; raises `NotFound`."""
    row = await session.fetchrow(_LOCK, tenant_id, invoice_id)
    if row is None:
        raise NotFound("There is no such invoice.", path=("invoiceId",))
    return INVOICE.read(row)


async def page_of_invoices(
    session: Session,
    tenant_id: uuid.UUID,
    *,
    first: int,
    after: str | None,
    status: str | None,
    customer_id: str | None,
    subscription_id: str | None,
) -> list[StoredInvoice]:
    """Newest first, after the invoice `after`; one more than `first` where there is."""
    asked = (tenant_id, after, first + 1, status)
    if subscription_id is not None:
        rows = await session.fetch(_OF_SUBSCRIPTION, *asked, subscription_id)
    elif customer_id is not None:
        rows = await session.fetch(_OF_CUSTOMER, *asked, customer_id)
    else:
        rows = await session.fetch(_ALL, *asked)
    return [INVOICE.read(row) for row in rows]
