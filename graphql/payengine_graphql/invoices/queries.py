"""What may be read of invoices?"""

from __future__ import annotations

import base64
from typing import Annotated

import strawberry
from payengine.billing.invoices.recognition import revenue_schedule
from payengine.errors import CursorInvalid, InvoiceInvalidTransition, NotFound
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.inputs import check_id
from payengine_graphql.invoices.types import (
    BalanceEntry,
    BillingProfile,
    BillingSettings,
    CreditNote,
    EarnedMonth,
    Invoice,
    InvoicePaper,
    InvoicePreview,
    InvoiceStatus,
    read_credit_note,
    read_invoice,
    show_invoice,
)
from payengine_graphql.types.fields import computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_InvoiceId = Annotated[strawberry.ID, strawberry.argument(description="The invoice's id, inv_….")]
_NoteId = Annotated[strawberry.ID, strawberry.argument(description="The credit note's id, cno_….")]
_SubscriptionId = Annotated[
    strawberry.ID, strawberry.argument(description="The subscription's id, sub_….")
]
_CustomerId = Annotated[strawberry.ID, strawberry.argument(description="The customer's id, cus_….")]
_OfCustomer = Annotated[
    strawberry.ID | None, strawberry.argument(description="Only those of this customer, cus_….")
]
_OfSubscription = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="Only those of this subscription, sub_….; it goes before."),
]
_Status = Annotated[
    InvoiceStatus | None, strawberry.argument(description="Only those that stand so.")
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One invoice. Needs the scope `billing:read`.")
    async def invoice(self, info: Wire, id: _InvoiceId) -> Invoice | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("billing:read")
        check_id(id, "inv", field="id")
        found = await read_invoice(info.context, id)
        if found is None:
            raise NotFound("There is no such invoice.", path=("id",))
        return found

    @computed("Invoices, the newest first. Needs the scope `billing:read`.")
    async def invoices(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        status: _Status = None,
        customer_id: _OfCustomer = None,
        subscription_id: _OfSubscription = None,
    ) -> Connection[Invoice]:
        """A page."""
        for name, value, prefix in (
            ("customerId", customer_id, "cus"),
            ("subscriptionId", subscription_id, "sub"),
        ):
            if value is not None:
                check_id(value, prefix, field=name)
        rows = await info.context.engine.invoicing.invoices.page(
            info.context.tenant,
            first=check_first(first),
            after=_cursor(after, "inv"),
            status=status.value if status else None,
            customer_id=customer_id,
            subscription_id=subscription_id,
        )
        return connect(rows, first=first, after=after, show=show_invoice, cursor=lambda row: row.id)

    @computed(
        "The next invoice that time alone brings, as everything stands now: that of "
        "`previewRenewal`; null where none will be made. Needs the scope `billing:read`."
    )
    async def upcoming_invoice(
        self, info: Wire, subscription_id: _SubscriptionId
    ) -> InvoicePreview | None:
        """NOT_FOUND for another tenant's."""
        check_id(subscription_id, "sub", field="subscriptionId")
        found = await info.context.engine.subscribing.previews.upcoming(
            info.context.tenant, subscription_id
        )
        return None if found.upcoming is None else InvoicePreview(row=found.upcoming)

    @computed("One credit note. Needs the scope `billing:read`.")
    async def credit_note(self, info: Wire, id: _NoteId) -> CreditNote | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("billing:read")
        check_id(id, "cno", field="id")
        found = await read_credit_note(info.context, id)
        if found is None:
            raise NotFound("There is no such credit note.", path=("id",))
        return found

    @computed("An invoice as PDF. Needs the scope `billing:read`.")
    async def invoice_pdf(self, info: Wire, invoice_id: _InvoiceId) -> InvoicePaper:
        """INVOICE_INVALID_TRANSITION for a draft, NOT_FOUND for another tenant's."""
        check_id(invoice_id, "inv", field="invoiceId")
        number, paper = await info.context.engine.invoicing.papers.pdf(
            info.context.tenant, invoice_id
        )
        return InvoicePaper(
            number=number, file_name=f"{number}.pdf", base64=base64.b64encode(paper).decode()
        )

    @computed("What a customer has with you, by currency. Needs the scope `billing:read`.")
    async def customer_balances(self, info: Wire, customer_id: _CustomerId) -> list[Money]:
        """Below zero what was too little to charge, and waits."""
        check_id(customer_id, "cus", field="customerId")
        found = await info.context.engine.invoicing.balances.of(info.context.tenant, [customer_id])
        return [money(minor, code) for code, minor in found.get(customer_id, {}).items()]

    @computed("What changed it, the newest first. Needs the scope `billing:read`.")
    async def customer_balance_entries(
        self,
        info: Wire,
        customer_id: _CustomerId,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
    ) -> Connection[BalanceEntry]:
        """A page."""
        check_id(customer_id, "cus", field="customerId")
        rows = await info.context.engine.invoicing.balances.entries(
            info.context.tenant,
            customer_id,
            first=check_first(first),
            after=_cursor(after, "cbe"),
        )
        return connect(
            rows,
            first=first,
            after=after,
            show=lambda row: BalanceEntry(row=row),
            cursor=lambda row: row.id,
        )

    @computed("How the tenant bills. Needs the scope `billing:read`.")
    async def billing_settings(self, info: Wire) -> BillingSettings:
        """As chosen, or the defaults."""
        found = await info.context.engine.invoicing.settings.get(info.context.tenant)
        return BillingSettings(row=found)

    @computed("A customer's billing details; null where there are none. Needs `billing:read`.")
    async def billing_profile(self, info: Wire, customer_id: _CustomerId) -> BillingProfile | None:
        """Null for another tenant's customer too."""
        check_id(customer_id, "cus", field="customerId")
        found = await info.context.engine.invoicing.profiles.of(info.context.tenant, [customer_id])
        profile = found.get(customer_id)
        return None if profile is None else BillingProfile(row=profile)

    @computed("In which months an invoice is earned, without tax. Needs the scope `billing:read`.")
    async def revenue_schedule(self, info: Wire, invoice_id: _InvoiceId) -> list[EarnedMonth]:
        """NOT_FOUND for another tenant's; INVOICE_INVALID_TRANSITION for a draft."""
        info.context.require("billing:read")
        check_id(invoice_id, "inv", field="invoiceId")
        row = await info.context.loaders.invoices.load(invoice_id)
        if row is None:
            raise NotFound("There is no such invoice.", path=("invoiceId",))
        if row.finalized_at is None:
            raise InvoiceInvalidTransition("A draft earns nothing.", path=("invoiceId",))
        settings = await info.context.engine.invoicing.settings.get(info.context.tenant)
        found = revenue_schedule(
            row.invoice, finalized_at=row.finalized_at, zone=settings.time_zone
        )
        return [EarnedMonth(row=each, code=row.currency) for each in found]


def _cursor(after: str | None, prefix: str) -> str | None:
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))
    return after
