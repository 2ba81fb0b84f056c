"""What does a mutation about invoices answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.invoices.types import (
    BillingProfile,
    BillingSettings,
    CreditNote,
    Invoice,
)
from payengine_graphql.types.money import Money
from payengine_graphql.types.problems import Problem

__all__ = [
    "AdjustCustomerBalancePayload",
    "CreateCreditNotePayload",
    "CreateInvoicePayload",
    "DeleteDraftInvoicePayload",
    "FinalizeInvoicePayload",
    "InvoicePayload",
    "MarkInvoiceUncollectiblePayload",
    "SetBillingProfilePayload",
    "UpdateBillingSettingsPayload",
    "VoidInvoicePayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to a mutation about one invoice.")
class InvoicePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    invoice: Invoice | None = strawberry.field(description="As it stands now.", default=None)


@strawberry.type(description="The answer to createInvoice.")
class CreateInvoicePayload(InvoicePayload):
    """See the description."""


@strawberry.type(description="The answer to finalizeInvoice.")
class FinalizeInvoicePayload(InvoicePayload):
    """See the description."""


@strawberry.type(description="The answer to deleteDraftInvoice.")
class DeleteDraftInvoicePayload(InvoicePayload):
    """See the description."""


@strawberry.type(description="The answer to voidInvoice.")
class VoidInvoicePayload(InvoicePayload):
    """See the description."""


@strawberry.type(description="The answer to markInvoiceUncollectible.")
class MarkInvoiceUncollectiblePayload(InvoicePayload):
    """See the description."""


@strawberry.type(description="The answer to createCreditNote.")
class CreateCreditNotePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    credit_note: CreditNote | None = strawberry.field(description="The note.", default=None)


@strawberry.type(description="The answer to adjustCustomerBalance.")
class AdjustCustomerBalancePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    balances: list[Money] | None = strawberry.field(
        description="What the customer has now, by currency.", default=None
    )


@strawberry.type(description="The answer to updateBillingSettings.")
class UpdateBillingSettingsPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    billing_settings: BillingSettings | None = strawberry.field(
        description="What holds from now on.", default=None
    )


@strawberry.type(description="The answer to setBillingProfile.")
class SetBillingProfilePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    billing_profile: BillingProfile | None = strawberry.field(
        description="What holds from now on.", default=None
    )
