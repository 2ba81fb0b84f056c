"""What is kept of an invoice, and what goes with it into one transaction?"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import msgspec

from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.invoice_states import InvoiceStatus
from payengine.billing.invoicing import Invoice, InvoiceReason

__all__ = [
    "AdjustBalance",
    "BilledUsage",
    "CreateCreditNote",
    "CreateInvoice",
    "CreditNote",
    "CreditedLine",
    "DeleteDraft",
    "FinalizeInvoice",
    "InvoiceItem",
    "Planned",
    "StoredInvoice",
    "VoidInvoice",
    "WriteOffInvoice",
]


class StoredInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as its row has it. Amounts are in minor units of `currency`.

    `document` is its one spelling in bytes and `hash` that spelling's: what a preview showed.
    `amount_due` is what is to be paid still, `amount_credited` what credit notes took back. A draft
    has no number.
    """

    id: str
    number: int | None
    customer_id: str
    subscription_id: str | None
    period_start: datetime | None
    period_end: datetime | None
    reason: InvoiceReason
    status: InvoiceStatus
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    amount_credited: int
    document: bytes
    hash: str
    payment_id: str | None
    version: int
    created_at: datetime
    finalized_at: datetime | None
    due_at: datetime | None
    paid_at: datetime | None

    @property
    def invoice(self) -> Invoice:
        """What it says, line by line."""
        return msgspec.json.decode(self.document, type=Invoice)


class BilledUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What has been invoiced by now of an item's usage between two instants."""

    item_id: str
    meter_id: str
    start: datetime
    end: datetime
    quantity: Fraction


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice to be issued, with what it takes up: pending lines, by id, and usage.

    `subscription_id` is the row's: the invoice of a creation says none of its own, because its
    preview cannot. `policy` is how it is collected where something is to be charged. `invoice_id`
    names a draft that becomes final.
    """

    customer_id: str
    subscription_id: str | None
    invoice: Invoice
    pending: tuple[str, ...] = ()
    usage: tuple[BilledUsage, ...] = ()
    payment_method_id: str | None = None
    policy: DunningPolicy = DunningPolicy()
    due_at: datetime | None = None
    invoice_id: str | None = None


class CreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice is lowered by, in minor units of its currency, with tax.

    `document` has its parts, each rounded once. `given_back` is what was paid beyond what is owed
    now: `refund` says where it goes. `none`: nothing was. `balance`: to the customer's balance.
    `asked`: back by the payment, which is under way; `sent` when it went; `failed` where it was
    refused, and the amount is on the balance instead.
    """

    id: str
    number: int
    invoice_id: str
    amount: int
    given_back: int
    refund: Literal["none", "balance", "asked", "sent", "failed"]
    refund_id: str | None
    refund_due_at: datetime | None
    document: dict[str, Any]
    reason: str
    created_at: datetime


class InvoiceItem(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a manual invoice: `amount` in minor units, `tax_class` as products name theirs."""

    amount: int
    description: str
    quantity: Decimal | None = None
    product_id: str | None = None
    tax_class: str = "standard"


class CreateInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """A draft: it may be changed by nobody, deleted, or made final."""

    idempotency_key: str
    customer_id: str
    currency: str
    lines: tuple[InvoiceItem, ...]


class FinalizeInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """Give it a number and have it paid; what its customer has on the balance is taken off now."""

    idempotency_key: str
    invoice_id: str


class DeleteDraft(msgspec.Struct, frozen=True, kw_only=True):
    """Forget a draft."""

    idempotency_key: str
    invoice_id: str


class VoidInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """Owed no more; what the balance paid of it goes back there."""

    idempotency_key: str
    invoice_id: str


class WriteOffInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody hopes to be paid any more; it may still be."""

    idempotency_key: str
    invoice_id: str


class CreditedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken back of the invoice's line at `place`, from 0: an exact amount without tax.

    In minor units, as a decimal or a fraction such as `58000/3`.
    """

    place: int
    net: str


class CreateCreditNote(msgspec.Struct, frozen=True, kw_only=True):
    """Lower an invoice by parts of its lines; without `lines` by all that is left of it."""

    idempotency_key: str
    invoice_id: str
    reason: str
    lines: tuple[CreditedLine, ...] = ()
    give_back: Literal["balance", "payment"] = "balance"


class AdjustBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Give a customer credit, or below zero take it away."""

    idempotency_key: str
    customer_id: str
    currency: str
    amount: int
    reason: str
