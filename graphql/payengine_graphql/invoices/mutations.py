"""What may be done about invoices?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry
from payengine.billing.invoices import models
from payengine.billing.invoices.profiles import BillingProfile as ProfileRow
from payengine.billing.settings import BillingSettings as SettingsRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.invoices import inputs, payloads
from payengine_graphql.invoices.types import (
    BillingProfile,
    BillingSettings,
    show_credit_note,
    show_invoice,
)
from payengine_graphql.types.fields import mutation
from payengine_graphql.types.money import money

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "billing:write"
_Payload = TypeVar("_Payload", bound=payloads.InvoicePayload)


async def _invoice(
    info: Wire,
    name: str,
    input: Any,
    work: Callable[[], Awaitable[models.StoredInvoice]],
    *,
    payload: type[_Payload],
) -> _Payload:
    row, errors = await guarded(info, name, input, work, scope=_SCOPE)
    return payload(invoice=show_invoice(row) if row else None, errors=errors)


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Write an invoice: a draft. Needs the scope `billing:write`.")
    async def create_invoice(
        self, info: Wire, input: Annotated[inputs.CreateInvoiceInput, _INPUT]
    ) -> payloads.CreateInvoicePayload:
        """See `payengine.billing.invoices.service`."""
        context = info.context

        async def work() -> models.StoredInvoice:
            return await context.engine.invoicing.invoices.create(context.tenant, input.to_core())

        return await _invoice(
            info, "createInvoice", input, work, payload=payloads.CreateInvoicePayload
        )

    @mutation("Number a draft and collect it. Needs the scope `billing:write`.")
    async def finalize_invoice(
        self, info: Wire, input: Annotated[inputs.FinalizeInvoiceInput, _INPUT]
    ) -> payloads.FinalizeInvoicePayload:
        """See `payengine.billing.invoices.service`."""
        context = info.context

        async def work() -> models.StoredInvoice:
            return await context.engine.invoicing.invoices.finalize(
                context.tenant,
                models.FinalizeInvoice(
                    idempotency_key=input.idempotency_key, invoice_id=input.invoice_id
                ),
            )

        return await _invoice(
            info, "finalizeInvoice", input, work, payload=payloads.FinalizeInvoicePayload
        )

    @mutation("Forget a draft. Needs the scope `billing:write`.")
    async def delete_draft_invoice(
        self, info: Wire, input: Annotated[inputs.DeleteDraftInvoiceInput, _INPUT]
    ) -> payloads.DeleteDraftInvoicePayload:
        """See `payengine.billing.invoices.service`."""
        context = info.context

        async def work() -> models.StoredInvoice:
            return await context.engine.invoicing.invoices.delete_draft(
                context.tenant,
                models.DeleteDraft(
                    idempotency_key=input.idempotency_key, invoice_id=input.invoice_id
                ),
            )

        return await _invoice(
            info, "deleteDraftInvoice", input, work, payload=payloads.DeleteDraftInvoicePayload
        )

    @mutation("An open invoice is owed no more. Needs the scope `billing:write`.")
    async def void_invoice(
        self, info: Wire, input: Annotated[inputs.VoidInvoiceInput, _INPUT]
    ) -> payloads.VoidInvoicePayload:
        """See `payengine.billing.invoices.service`."""
        context = info.context

        async def work() -> models.StoredInvoice:
            return await context.engine.invoicing.invoices.void(
                context.tenant,
                models.VoidInvoice(
                    idempotency_key=input.idempotency_key, invoice_id=input.invoice_id
                ),
            )

        return await _invoice(info, "voidInvoice", input, work, payload=payloads.VoidInvoicePayload)

    @mutation("Write an open invoice off. Needs the scope `billing:write`.")
    async def mark_invoice_uncollectible(
        self, info: Wire, input: Annotated[inputs.MarkInvoiceUncollectibleInput, _INPUT]
    ) -> payloads.MarkInvoiceUncollectiblePayload:
        """See `payengine.billing.invoices.service`."""
        context = info.context

        async def work() -> models.StoredInvoice:
            return await context.engine.invoicing.invoices.write_off(
                context.tenant,
                models.WriteOffInvoice(
                    idempotency_key=input.idempotency_key, invoice_id=input.invoice_id
                ),
            )

        return await _invoice(
            info,
            "markInvoiceUncollectible",
            input,
            work,
            payload=payloads.MarkInvoiceUncollectiblePayload,
        )

    @mutation("Take back what an invoice says, or a part. Needs the scope `billing:write`.")
    async def create_credit_note(
        self, info: Wire, input: Annotated[inputs.CreateCreditNoteInput, _INPUT]
    ) -> payloads.CreateCreditNotePayload:
        """See `payengine.billing.invoices.crediting`."""
        context = info.context

        async def work() -> models.CreditNote:
            notes = context.engine.invoicing.credit_notes
            return await notes.create(context.tenant, input.to_core())

        row, errors = await guarded(info, "createCreditNote", input, work, scope=_SCOPE)
        return payloads.CreateCreditNotePayload(
            credit_note=show_credit_note(row) if row else None, errors=errors
        )

    @mutation("Give a customer credit, or take it away. Needs the scope `billing:write`.")
    async def adjust_customer_balance(
        self, info: Wire, input: Annotated[inputs.AdjustCustomerBalanceInput, _INPUT]
    ) -> payloads.AdjustCustomerBalancePayload:
        """See `payengine.billing.invoices.balances`."""
        context = info.context

        async def work() -> dict[str, int]:
            return await context.engine.invoicing.balances.adjust(context.tenant, input.to_core())

        found, errors = await guarded(info, "adjustCustomerBalance", input, work, scope=_SCOPE)
        balances = None if found is None else [money(each, code) for code, each in found.items()]
        return payloads.AdjustCustomerBalancePayload(balances=balances, errors=errors)

    @mutation("Choose how to bill. Needs the scope `billing:write`.")
    async def update_billing_settings(
        self, info: Wire, input: Annotated[inputs.UpdateBillingSettingsInput, _INPUT]
    ) -> payloads.UpdateBillingSettingsPayload:
        """See `payengine.billing.settings`."""
        context = info.context

        async def work() -> SettingsRow:
            return await context.engine.invoicing.settings.update(context.tenant, input.to_core())

        row, errors = await guarded(info, "updateBillingSettings", input, work, scope=_SCOPE)
        return payloads.UpdateBillingSettingsPayload(
            billing_settings=BillingSettings(row=row) if row else None, errors=errors
        )

    @mutation("Keep a customer's billing details. Needs the scope `billing:write`.")
    async def set_billing_profile(
        self, info: Wire, input: Annotated[inputs.SetBillingProfileInput, _INPUT]
    ) -> payloads.SetBillingProfilePayload:
        """See `payengine.billing.invoices.profiles`."""
        context = info.context

        async def work() -> ProfileRow:
            return await context.engine.invoicing.profiles.set(context.tenant, input.to_core())

        row, errors = await guarded(info, "setBillingProfile", input, work, scope=_SCOPE)
        return payloads.SetBillingProfilePayload(
            billing_profile=BillingProfile(row=row) if row else None, errors=errors
        )
