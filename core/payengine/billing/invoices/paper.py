"""What does a tenant's invoice look like on paper?

In the tenant's language, or that of the customer, with the tenant's colour, prefix and address. It
is made in a thread: the loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from payengine.billing.invoice_states import number_text
from payengine.billing.invoices import reading
from payengine.billing.invoices.profiles import Profiles
from payengine.billing.invoices.setting_store import load_settings
from payengine.billing.pdf import InvoicePaper, invoice_pdf
from payengine.context import TenantContext
from payengine.errors import InvoiceInvalidTransition
from payengine.storage import Database
from payengine.texts import check_id

__all__ = ["Buyer", "Buyers", "Papers"]

#: How many are made at the same time in one process.
_AT_ONCE = 2


class Buyer(Protocol):
    """What is printed of a customer."""

    @property
    def name(self) -> str | None:
        """The person's or the company's."""
        ...

    @property
    def email(self) -> str | None:
        """Where there is no name."""
        ...

    @property
    def reference(self) -> str | None:
        """Where there is neither."""
        ...


class Buyers(Protocol):
    """Who knows the customers by their ids."""

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> Mapping[str, Buyer]:
        """Those that exist."""
        ...


class Papers:
    """The invoices of all tenants, as PDF."""

    def __init__(self, *, database: Database, customers: Buyers, profiles: Profiles) -> None:
        self._database = database
        self._customers = customers
        self._profiles = profiles
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def pdf(self, context: TenantContext, invoice_id: str) -> tuple[str, bytes]:
        """Its number as it is printed, and the paper.

        Raises `NotFound`, and `InvoiceInvalidTransition` for a draft, which has no number.
        """
        context.require("billing:read")
        check_id(invoice_id, "inv", field="invoiceId")
        async with self._database.tenant(context.tenant_id) as session:
            stored = await reading.the_invoice(session, context.tenant_id, invoice_id)
            settings = await load_settings(session, context.tenant_id)
        if stored.number is None or stored.finalized_at is None:
            raise InvoiceInvalidTransition("A draft has no number, and is not printed.")
        reader = TenantContext(
            context.tenant_id, context.mode, context.actor, frozenset({"customers:read"})
        )
        customers = await self._customers.get_many(reader, [stored.customer_id])
        profiles = await self._profiles.of(context, [stored.customer_id])
        profile = profiles.get(stored.customer_id)
        customer = customers.get(stored.customer_id)
        name = (customer.name or customer.email or customer.reference or "") if customer else ""
        buyer = (name, *(profile.address if profile else ()))
        number = number_text(stored.number, prefix=settings.invoice_prefix)
        paper = InvoicePaper(
            number=number,
            issued_at=stored.finalized_at,
            due_at=stored.due_at,
            seller=settings.seller,
            buyer=tuple(line for line in buyer if line)[:12],
            language=(profile.language if profile else None) or settings.language,
            color=settings.color,
            time_zone=settings.time_zone,
            paper=settings.paper,
            footer=settings.footer,
        )
        async with self._places:
            return number, await asyncio.to_thread(invoice_pdf, stored.invoice, paper)
