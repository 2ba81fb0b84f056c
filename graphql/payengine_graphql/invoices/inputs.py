"""What may a client send about invoices?"""

from __future__ import annotations

from typing import Any

import strawberry
from payengine.billing.decimals import parse_decimal
from payengine.billing.invoices import models
from payengine.billing.invoices.profiles import SetBillingProfile
from payengine.billing.invoices.setting_store import UpdateBillingSettings
from payengine.errors import InputInvalid

from payengine_graphql.inputs import check_id
from payengine_graphql.invoices.types import GiveBack
from payengine_graphql.scalars import JSON, Currency, MinorUnits

__all__ = [
    "AdjustCustomerBalanceInput",
    "CreateCreditNoteInput",
    "CreateInvoiceInput",
    "CreditedLineInput",
    "DeleteDraftInvoiceInput",
    "FinalizeInvoiceInput",
    "InvoiceItemInput",
    "MarkInvoiceUncollectibleInput",
    "SetBillingProfileInput",
    "UpdateBillingSettingsInput",
    "VoidInvoiceInput",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."


@strawberry.input(description="A line of an invoice that somebody writes.")
class InvoiceItemInput:
    """See the description."""

    amount_minor: MinorUnits = strawberry.field(
        description="In the currency's minor unit; below zero it is a credit."
    )
    description: str = strawberry.field(description="What it is for.")
    quantity: str | None = strawberry.field(description="How many, a decimal.", default=None)
    product_id: strawberry.ID | None = strawberry.field(description="The product.", default=None)
    tax_class: str = strawberry.field(
        description="How it is taxed: the `taxClass` of products.", default="standard"
    )

    def to_core(self) -> models.InvoiceItem:
        """For the engine."""
        if self.product_id is not None:
            check_id(self.product_id, "prd", field="productId")
        return models.InvoiceItem(
            amount=self.amount_minor,
            description=self.description,
            quantity=None
            if self.quantity is None
            else parse_decimal(self.quantity, name="quantity"),
            product_id=self.product_id,
            tax_class=self.tax_class,
        )


@strawberry.input(description="A draft.")
class CreateInvoiceInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    customer_id: strawberry.ID = strawberry.field(description="Who owes it.")
    currency: Currency = strawberry.field(description="Its currency.")
    lines: list[InvoiceItemInput] = strawberry.field(description="1 to 500.")

    def to_core(self) -> models.CreateInvoice:
        """For the engine."""
        return models.CreateInvoice(
            idempotency_key=self.idempotency_key,
            customer_id=self.customer_id,
            currency=self.currency,
            lines=tuple(line.to_core() for line in self.lines),
        )


@strawberry.input(description="Do something with one invoice.")
class _InvoiceActionInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    invoice_id: strawberry.ID = strawberry.field(description="The invoice.")


@strawberry.input(description="Make a draft final.")
class FinalizeInvoiceInput(_InvoiceActionInput):
    """See the description."""


@strawberry.input(description="Forget a draft.")
class DeleteDraftInvoiceInput(_InvoiceActionInput):
    """See the description."""


@strawberry.input(description="An invoice is owed no more.")
class VoidInvoiceInput(_InvoiceActionInput):
    """See the description."""


@strawberry.input(description="Nobody hopes to be paid any more.")
class MarkInvoiceUncollectibleInput(_InvoiceActionInput):
    """See the description."""


@strawberry.input(description="What is taken back of one line.")
class CreditedLineInput:
    """See the description."""

    line: int = strawberry.field(description="The line's place on the invoice, from 0.")
    net: str = strawberry.field(
        description="Minor units without tax: a decimal, or an exact fraction such as 58000/3."
    )


@strawberry.input(description="Lower an invoice.")
class CreateCreditNoteInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    invoice_id: strawberry.ID = strawberry.field(description="The invoice.")
    reason: str = strawberry.field(description="Why.")
    lines: list[CreditedLineInput] | None = strawberry.field(
        description="Parts of its lines; null: all that is left of it.", default=None
    )
    give_back: GiveBack = strawberry.field(
        description="Where what was paid goes.", default=GiveBack.BALANCE
    )

    def to_core(self) -> models.CreateCreditNote:
        """For the engine."""
        return models.CreateCreditNote(
            idempotency_key=self.idempotency_key,
            invoice_id=self.invoice_id,
            reason=self.reason,
            lines=tuple(
                models.CreditedLine(place=each.line, net=each.net) for each in self.lines or ()
            ),
            give_back=self.give_back.value,
        )


@strawberry.input(description="Give a customer credit, or take it away.")
class AdjustCustomerBalanceInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    customer_id: strawberry.ID = strawberry.field(description="The customer.")
    currency: Currency = strawberry.field(description="In which currency.")
    amount_minor: MinorUnits = strawberry.field(description="Below zero it is taken away.")
    reason: str = strawberry.field(description="Why.")

    def to_core(self) -> models.AdjustBalance:
        """For the engine."""
        return models.AdjustBalance(
            idempotency_key=self.idempotency_key,
            customer_id=self.customer_id,
            currency=self.currency,
            amount=self.amount_minor,
            reason=self.reason,
        )


@strawberry.input(description="Change some of the billing settings.")
class UpdateBillingSettingsInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    document: JSON = strawberry.field(
        description="An object: these take the place of those that hold, the others stay."
    )

    def to_core(self) -> UpdateBillingSettings:
        """For the engine."""
        document: Any = self.document
        if not isinstance(document, dict):
            raise InputInvalid("The settings are an object.", path=("document",))
        return UpdateBillingSettings(idempotency_key=self.idempotency_key, document=document)


@strawberry.input(description="Where a customer is taxed, and how they are written to.")
class SetBillingProfileInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    customer_id: strawberry.ID = strawberry.field(description="The customer.")
    country: str | None = strawberry.field(description="Two capital letters.", default=None)
    region: str | None = strawberry.field(description="A part of it.", default=None)
    postal_code: str | None = strawberry.field(description="The postal code.", default=None)
    tax_exempt: bool = strawberry.field(description="Whether they pay no tax.", default=False)
    language: str | None = strawberry.field(description="A tag such as de-AT.", default=None)
    address: list[str] | None = strawberry.field(description="At most 12 lines.", default=None)

    def to_core(self) -> SetBillingProfile:
        """For the engine."""
        return SetBillingProfile(
            idempotency_key=self.idempotency_key,
            customer_id=self.customer_id,
            country=self.country,
            region=self.region,
            postal_code=self.postal_code,
            tax_exempt=self.tax_exempt,
            language=self.language,
            address=tuple(self.address or ()),
        )
