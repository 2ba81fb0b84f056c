"""How may an invoice move, and which number does it bear?

The table is the one that the field knows: drafts are finalised, open invoices are paid, voided or
written off. What it does not name is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from payengine.errors import InputInvalid, InvoiceInvalidTransition

__all__ = [
    "INVOICE_TRANSITIONS",
    "InvoiceEvent",
    "InvoiceStatus",
    "finalized_status",
    "invoice_numbers",
    "next_invoice_status",
    "number_text",
]

InvoiceStatus = Literal["draft", "open", "paid", "void", "uncollectible", "deleted"]
InvoiceEvent = Literal[
    "finalize", "delete", "pay_succeeded", "pay_failed", "void", "mark_uncollectible"
]

INVOICE_TRANSITIONS: dict[InvoiceStatus, dict[InvoiceEvent, InvoiceStatus]] = {
    "draft": {"finalize": "open", "delete": "deleted"},
    "open": {
        "pay_succeeded": "paid",
        "pay_failed": "open",
        "void": "void",
        "mark_uncollectible": "uncollectible",
    },
    "uncollectible": {"pay_succeeded": "paid", "void": "void"},
    "paid": {},
    "void": {},
    "deleted": {},
}

_DIGITS = 6


def next_invoice_status(status: InvoiceStatus, event: InvoiceEvent) -> InvoiceStatus:
    """Where the event leads; raises `InvoiceInvalidTransition` where it leads nowhere."""
    found = INVOICE_TRANSITIONS.get(status, {}).get(event)
    if found is None:
        raise InvoiceInvalidTransition(f"An invoice that is {status} does not take {event}.")
    return found


def finalized_status(amount_due: int) -> InvoiceStatus:
    """The status of an invoice once it is finalised: one with nothing due is paid at once."""
    status = next_invoice_status("draft", "finalize")
    return next_invoice_status(status, "pay_succeeded") if amount_due == 0 else status


def invoice_numbers(last: int, finalized: Sequence[bool]) -> tuple[list[int | None], int]:
    """Number the invoices of one transaction after the counter's `last`, without a gap.

    In their order; one that is not finalised takes no number. The second value is the counter as it
    is to be written, once and last in the transaction. Raises `InputInvalid` for a negative `last`.
    """
    if last < 0:
        raise InputInvalid("A counter of invoices is not negative.")
    numbers: list[int | None] = []
    for is_final in finalized:
        last += is_final
        numbers.append(last if is_final else None)
    return numbers, last


def number_text(number: int, *, prefix: str) -> str:
    """A number as it is printed: `INV-000042`; longer ones are not cut."""
    return f"{prefix}{number:0{_DIGITS}d}"
