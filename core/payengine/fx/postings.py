"""How is a conversion booked?

In each currency by itself, through `fx_position`: what is sold enters it in the one currency, what
is bought leaves it in the other. The customer's amount, the platform's markup and what the
provider's rate made of it are booked apart.
"""

from __future__ import annotations

from payengine.errors import InputInvalid
from payengine.fx.settlement import realised as difference_of
from payengine.ledger import Posting
from payengine.ledger.moves import Move, posting_of

__all__ = [
    "MARKUP",
    "converted",
    "realised",
    "refund_converted",
    "refund_settled",
    "settled",
]

#: Where the platform's markup stands.
MARKUP = "fx_markup_revenue"


def converted(
    *,
    conversion_id: str,
    account: str,
    source_currency: str,
    source_minor: int,
    target_currency: str,
    mid_minor: int,
    target_minor: int,
    target_account: str | None = None,
    payment_id: str | None = None,
) -> Posting:
    """`account` (a liability, `type:owner`) gives `source_minor` and gets `target_minor`.

    `mid_minor` is the worth at the mid rate; what lies between the two is the markup. Raises
    `InputInvalid` where the customer would get more than that.
    """
    if target_minor > mid_minor:
        raise InputInvalid("The customer would get more than the amount is worth.")
    bought = f"fx_position:{target_currency}"
    return posting_of(
        (
            Move(account, f"fx_position:{source_currency}", source_minor, source_currency),
            Move(bought, target_account or account, target_minor, target_currency),
            Move(bought, MARKUP, mid_minor - target_minor, target_currency),
        ),
        transaction_id=f"{conversion_id}:converted",
        kind="fx.converted",
        payment_id=payment_id,
    )


def settled(
    *,
    settlement_id: str,
    gateway: str,
    source_currency: str,
    source_minor: int,
    target_currency: str,
    received_minor: int,
    bank: str = "main",
    into: str | None = None,
    payment_id: str | None = None,
) -> Posting:
    """The provider converted by its own rate: what it owed in one currency arrives in another.

    `into` is where it arrives, if not at the bank: what the provider then owes in the target.
    """
    return posting_of(
        (
            Move(
                f"fx_position:{source_currency}",
                f"psp_receivable:{gateway}",
                source_minor,
                source_currency,
            ),
            Move(
                into or f"bank:{bank}",
                f"fx_position:{target_currency}",
                received_minor,
                target_currency,
            ),
        ),
        transaction_id=f"{settlement_id}:settled",
        kind="psp.settled",
        payment_id=payment_id,
    )


def realised(
    *,
    settlement_id: str,
    currency: str,
    owed_minor: int,
    received_minor: int,
    payment_id: str | None = None,
) -> Posting | None:
    """Close the position by the gain or the loss; None where there is neither."""
    found = difference_of(owed_minor=owed_minor, received_minor=received_minor)
    if not found.gain and not found.loss:
        return None
    position = f"fx_position:{currency}"
    moves = (
        Move(position, "fx_gain", found.gain, currency),
        Move("fx_loss", position, found.loss, currency),
    )
    return posting_of(
        moves,
        transaction_id=f"{settlement_id}:realised",
        kind="fx.realised",
        payment_id=payment_id,
    )


def refund_converted(
    *,
    conversion_id: str,
    account: str,
    source_currency: str,
    source_minor: int,
    target_currency: str,
    target_minor: int,
) -> Posting:
    """The way back: `account` gives what it has in the target for the refund in the source."""
    return posting_of(
        (
            Move(f"fx_position:{source_currency}", account, source_minor, source_currency),
            Move(account, f"fx_position:{target_currency}", target_minor, target_currency),
        ),
        transaction_id=f"{conversion_id}:refund_converted",
        kind="fx.refund_converted",
    )


def refund_settled(
    *,
    settlement_id: str,
    gateway: str,
    source_currency: str,
    source_minor: int,
    target_currency: str,
    taken_minor: int,
) -> Posting:
    """The provider took a refund in one currency out of what it owes in another."""
    receivable = f"psp_receivable:{gateway}"
    return posting_of(
        (
            Move(receivable, f"fx_position:{source_currency}", source_minor, source_currency),
            Move(f"fx_position:{target_currency}", receivable, taken_minor, target_currency),
        ),
        transaction_id=f"{settlement_id}:settled",
        kind="psp.settled",
    )
