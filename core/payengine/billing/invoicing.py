"""What is on the invoice, to the last minor unit?

One computation for the preview and for the invoice: lines, then coupons in their order, then tax,
then the customer's balance, then what is due. Its result has one spelling in bytes, so that a
preview and the invoice that follows can be compared by a hash.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Literal

import msgspec

from payengine.billing.coupons import Coupon, apply_coupons
from payengine.billing.credit import collect, settle_balance
from payengine.billing.invoice_lines import (
    InvoiceLine,
    canonical_line,
    check_lines,
    require_currency,
    require_minor,
)
from payengine.billing.tax import RateTax, TaxRules, compute_tax
from payengine.errors import InputInvalid

__all__ = [
    "ComputedLine",
    "Invoice",
    "InvoiceDraft",
    "InvoiceReason",
    "compute_invoice",
    "invoice_bytes",
    "invoice_hash",
]

InvoiceReason = Literal[
    "subscription_create", "subscription_cycle", "subscription_update", "usage_cycle", "manual"
]


class InvoiceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """All that an invoice is computed from. Amounts are in minor units of `currency`.

    `customer_credit_balance` is what the customer has with the shop, below zero what waits to be
    charged; `minimum_charge` is the least that the gateway charges.
    """

    currency: str
    lines: tuple[InvoiceLine, ...]
    coupons: tuple[Coupon, ...] = ()
    tax: TaxRules = TaxRules()
    customer_credit_balance: int = 0
    minimum_charge: int = 0
    reason: InvoiceReason = "manual"
    customer_id: str | None = None
    subscription_id: str | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None


class ComputedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line with its parts: `amount - discount` is `net`, and `net + tax` is `total`.

    Where prices hold the tax, `amount - discount` is `total` instead.
    """

    line: InvoiceLine
    discount: int
    net: int
    tax: int
    total: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft comes to. It bears no number and no instant of its making: a preview has none.

    `charge` and `carried_forward` are the amount due; what is carried is taken off
    `ending_credit_balance`. `per_coupon` follows the order of `coupons`.
    """

    currency: str
    reason: InvoiceReason
    customer_id: str | None
    subscription_id: str | None
    period_start: datetime | None
    period_end: datetime | None
    tax: TaxRules
    coupons: tuple[Coupon, ...]
    lines: tuple[ComputedLine, ...]
    subtotal: int
    per_coupon: tuple[int, ...]
    discount_total: int
    total_excluding_tax: int
    taxes: tuple[RateTax, ...]
    tax_total: int
    total: int
    starting_credit_balance: int
    credit_applied: int
    amount_due: int
    charge: int
    carried_forward: int
    ending_credit_balance: int


def compute_invoice(draft: InvoiceDraft) -> Invoice:
    """What the draft comes to, exactly.

    Equal drafts come to invoices that are equal byte for byte, however instants and decimals were
    spelled. Raises `UnknownCurrency`, `InputInvalid`, `AmountTooLarge`, `CurrencyMismatch`.
    """
    require_currency(draft.currency)
    check_lines(draft.lines)
    given = tuple(canonical_line(line) for line in draft.lines)
    discounts = apply_coupons(given, draft.coupons, currency=draft.currency)
    discounted = [
        line.amount - discount for line, discount in zip(given, discounts.per_line, strict=True)
    ]
    taxes = compute_tax(discounted, [line.tax_bps for line in given], rules=draft.tax)
    is_inclusive = draft.tax.behavior == "inclusive"
    lines = tuple(
        _line(line, discount=discount, tax=tax, is_inclusive=is_inclusive)
        for line, discount, tax in zip(given, discounts.per_line, taxes.per_line, strict=True)
    )
    total = require_minor(sum(line.total for line in lines), what="total")
    balanced = settle_balance(total, balance=draft.customer_credit_balance)
    collection = collect(balanced.amount_due, minimum_charge=draft.minimum_charge)
    return Invoice(
        currency=draft.currency,
        reason=draft.reason,
        customer_id=draft.customer_id,
        subscription_id=draft.subscription_id,
        period_start=_utc(draft.period_start),
        period_end=_utc(draft.period_end),
        tax=draft.tax,
        coupons=draft.coupons,
        lines=lines,
        subtotal=sum(line.amount for line in given),
        per_coupon=discounts.per_coupon,
        discount_total=discounts.total,
        total_excluding_tax=total - taxes.total,
        taxes=taxes.per_rate,
        tax_total=taxes.total,
        total=total,
        starting_credit_balance=draft.customer_credit_balance,
        credit_applied=balanced.credit_applied,
        amount_due=balanced.amount_due,
        charge=collection.charge,
        carried_forward=collection.carried_forward,
        ending_credit_balance=balanced.ending_balance - collection.carried_forward,
    )


def invoice_bytes(invoice: Invoice) -> bytes:
    """The invoice's one spelling: JSON with its fields in the order of their declaration."""
    return msgspec.json.encode(invoice, order="deterministic")


def invoice_hash(invoice: Invoice) -> str:
    """SHA-256 of `invoice_bytes`, in hexadecimal digits."""
    return hashlib.sha256(invoice_bytes(invoice)).hexdigest()


def _line(line: InvoiceLine, *, discount: int, tax: int, is_inclusive: bool) -> ComputedLine:
    discounted = line.amount - discount
    net = discounted - tax if is_inclusive else discounted
    return ComputedLine(line=line, discount=discount, net=net, tax=tax, total=net + tax)


def _utc(instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    if instant.utcoffset() is None:
        raise InputInvalid("The instants of an invoice name their zone.", path=("periodStart",))
    return instant.astimezone(UTC)
