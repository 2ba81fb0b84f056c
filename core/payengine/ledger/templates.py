"""How is each step of a payment booked?

Pure: the arguments of a step become one `Posting`, whose id derives from the operation's (or the
dispute's), so that booking a step twice is booking it once. A hold may consist of several pending
transfers, the first authorization and its increments: the templates take those still open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from payengine.ledger.holds import post_of_holds, release_of_holds
from payengine.ledger.transfers import HoldLine, Posting, Transfer, check_posting

__all__ = [
    "authorized",
    "captured",
    "captured_from_hold",
    "dispute_fee",
    "dispute_fee_returned",
    "dispute_lost",
    "dispute_opened",
    "dispute_reopened",
    "dispute_won",
    "expired",
    "incremented",
    "processor_fee",
    "refund_created",
    "refund_failed",
    "refund_reopened",
    "refund_succeeded",
    "voided",
]

_MAIN = "main"


def authorized(
    *,
    operation_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """Reserve what the gateway promised: pending from `merchant_payable` to `psp_receivable`."""
    return _moved(
        f"{operation_id}:authorized",
        kind="payment.authorized",
        payment_id=payment_id,
        pairs=((f"psp_receivable:{gateway}", f"merchant_payable:{merchant}"),),
        amount=(amount_minor, currency),
        phase="pending",
    )


def incremented(
    *,
    operation_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """Reserve `amount_minor` more, as a further pending transfer."""
    return _moved(
        f"{operation_id}:incremented",
        kind="payment.incremented",
        payment_id=payment_id,
        pairs=((f"psp_receivable:{gateway}", f"merchant_payable:{merchant}"),),
        amount=(amount_minor, currency),
        phase="pending",
    )


def captured(
    *,
    operation_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """Book a charge that had no hold: posted at once."""
    return _moved(
        f"{operation_id}:captured",
        kind="payment.captured",
        payment_id=payment_id,
        pairs=((f"psp_receivable:{gateway}", f"merchant_payable:{merchant}"),),
        amount=(amount_minor, currency),
    )


def captured_from_hold(
    *,
    operation_id: str,
    payment_id: str,
    holds: Sequence[HoldLine],
    amount_minor: int,
    final: bool = True,
    record_excess: bool = False,
) -> Posting:
    """Post `amount_minor` of the open `holds`, the earlier ones first.

    `final` releases the rest; otherwise what is left of the last hold touched is reserved anew and
    later holds stay as they are. Raises `HoldAlreadyResolved` where nothing is open and
    `CaptureExceedsAuthorized` above the sum; `record_excess` books a fact instead: what exceeds
    the holds is posted without one.
    """
    transfers = post_of_holds(holds, amount_minor, final=final, record_excess=record_excess)
    return _checked(
        f"{operation_id}:captured",
        kind="payment.captured",
        payment_id=payment_id,
        transfers=transfers,
    )


def voided(
    *,
    operation_id: str,
    payment_id: str,
    holds: Sequence[HoldLine],
    amount_minor: int | None = None,
) -> Posting:
    """Release the open `holds`, or `amount_minor` of them; raises as `captured_from_hold` does."""
    return _checked(
        f"{operation_id}:voided",
        kind="payment.voided",
        payment_id=payment_id,
        transfers=release_of_holds(holds, amount_minor),
    )


def expired(*, operation_id: str, payment_id: str, holds: Sequence[HoldLine]) -> Posting:
    """Release every open hold because its time is over."""
    return _checked(
        f"{operation_id}:expired",
        kind="payment.expired",
        payment_id=payment_id,
        transfers=release_of_holds(holds, None),
    )


def refund_created(
    *,
    operation_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """Take a refund from the merchant; it is on its way until the gateway has paid it."""
    return _moved(
        f"{operation_id}:refund_created",
        kind="refund.created",
        payment_id=payment_id,
        pairs=((f"merchant_payable:{merchant}", f"refunds_in_transit:{gateway}"),),
        amount=(amount_minor, currency),
    )


def refund_succeeded(
    *, operation_id: str, payment_id: str, gateway: str, amount_minor: int, currency: str
) -> Posting:
    """The gateway paid the refund: it owes us that much less."""
    return _moved(
        f"{operation_id}:refund_succeeded",
        kind="refund.succeeded",
        payment_id=payment_id,
        pairs=((f"refunds_in_transit:{gateway}", f"psp_receivable:{gateway}"),),
        amount=(amount_minor, currency),
    )


def refund_failed(
    *,
    operation_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """Give a refund that was not paid back to the merchant."""
    return _moved(
        f"{operation_id}:refund_failed",
        kind="refund.failed",
        payment_id=payment_id,
        pairs=((f"refunds_in_transit:{gateway}", f"merchant_payable:{merchant}"),),
        amount=(amount_minor, currency),
    )


def refund_reopened(
    *,
    operation_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """A refund booked as failed was paid after all: take it from the merchant again.

    To be written together with `refund_succeeded`.
    """
    return _moved(
        f"{operation_id}:refund_reopened",
        kind="refund.reopened",
        payment_id=payment_id,
        pairs=((f"merchant_payable:{merchant}", f"refunds_in_transit:{gateway}"),),
        amount=(amount_minor, currency),
    )


def processor_fee(
    *, operation_id: str, payment_id: str, gateway: str, amount_minor: int, currency: str
) -> Posting:
    """The gateway keeps its fee of what it owes us."""
    return _moved(
        f"{operation_id}:fee",
        kind="processor.fee",
        payment_id=payment_id,
        pairs=((f"processor_fees:{gateway}", f"psp_receivable:{gateway}"),),
        amount=(amount_minor, currency),
    )


def dispute_opened(
    *,
    dispute_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """The gateway takes the disputed amount back, and we set it aside from the merchant's."""
    return _moved(
        f"{dispute_id}:opened",
        kind="dispute.opened",
        payment_id=payment_id,
        pairs=(
            (f"dispute_receivable:{gateway}", f"psp_receivable:{gateway}"),
            (f"merchant_payable:{merchant}", f"dispute_hold:{merchant}"),
        ),
        amount=(amount_minor, currency),
    )


def dispute_reopened(
    *,
    dispute_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """A dispute booked as won is lost after all: the amount is taken and set aside once more.

    To be written together with `dispute_lost`.
    """
    return _moved(
        f"{dispute_id}:reopened",
        kind="dispute.reopened",
        payment_id=payment_id,
        pairs=(
            (f"dispute_receivable:{gateway}", f"psp_receivable:{gateway}"),
            (f"merchant_payable:{merchant}", f"dispute_hold:{merchant}"),
        ),
        amount=(amount_minor, currency),
    )


def dispute_fee(
    *,
    dispute_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """The gateway's fee for a dispute, passed on to the merchant."""
    return _moved(
        f"{dispute_id}:fee",
        kind="dispute.fee",
        payment_id=payment_id,
        pairs=(
            (f"dispute_fees:{gateway}", f"psp_receivable:{gateway}"),
            (f"merchant_payable:{merchant}", "dispute_fee_recovery"),
        ),
        amount=(amount_minor, currency),
    )


def dispute_fee_returned(
    *,
    dispute_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """The scheme returns the fee of a dispute that was won: the mirror image of the fee."""
    return _moved(
        f"{dispute_id}:fee_returned",
        kind="dispute.fee_returned",
        payment_id=payment_id,
        pairs=(
            (f"psp_receivable:{gateway}", f"dispute_fees:{gateway}"),
            ("dispute_fee_recovery", f"merchant_payable:{merchant}"),
        ),
        amount=(amount_minor, currency),
    )


def dispute_lost(
    *,
    dispute_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """What was set aside is gone."""
    return _moved(
        f"{dispute_id}:lost",
        kind="dispute.lost",
        payment_id=payment_id,
        pairs=((f"dispute_hold:{merchant}", f"dispute_receivable:{gateway}"),),
        amount=(amount_minor, currency),
    )


def dispute_won(
    *,
    dispute_id: str,
    payment_id: str,
    gateway: str,
    amount_minor: int,
    currency: str,
    merchant: str = _MAIN,
) -> Posting:
    """The amount comes back from the gateway, and to the merchant."""
    return _moved(
        f"{dispute_id}:won",
        kind="dispute.won",
        payment_id=payment_id,
        pairs=(
            (f"psp_receivable:{gateway}", f"dispute_receivable:{gateway}"),
            (f"dispute_hold:{merchant}", f"merchant_payable:{merchant}"),
        ),
        amount=(amount_minor, currency),
    )


def _moved(
    transaction_id: str,
    *,
    kind: str,
    payment_id: str,
    pairs: Sequence[tuple[str, str]],
    amount: tuple[int, str],
    phase: Literal["posted", "pending"] = "posted",
) -> Posting:
    """One transfer of the same amount for each pair (account debited, account credited)."""
    amount_minor, currency = amount
    transfers = tuple(
        Transfer(
            debit_account=debited,
            credit_account=credited,
            amount_minor=amount_minor,
            currency=currency,
            phase=phase,
        )
        for debited, credited in pairs
    )
    return _checked(transaction_id, kind=kind, payment_id=payment_id, transfers=transfers)


def _checked(
    transaction_id: str, *, kind: str, payment_id: str, transfers: tuple[Transfer, ...]
) -> Posting:
    posting = Posting(
        transaction_id=transaction_id, kind=kind, transfers=transfers, payment_id=payment_id
    )
    check_posting(posting)
    return posting
