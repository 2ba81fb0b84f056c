"""What does a credit note take back, and what does it leave of its invoice?"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import msgspec

from payengine.billing.invoice_lines import TaxRate, require_minor
from payengine.billing.tax import TaxRules, exact_tax, whole
from payengine.errors import CreditNoteExceedsInvoice, InputInvalid

__all__ = ["CreditNoteEffect", "CreditNoteParts", "issue_credit_note", "price_credit_note"]

_EXCLUSIVE = TaxRules()


class CreditNoteParts(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note's net and tax, each rounded once; minor units."""

    net: int
    tax: int

    @property
    def total(self) -> int:
        """The sum of the rounded parts, which may differ from the rounded sum."""
        return self.net + self.tax


class CreditNoteEffect(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice after a credit note, in minor units.

    `creditable` is what further credit notes may take back. `given_back` is what was paid beyond
    what is owed now: a refund or credit of the customer, as the shop decides.
    """

    amount_due: int
    status: Literal["open", "paid"]
    creditable: int
    given_back: int


def price_credit_note(net_exact: Fraction | int, *, tax_bps: TaxRate | None) -> CreditNoteParts:
    """The parts of a credit note over an exact net amount in minor units.

    The tax is that of the exact net amount. Raises `InputInvalid` where the amount is negative, or
    is no exact number.
    """
    if type(net_exact) is not int and not isinstance(net_exact, Fraction):
        raise InputInvalid(
            "A net amount is an integer or an exact fraction.", path=("lines", "net")
        )
    if net_exact < 0:
        raise InputInvalid(
            "A credit note takes back an amount that is not negative.", path=("lines", "net")
        )
    exact = Fraction(0) if tax_bps is None else exact_tax(net_exact, tax_bps, rules=_EXCLUSIVE)
    return CreditNoteParts(net=whole(Fraction(net_exact)), tax=whole(exact))


def issue_credit_note(
    *,
    invoice_total: int,
    credit_note_total: int,
    already_credited: int = 0,
    amount_paid: int = 0,
) -> CreditNoteEffect:
    """What becomes of an invoice by a credit note; all amounts with tax, in minor units.

    What is not paid yet is lowered first; only what was paid is given back. Raises
    `CreditNoteExceedsInvoice` beyond what earlier credit notes left of the invoice, `InputInvalid`
    for a credit note over nothing and for negative amounts.
    """
    amounts = (invoice_total, credit_note_total, already_credited, amount_paid)
    if any(require_minor(amount, what="amount") < 0 for amount in amounts):
        raise InputInvalid("The amounts of a credit note are not negative.")
    if credit_note_total == 0:
        raise InputInvalid("A credit note takes something back.", path=("lines",))
    creditable = invoice_total - already_credited - credit_note_total
    if creditable < 0:
        raise CreditNoteExceedsInvoice(path=("lines",))
    owed_before = max(invoice_total - already_credited - amount_paid, 0)
    amount_due = max(owed_before - credit_note_total, 0)
    return CreditNoteEffect(
        amount_due=amount_due,
        status="open" if amount_due else "paid",
        creditable=creditable,
        given_back=credit_note_total - (owed_before - amount_due),
    )
