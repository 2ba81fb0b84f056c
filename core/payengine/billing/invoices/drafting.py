"""What goes on the next invoice?

Pure: from the terms as they were loaded. Preview and invoice both come through here, so that they
are equal byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from payengine.billing.catalogue import price_of
from payengine.billing.decimals import spell_decimal
from payengine.billing.invoice_lines import InvoiceLine, LineKind
from payengine.billing.invoices.loading import load_customer_terms, load_terms
from payengine.billing.invoices.models import BilledUsage, Planned
from payengine.billing.invoices.terms import STANDARD_CLASS, ItemTerms, Terms, UsedPeriod
from payengine.billing.invoicing import Invoice, InvoiceDraft, InvoiceReason, compute_invoice
from payengine.billing.periods import Period
from payengine.billing.tax import TaxRules
from payengine.billing.usage import late_adjustment
from payengine.errors import InputInvalid

__all__ = ["draft_of", "load_customer_terms", "load_terms", "plan_of", "planned_of"]

#: These charge ahead for what the subscription has; the others only what is left to be charged.
_AHEAD: frozenset[InvoiceReason] = frozenset({"subscription_create", "subscription_cycle"})


def draft_of(terms: Terms, period: Period | None, reason: InvoiceReason) -> InvoiceDraft:
    """The draft of the invoice for the period; None where it is about no period.

    What is charged ahead is that of the items that hold when the period begins; usage is charged
    after it, at the boundary that ends it. Raises `TaxNotKnown`, `PriceCurrencyNotAvailable` and
    `InputInvalid`.
    """
    lines: list[InvoiceLine] = []
    if period is not None and reason in _AHEAD:
        lines += _ahead(terms, period, is_first=reason == "subscription_create")
    lines += _used(terms, period, reason)
    if _takes_pending(terms, period, reason):
        lines += [_taxed(terms, each.line) for each in terms.pending]
    starts = None if period is None else period.start
    return InvoiceDraft(
        currency=terms.currency,
        lines=tuple(lines),
        coupons=tuple(
            held.coupon for held in terms.coupons if starts is None or held.holds_at(starts)
        ),
        tax=_rules(terms, {line.price for line in lines}),
        customer_credit_balance=terms.balance,
        minimum_charge=terms.minimum_charge,
        reason=reason,
        customer_id=terms.customer_id,
        subscription_id=None if reason == "subscription_create" else terms.subscription_id,
        period_start=starts,
        period_end=None if period is None else period.end,
    )


def plan_of(
    terms: Terms,
    period: Period | None,
    reason: InvoiceReason,
    *,
    subscription_id: str | None = None,
    due_at: datetime | None = None,
) -> Planned:
    """The computed invoice with what it takes up, ready to be issued.

    `subscription_id` where the terms name none, as those of a new subscription. Raises as
    `draft_of` and `compute_invoice` do.
    """
    invoice = compute_invoice(draft_of(terms, period, reason))
    return planned_of(
        terms,
        period,
        invoice,
        subscription_id=subscription_id or terms.subscription_id,
        due_at=due_at,
    )


def planned_of(
    terms: Terms,
    period: Period | None,
    invoice: Invoice,
    *,
    subscription_id: str | None = None,
    due_at: datetime | None = None,
) -> Planned:
    """What an invoice that was computed from these terms takes up beside its lines."""
    reason = invoice.reason
    taken = terms.pending if _takes_pending(terms, period, reason) else ()
    return Planned(
        customer_id=terms.customer_id,
        subscription_id=subscription_id or terms.subscription_id,
        invoice=invoice,
        pending=tuple(each.id for each in taken),
        usage=tuple(_billed(terms, used) for used in _bills(terms, period, reason)),
        payment_method_id=terms.payment_method_id,
        policy=terms.policy,
        due_at=due_at,
    )


def _billed(terms: Terms, used: UsedPeriod) -> BilledUsage:
    item = next(each for each in terms.items if each.id == used.item_id)
    return BilledUsage(
        item_id=used.item_id,
        meter_id=item.price.meter_id or "",
        start=used.start,
        end=used.end,
        quantity=used.quantity,
    )


def _takes_pending(terms: Terms, period: Period | None, reason: InvoiceReason) -> bool:
    if reason != "subscription_cycle" or terms.first_at is None or period is None:
        return True
    return period.start <= terms.first_at


def _bills(terms: Terms, period: Period | None, reason: InvoiceReason) -> Iterator[UsedPeriod]:
    """The usage that this invoice charges: what is due at the boundary that it stands for."""
    if period is None:
        return
    boundary = period.end if reason == "usage_cycle" else period.start
    for used in terms.used:
        if used.bills_at == boundary:
            yield used


def _ahead(terms: Terms, period: Period, *, is_first: bool) -> Iterator[InvoiceLine]:
    """Each item for the whole period; what has no interval is charged with the first only."""
    for item in terms.items:
        kept = item.price
        is_once = kept.interval_unit is None
        if kept.meter_id is not None or (is_once and not is_first):
            continue
        if not item.holds_at(period.start):
            continue
        yield InvoiceLine(
            amount=price_of(kept).amount_minor(item.quantity, currency=terms.currency),
            kind="one_off" if is_once else "recurring",
            tax_bps=terms.tax.rate(item.tax_class),
            description=item.product_name,
            product=item.product_id,
            price=kept.id,
            quantity=item.quantity,
            period_start=period.start,
            period_end=period.end,
        )


def _used(terms: Terms, period: Period | None, reason: InvoiceReason) -> Iterator[InvoiceLine]:
    items = {item.id: item for item in terms.items}
    for used in _bills(terms, period, reason):
        line = _usage_line(terms, items[used.item_id], used)
        if line is not None:
            yield line


def _usage_line(terms: Terms, item: ItemTerms, used: UsedPeriod) -> InvoiceLine | None:
    """Usage of a period, or what came late and changes an earlier invoice at its own price."""
    price = price_of(item.price)
    quantity = used.quantity
    kind: LineKind = "usage"
    if used.billed is None:
        amount = price.amount_minor(quantity, currency=terms.currency)
    else:
        late = late_adjustment(
            price.model_in(terms.currency), billed=used.billed, present=used.quantity
        )
        if not late.quantity:
            return None
        quantity, amount, kind = late.quantity, late.amount_minor, "adjustment"
    return InvoiceLine(
        amount=amount,
        kind=kind,
        tax_bps=terms.tax.rate(item.tax_class),
        description=item.product_name,
        product=item.product_id,
        price=item.price.id,
        quantity=Decimal(spell_decimal(quantity)),
        period_start=used.start,
        period_end=used.end,
    )


def _taxed(terms: Terms, line: InvoiceLine) -> InvoiceLine:
    """A line that waited, with the rate of today where it names none."""
    if line.tax_bps is not None or not terms.tax.is_taxed:
        return line
    found = terms.product_classes.get(line.product or "", STANDARD_CLASS)
    return msgspec.structs.replace(line, tax_bps=terms.tax.rate(found))


def _rules(terms: Terms, prices: Collection[str | None]) -> TaxRules:
    """An invoice's prices hold the tax or they do not; raises `InputInvalid` for both at once."""
    behaviors = {each.price.tax_behavior for each in terms.items if each.price.id in prices}
    if len(behaviors) > 1:
        raise InputInvalid("Prices with and without tax do not go on one invoice.", path=("items",))
    behavior = behaviors.pop() if behaviors else "exclusive"
    return TaxRules(behavior=behavior, rounding=terms.tax_rounding)
