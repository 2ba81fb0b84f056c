"""What is left to pay after the customer's balance, and is it worth a charge?

A balance above zero is credit: the customer's money with the shop. Below zero it is what was too
little to charge and waits for the next invoice.
"""

from __future__ import annotations

import msgspec

from payengine.billing.invoice_lines import require_minor
from payengine.errors import InputInvalid

__all__ = ["Balanced", "Collection", "collect", "settle_balance"]


class Balanced(msgspec.Struct, frozen=True, kw_only=True):
    """What the balance paid, what is due, and the balance after; in minor units.

    `credit_applied` is below zero where the balance was: the invoice takes up the debit.
    """

    credit_applied: int
    amount_due: int
    ending_balance: int


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What is charged now and what waits for the next invoice; together the amount due."""

    charge: int
    carried_forward: int


def settle_balance(total: int, *, balance: int) -> Balanced:
    """Pay an invoice of `total` from the `balance`; nothing is due where the total is not positive.

    A negative total is not charged: it becomes credit. Always
    `balance - total + amount_due == ending_balance`.
    """
    require_minor(total, what="total")
    require_minor(balance, what="balance")
    applied = min(balance, total) if total > 0 else 0
    amount_due = max(total - applied, 0)
    return Balanced(
        credit_applied=applied,
        amount_due=amount_due,
        ending_balance=require_minor(balance - total + amount_due, what="balance"),
    )


def collect(amount_due: int, *, minimum_charge: int) -> Collection:
    """Charge what is due, unless the gateway's minimum is higher: then it waits.

    Both in minor units of one currency, not negative; raises `InputInvalid` where they are.
    """
    if require_minor(amount_due, what="amount due") < 0:
        raise InputInvalid("An amount due is not negative.")
    if require_minor(minimum_charge, what="minimum charge") < 0:
        raise InputInvalid("A minimum charge is not negative.")
    if amount_due < minimum_charge:
        return Collection(charge=0, carried_forward=amount_due)
    return Collection(charge=amount_due, carried_forward=0)
