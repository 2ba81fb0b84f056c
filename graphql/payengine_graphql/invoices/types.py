"""How are invoices, credit notes and balances shown?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec
import strawberry
from payengine.billing.invoices.balance import BalanceEntry as EntryRow
from payengine.billing.invoices.models import CreditNote as NoteRow
from payengine.billing.invoices.models import StoredInvoice
from payengine.billing.invoices.profiles import BillingProfile as ProfileRow
from payengine.billing.invoices.recognition import EarnedMonth as EarnedRow
from payengine.billing.invoicing import ComputedLine, invoice_hash
from payengine.billing.invoicing import Invoice as Computed
from payengine.billing.settings import BillingSettings as SettingsRow

from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.scalars import JSON, Currency, DateTime, MinorUnits
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money
from payengine_graphql.types.nodes import Node

__all__ = [
    "BalanceEntry",
    "BillingProfile",
    "BillingSettings",
    "CreditNote",
    "CreditRefund",
    "EarnedMonth",
    "GiveBack",
    "Invoice",
    "InvoiceLine",
    "InvoicePaper",
    "InvoicePreview",
    "InvoiceReason",
    "InvoiceStatus",
    "InvoiceTax",
    "read_credit_note",
    "read_invoice",
    "show_credit_note",
    "show_invoice",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Where an invoice stands.")
class InvoiceStatus(Enum):
    """See the description."""

    DRAFT = _value("draft", "It has no number yet, and nobody owes it.")
    OPEN = _value("open", "It is owed.")
    PAID = _value("paid", "Nothing of it is owed any more.")
    VOID = _value("void", "It is owed no more, as if it had never been.")
    UNCOLLECTIBLE = _value("uncollectible", "It is written off; it may still be paid.")
    DELETED = _value("deleted", "It was a draft.")


@strawberry.enum(description="Why an invoice was made.")
class InvoiceReason(Enum):
    """See the description."""

    SUBSCRIPTION_CREATE = _value("subscription_create", "A subscription began.")
    SUBSCRIPTION_CYCLE = _value("subscription_cycle", "A period of a subscription began.")
    SUBSCRIPTION_UPDATE = _value("subscription_update", "A subscription was changed.")
    USAGE_CYCLE = _value("usage_cycle", "What was used until the end of a subscription.")
    MANUAL = _value("manual", "Somebody wrote it.")


@strawberry.enum(description="Where goes what was paid beyond what is owed?")
class GiveBack(Enum):
    """See the description."""

    BALANCE = _value("balance", "To the customer's balance.")
    PAYMENT = _value("payment", "Back by the payment.")


@strawberry.enum(description="What became of what a credit note gives back.")
class CreditRefund(Enum):
    """See the description."""

    NONE = _value("none", "Nothing had been paid of it.")
    BALANCE = _value("balance", "It is on the customer's balance.")
    ASKED = _value("asked", "It goes back by the payment; the outcome is open.")
    SENT = _value("sent", "It went back by the payment.")
    FAILED = _value("failed", "The refund was refused; it is on the customer's balance instead.")


@strawberry.type(description="One line of an invoice, computed to the last minor unit.")
class InvoiceLine:
    """See the description."""

    row: strawberry.Private[ComputedLine]
    code: strawberry.Private[str]

    @computed("What it is for.")
    def description(self) -> str:
        """In words."""
        return self.row.line.description

    @computed("recurring, usage, proration, adjustment or one_off.")
    def kind(self) -> str:
        """By a word."""
        return self.row.line.kind

    @computed("How many, as a decimal; null where it is not counted.")
    def quantity(self) -> str | None:
        """Exact."""
        quantity = self.row.line.quantity
        return None if quantity is None else f"{quantity:f}"

    @computed("The tax rate in hundredths of a percent; null outside of the tax.")
    def tax_bps(self) -> str | None:
        """Exact."""
        return None if self.row.line.tax_bps is None else str(self.row.line.tax_bps)

    @computed("Before coupons.")
    def amount(self) -> Money:
        """With or without tax, as the price is."""
        return money(self.row.line.amount, self.code)

    @computed("What coupons take off.")
    def discount(self) -> Money:
        """Off the amount."""
        return money(self.row.discount, self.code)

    @computed("Without tax.")
    def net(self) -> Money:
        """The coupons taken off."""
        return money(self.row.net, self.code)

    @computed("The tax.")
    def tax(self) -> Money:
        """The line's part of it."""
        return money(self.row.tax, self.code)

    @computed("With tax.")
    def total(self) -> Money:
        """Net and tax."""
        return money(self.row.total, self.code)

    @computed("From when it is charged; null where it is about no time.")
    def period_start(self) -> DateTime | None:
        """That instant included."""
        at = self.row.line.period_start
        return None if at is None else DateTime(at)

    @computed("Until when.")
    def period_end(self) -> DateTime | None:
        """That instant excluded."""
        at = self.row.line.period_end
        return None if at is None else DateTime(at)


@strawberry.type(description="The tax of one rate.")
class InvoiceTax:
    """See the description."""

    rate_bps: str = strawberry.field(description="The rate in hundredths of a percent, exact.")
    taxable: Money = strawberry.field(description="On how much, without the tax.")
    amount: Money = strawberry.field(description="How much.")


@strawberry.type(description="What an invoice says, or would say.")
class InvoicePreview:
    """See the description."""

    row: strawberry.Private[Computed]

    @computed("SHA-256 of all that it says: that of the invoice that follows is the same.")
    def hash(self) -> str:
        """In hexadecimal digits."""
        return invoice_hash(self.row)

    @computed("Its lines.")
    def lines(self) -> list[InvoiceLine]:
        """In their order."""
        return [InvoiceLine(row=line, code=self.row.currency) for line in self.row.lines]

    @computed("The tax by its rates, which rise.")
    def taxes(self) -> list[InvoiceTax]:
        """One for each rate."""
        code = self.row.currency
        return [
            InvoiceTax(
                rate_bps=tax.rate, taxable=money(tax.taxable, code), amount=money(tax.amount, code)
            )
            for tax in self.row.taxes
        ]

    @computed("The lines together, before coupons.")
    def subtotal(self) -> Money:
        """As their prices are."""
        return money(self.row.subtotal, self.row.currency)

    @computed("What coupons take off.")
    def discount(self) -> Money:
        """All of them."""
        return money(self.row.discount_total, self.row.currency)

    @computed("All tax.")
    def tax(self) -> Money:
        """Of all rates."""
        return money(self.row.tax_total, self.row.currency)

    @computed("With tax.")
    def total(self) -> Money:
        """Below zero it becomes credit."""
        return money(self.row.total, self.row.currency)

    @computed("What the customer's balance pays of it; below zero what was carried over to it.")
    def credit_applied(self) -> Money:
        """Off the balance."""
        return money(self.row.credit_applied, self.row.currency)

    @computed("What is charged.")
    def charge(self) -> Money:
        """Nothing where it is too little to charge."""
        return money(self.row.charge, self.row.currency)

    @computed("What is too little to charge, and waits for the next invoice.")
    def carried_forward(self) -> Money:
        """On the balance."""
        return money(self.row.carried_forward, self.row.currency)


@strawberry.type(description="What a customer owes, or owed.")
class Invoice(Node):
    """See the description."""

    row: strawberry.Private[StoredInvoice]
    number: int | None = column("Its number, without a gap in the tenant; null for a draft.")
    customer_id: strawberry.ID = column("Who owes it.")
    subscription_id: strawberry.ID | None = column("For what, where it is a subscription.")
    status: InvoiceStatus = column("Where it stands.")
    reason: InvoiceReason = column("Why it was made.")
    currency: Currency = column("Its currency.")
    hash: str = column("SHA-256 of all that it says: that of its preview is the same.")
    payment_id: strawberry.ID | None = column("The payment that paid it.")
    version: int = column("How often it was written.")
    period_start: DateTime | None = column("The period, from then on.")
    period_end: DateTime | None = column("And before then.")
    created_at: DateTime = column("When it was made.")
    finalized_at: DateTime | None = column("When it got its number.")
    due_at: DateTime | None = column("When it is to be paid.")
    paid_at: DateTime | None = column("When nothing was owed any more.")

    @computed("With tax.")
    def total(self) -> Money:
        """Below zero it became credit."""
        return money(self.row.total, self.row.currency)

    @computed("What is to be paid, or was; credit notes lower it.")
    def amount_due(self) -> Money:
        """With tax."""
        return money(self.row.amount_due, self.row.currency)

    @computed("What was paid.")
    def amount_paid(self) -> Money:
        """By payments."""
        return money(self.row.amount_paid, self.row.currency)

    @computed("What credit notes took back.")
    def amount_credited(self) -> Money:
        """With tax."""
        return money(self.row.amount_credited, self.row.currency)

    @computed("All that it says.")
    def document(self) -> InvoicePreview:
        """Line by line."""
        return InvoicePreview(row=self.row.invoice)

    @computed("What was taken back of it, oldest first.")
    async def credit_notes(self, info: Wire) -> list[CreditNote]:
        """All of them."""
        found = await info.context.loaders.credit_notes_of.load(self.row.id)
        return [show_credit_note(row) for row in found]


@strawberry.type(description="What an invoice was lowered by.")
class CreditNote(Node):
    """See the description."""

    row: strawberry.Private[NoteRow]
    number: int = column("Its number, without a gap in the tenant.")
    invoice_id: strawberry.ID = column("Of which invoice.")
    reason: str = column("Why.")
    refund: CreditRefund = column("What became of what it gives back.")
    refund_id: strawberry.ID | None = column("The refund of the payment.")
    created_at: DateTime = column("When it was made.")

    @computed("With tax, in the minor unit of the invoice's currency.")
    def amount_minor(self) -> MinorUnits:
        """Whole minor units."""
        return MinorUnits(self.row.amount)

    @computed("What was paid beyond what is owed now, likewise.")
    def given_back_minor(self) -> MinorUnits:
        """Whole minor units."""
        return MinorUnits(self.row.given_back)

    @computed("Its parts: for each line of the invoice what is taken back of net and tax.")
    def parts(self) -> JSON:
        """As it is kept."""
        return JSON(self.row.document["lines"])


@strawberry.type(description="One change of a customer's balance.")
class BalanceEntry:
    """See the description."""

    row: strawberry.Private[EntryRow]
    id: strawberry.ID = column("The entry's id.")
    reason: str = column("Why: `invoice`, `invoice_voided`, `credit_note`, or words of yours.")
    invoice_id: strawberry.ID | None = column("The invoice that caused it.")
    created_at: DateTime = column("When.")

    @computed("What was added; below zero taken away.")
    def amount(self) -> Money:
        """In the balance's currency."""
        return money(self.row.amount, self.row.currency)


@strawberry.type(description="How a tenant bills.")
class BillingSettings:
    """See the description."""

    row: strawberry.Private[SettingsRow]

    @computed("All of them, by name.")
    def document(self) -> JSON:
        """As `updateBillingSettings` takes them."""
        return JSON(msgspec.to_builtins(self.row))


@strawberry.type(description="Where a customer is taxed, and how they are written to.")
class BillingProfile:
    """See the description."""

    row: strawberry.Private[ProfileRow]
    customer_id: strawberry.ID = column("Whose it is.")
    country: str | None = column("The country's code of ISO 3166.")
    region: str | None = column("A part of it.")
    postal_code: str | None = column("The postal code.")
    tax_exempt: bool = column("Whether no tax is put on their invoices.")
    language: str | None = column("In which language their invoices are written.")
    address: list[str] = column("The lines of the address.")


@strawberry.type(description="What of an invoice is earned in one month.")
class EarnedMonth:
    """See the description."""

    row: strawberry.Private[EarnedRow]
    code: strawberry.Private[str]
    month: str = column("The month, such as 2026-03.")

    @computed("Without tax.")
    def amount(self) -> Money:
        """In the invoice's currency."""
        return money(self.row.amount_minor, self.code)


@strawberry.type(description="An invoice on paper.")
class InvoicePaper:
    """See the description."""

    number: str = strawberry.field(description="Its number as it is printed.")
    file_name: str = strawberry.field(description="A name for the file.")
    base64: str = strawberry.field(description="The PDF, in base64.")


def show_invoice(row: StoredInvoice) -> Invoice:
    """The invoice for the wire."""
    return Invoice(id=strawberry.ID(row.id), row=row)


def show_credit_note(row: NoteRow) -> CreditNote:
    """The credit note for the wire."""
    return CreditNote(id=strawberry.ID(row.id), row=row)


async def read_invoice(context: RequestContext, invoice_id: str) -> Invoice | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.invoices.load(invoice_id)
    return show_invoice(row) if row else None


async def read_credit_note(context: RequestContext, note_id: str) -> CreditNote | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.credit_notes.load(note_id)
    return show_credit_note(row) if row else None
