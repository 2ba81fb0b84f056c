"""What did an item come to on the invoice of its period, and what does a change give and take?

Pure. An item's effective amount is its price net of the coupons inside it, as they were when it was
invoiced; that of what follows has the coupons of the change's instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction

from payengine.billing.catalogue import price_of
from payengine.billing.coupons import Coupon, apply_coupons
from payengine.billing.decimals import spell_decimal
from payengine.billing.invoice_lines import InvoiceLine, proration_lines
from payengine.billing.invoices.terms import ItemTerms, PendingLine, Terms
from payengine.billing.proration import Item, Proration, ProrationTerms, prorate_change
from payengine.billing.subscriptions.held import (
    Held,
    held_coupons,
    in_force,
    is_recurring,
    present_period,
)
from payengine.ids import new_id

__all__ = [
    "credit_lines",
    "effective_amounts",
    "in_order",
    "invoiced_amounts",
    "once_line",
    "prorated_lines",
    "proration_terms",
    "spelled",
]


def spelled(item: ItemTerms) -> str:
    """The item's terms in one text: two that are equal here are no change."""
    return f"{item.price.id} x {spell_decimal(Fraction(item.quantity))}"


def effective_amounts(
    items: Iterable[ItemTerms], coupons: Sequence[Coupon], *, currency: str
) -> dict[str, int]:
    """What each recurring item comes to for a whole period, its discount taken off."""
    recurring = [item for item in items if is_recurring(item)]
    lines = [
        InvoiceLine(
            amount=price_of(item.price).amount_minor(item.quantity, currency=currency),
            product=item.product_id,
        )
        for item in recurring
    ]
    discounts = apply_coupons(lines, coupons, currency=currency)
    return {
        item.id: line.amount - discount
        for item, line, discount in zip(recurring, lines, discounts.per_line, strict=True)
    }


def invoiced_amounts(held: Held, at: datetime) -> dict[str, int]:
    """What each recurring item in force was last invoiced at, for a whole period.

    That was when the period began or, of an item that came within it, when it came.
    """
    found: dict[str, int] = {}
    at_instant: dict[datetime, dict[str, int]] = {}
    for item in in_force(held.terms, at):
        if not is_recurring(item):
            continue
        since = max(item.starts_at, held.row.period_start)
        if since not in at_instant:
            at_instant[since] = effective_amounts(
                in_force(held.terms, since),
                held_coupons(held.row, held.terms, since),
                currency=held.terms.currency,
            )
        found[item.id] = at_instant[since][item.id]
    return found


def proration_terms(held: Held, behavior: str = "create_prorations") -> ProrationTerms:
    """How the subscription prorates; raises `InputInvalid` for a behaviour that is none."""
    return ProrationTerms(
        mode=held.row.proration_mode,
        behavior=behavior,  # type: ignore[arg-type]
        time_zone=held.row.time_zone,
    )


def prorated_lines(
    held: Held,
    pairs: Iterable[tuple[ItemTerms | None, ItemTerms | None]],
    *,
    at: datetime,
    before: dict[str, int],
    after: dict[str, int],
    terms: ProrationTerms,
) -> list[PendingLine]:
    """The credits and debits of items that become others within the period."""
    lines: list[PendingLine] = []
    for old, new in pairs:
        proration = prorate_change(
            present_period(held.row),
            at=at,
            old=_item(old, before),
            new=_item(new, after),
            terms=terms,
        )
        lines += _lines(held, proration, old=old, new=new)
    return lines


def credit_lines(
    held: Held, items: Iterable[ItemTerms], *, at: datetime, terms: ProrationTerms, ends: bool
) -> list[PendingLine]:
    """What is left of the period is given back: of a cancellation (`ends`), or of a restart."""
    before = invoiced_amounts(held, at)
    lines: list[PendingLine] = []
    for item in items:
        if not is_recurring(item):
            continue
        proration = prorate_change(
            present_period(held.row),
            at=at,
            old=_item(item, before),
            new=None if ends else Item(amount_minor=0, terms="given back"),
            terms=terms,
        )
        lines += _lines(held, proration, old=item, new=None)
    return lines


def once_line(terms: Terms, item: ItemTerms, at: datetime) -> PendingLine:
    """What is charged once, on the next invoice."""
    line = InvoiceLine(
        amount=price_of(item.price).amount_minor(item.quantity, currency=terms.currency),
        kind="one_off",
        tax_bps=terms.tax.rate(item.tax_class),
        description=item.product_name,
        product=item.product_id,
        price=item.price.id,
        quantity=item.quantity,
        period_start=at,
        period_end=at,
    )
    return PendingLine(id=new_id("pli"), line=line)


def in_order(lines: Sequence[PendingLine]) -> list[PendingLine]:
    """The same lines, named so that they are read back in this order."""
    names = sorted(each.id for each in lines)
    return [PendingLine(id=name, line=each.line) for name, each in zip(names, lines, strict=True)]


def _item(item: ItemTerms | None, amounts: dict[str, int]) -> Item | None:
    if item is None:
        return None
    return Item(amount_minor=amounts[item.id], terms=spelled(item))


def _lines(
    held: Held, proration: Proration, *, old: ItemTerms | None, new: ItemTerms | None
) -> list[PendingLine]:
    found: list[PendingLine] = []
    for item, is_credit in ((old, True), (new, False)):
        if item is None:
            continue
        only = Proration(
            at=proration.at,
            part=proration.part,
            credit_minor=proration.credit_minor if is_credit else 0,
            debit_minor=0 if is_credit else proration.debit_minor,
        )
        lines = proration_lines(
            only,
            period_end=held.row.period_end,
            credit=f"Unused time: {item.product_name}",
            debit=f"Remaining time: {item.product_name}",
            product=item.product_id,
            tax_bps=held.terms.tax.rate(item.tax_class),
        )
        found += [PendingLine(id=new_id("pli"), line=line) for line in lines]
    return found
