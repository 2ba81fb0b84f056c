"""What of a provider's line is booked by itself?

Facts that nobody else books: the fee of a line, where our books know none; a fee by itself; and
what the provider paid to the tenant's own bank. Everything else was booked when it happened here,
or waits for a person.
"""

from __future__ import annotations

from payengine.ledger import Posting
from payengine.ledger.moves import Move, posting_of
from payengine.ledger.templates import dispute_fee
from payengine.settlements.matching import Matched

__all__ = ["BANK", "fee_posting", "postings_of_line"]

#: Where payouts of providers arrive.
BANK = "bank:main"


def postings_of_line(
    matched: Matched, *, line_id: str, gateway: str, payment_id: str | None
) -> list[Posting]:
    """What is to be booked for the line; nothing for one that nobody here knows."""
    line, own = matched.line, matched.own
    receivable = f"psp_receivable:{gateway}"
    currency = line.amount.currency
    found: list[Posting] = []
    if line.kind in ("payout", "payout_reversal") and own is None and line.amount.minor:
        arrived = -line.amount.minor
        into, out = (BANK, receivable) if arrived > 0 else (receivable, BANK)
        found.append(
            posting_of(
                [Move(into, out, abs(arrived), currency)],
                transaction_id=f"{line_id}:settled",
                kind="psp.settled",
            )
        )
    if line.kind == "fee" and line.amount.minor:
        booked = fee_posting(
            f"{line_id}:paid", gateway=gateway, fee_minor=-line.amount.minor, currency=currency
        )
        found.append(booked)
    knows_none = own is None or not own.fee_minor
    if line.fee_minor and knows_none and matched.finding != "missing_here":
        if line.kind == "dispute" and line.fee_minor > 0 and payment_id is not None:
            found.append(
                dispute_fee(
                    dispute_id=line_id,
                    payment_id=payment_id,
                    gateway=gateway,
                    amount_minor=line.fee_minor,
                    currency=currency,
                )
            )
        else:
            found.append(
                fee_posting(
                    f"{line_id}:fee", gateway=gateway, fee_minor=line.fee_minor, currency=currency
                )
            )
    return found


def fee_posting(transaction_id: str, *, gateway: str, fee_minor: int, currency: str) -> Posting:
    """What the provider kept of what it owes us; below zero: what it gave back."""
    fees, receivable = f"processor_fees:{gateway}", f"psp_receivable:{gateway}"
    debited, credited = (fees, receivable) if fee_minor > 0 else (receivable, fees)
    return posting_of(
        [Move(debited, credited, abs(fee_minor), currency)],
        transaction_id=transaction_id,
        kind="processor.fee",
    )
