"""How is each step of a marketplace booked?

Pure: a step becomes one `Posting`, whose id derives from what the step belongs to, so that booking
it twice is booking it once. A share is what one owner gets or gives; shares of nothing are left
out, because a transfer moves something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from payengine.ledger import Posting
from payengine.ledger.moves import Move, posting_of

__all__ = [
    "PLATFORM",
    "Share",
    "captured_in_shares",
    "captured_to_escrow",
    "dispute_fee_in_shares",
    "dispute_fee_returned_in_shares",
    "dispute_lost_in_shares",
    "dispute_opened_in_shares",
    "dispute_won_in_shares",
    "escrow_account",
    "escrow_released",
    "payout_canceled",
    "payout_created",
    "payout_failed",
    "payout_fee",
    "payout_fee_returned",
    "payout_paid",
    "processor_fee_passed_on",
    "refund_failed_in_shares",
    "refund_in_shares",
    "reserve_held",
    "reserve_released",
    "transferred",
    "vendor_account",
]

#: Where the platform's own share stands.
PLATFORM = "platform_fee_revenue"


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units of one owner's account."""

    account: str
    amount_minor: int


def vendor_account(vendor: str) -> str:
    """What the platform owes a vendor."""
    return f"vendor_payable:{vendor}"


def escrow_account(escrow: str) -> str:
    """What is kept until a condition is met."""
    return f"escrow:{escrow}"


def captured_in_shares(
    *, operation_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """A capture that belongs to its owners at once."""
    receivable = f"psp_receivable:{gateway}"
    moves = ((receivable, share.account, share.amount_minor) for share in shares)
    return _booked(f"{operation_id}:captured", "payment.captured", currency, moves, payment_id)


def captured_to_escrow(
    *,
    operation_id: str,
    payment_id: str,
    gateway: str,
    currency: str,
    escrow: str,
    amount_minor: int,
) -> Posting:
    """A capture that is nobody's until the escrow is released."""
    share = Share(account=escrow_account(escrow), amount_minor=amount_minor)
    return captured_in_shares(
        operation_id=operation_id,
        payment_id=payment_id,
        gateway=gateway,
        currency=currency,
        shares=(share,),
    )


def escrow_released(
    *, release_id: str, payment_id: str, escrow: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """What was kept goes to its owners, all of it or a part."""
    held = escrow_account(escrow)
    moves = ((held, share.account, share.amount_minor) for share in shares)
    return _booked(f"{release_id}:released", "escrow.released", currency, moves, payment_id)


def refund_in_shares(
    *, operation_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """A refund is taken from its owners, or from escrow, and is on its way to the buyer."""
    transit = f"refunds_in_transit:{gateway}"
    moves = ((share.account, transit, share.amount_minor) for share in shares)
    return _booked(f"{operation_id}:refund_created", "refund.created", currency, moves, payment_id)


def refund_failed_in_shares(
    *, operation_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """A refund that was not paid returns to those it was taken from."""
    transit = f"refunds_in_transit:{gateway}"
    moves = ((transit, share.account, share.amount_minor) for share in shares)
    return _booked(f"{operation_id}:refund_failed", "refund.failed", currency, moves, payment_id)


def processor_fee_passed_on(
    *, operation_id: str, payment_id: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """Those who are to bear the processor's fee pay it to the platform, which paid it."""
    moves = ((share.account, "processor_fee_recovery", share.amount_minor) for share in shares)
    return _booked(f"{operation_id}:fee_passed_on", "processor.fee", currency, moves, payment_id)


def dispute_opened_in_shares(
    *, dispute_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """The gateway takes the disputed amount back, and it is set aside from each liable owner."""
    total = sum(share.amount_minor for share in shares)
    moves = [
        (f"dispute_receivable:{gateway}", f"psp_receivable:{gateway}", total),
        *((share.account, _set_aside(share), share.amount_minor) for share in shares),
    ]
    return _booked(f"{dispute_id}:opened", "dispute.opened", currency, moves, payment_id)


def dispute_fee_in_shares(
    *, dispute_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """The gateway's fee for a dispute, passed on to the liable owners."""
    total = sum(share.amount_minor for share in shares)
    moves = [
        (f"dispute_fees:{gateway}", f"psp_receivable:{gateway}", total),
        *((share.account, "dispute_fee_recovery", share.amount_minor) for share in shares),
    ]
    return _booked(f"{dispute_id}:fee", "dispute.fee", currency, moves, payment_id)


def dispute_fee_returned_in_shares(
    *, dispute_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """The scheme returns the fee of a dispute that was won."""
    total = sum(share.amount_minor for share in shares)
    moves = [
        (f"psp_receivable:{gateway}", f"dispute_fees:{gateway}", total),
        *(("dispute_fee_recovery", share.account, share.amount_minor) for share in shares),
    ]
    return _booked(
        f"{dispute_id}:fee_returned", "dispute.fee_returned", currency, moves, payment_id
    )


def dispute_won_in_shares(
    *, dispute_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """The amount comes back, and to those from whom it was set aside."""
    total = sum(share.amount_minor for share in shares)
    moves = [
        (f"psp_receivable:{gateway}", f"dispute_receivable:{gateway}", total),
        *((_set_aside(share), share.account, share.amount_minor) for share in shares),
    ]
    return _booked(f"{dispute_id}:won", "dispute.won", currency, moves, payment_id)


def dispute_lost_in_shares(
    *, dispute_id: str, payment_id: str, gateway: str, currency: str, shares: Sequence[Share]
) -> Posting:
    """What was set aside is gone."""
    gone = f"dispute_receivable:{gateway}"
    moves = ((_set_aside(share), gone, share.amount_minor) for share in shares)
    return _booked(f"{dispute_id}:lost", "dispute.lost", currency, moves, payment_id)


def _set_aside(share: Share) -> str:
    """`dispute_hold` of the account's owner; the platform's own money has no owner in its name."""
    return f"dispute_hold:{share.account.partition(':')[2] or 'platform'}"


def reserve_held(*, sale_id: str, vendor: str, currency: str, amount_minor: int) -> Posting:
    """A part of a sale is kept back."""
    moves = ((vendor_account(vendor), f"reserve:{vendor}", amount_minor),)
    return _booked(f"{sale_id}:reserve_held", "reserve.held", currency, moves)


def reserve_released(*, sale_id: str, vendor: str, currency: str, amount_minor: int) -> Posting:
    """What was kept back of a sale returns."""
    moves = ((f"reserve:{vendor}", vendor_account(vendor), amount_minor),)
    return _booked(f"{sale_id}:reserve_released", "reserve.released", currency, moves)


def transferred(
    *, transfer_id: str, source: str, target: str, currency: str, amount_minor: int
) -> Posting:
    """Money moves between two accounts, named `type:owner`; to be posted strictly."""
    moves = ((source, target, amount_minor),)
    return _booked(f"{transfer_id}:transferred", "transfer.created", currency, moves)


def payout_created(*, payout_id: str, vendor: str, currency: str, amount_minor: int) -> Posting:
    """A payout leaves the balance; to be posted strictly."""
    moves = ((vendor_account(vendor), f"payouts_in_transit:{vendor}", amount_minor),)
    return _booked(f"{payout_id}:created", "payout.created", currency, moves)


def payout_canceled(*, payout_id: str, vendor: str, currency: str, amount_minor: int) -> Posting:
    """A payout that was never sent returns to the balance."""
    moves = ((f"payouts_in_transit:{vendor}", vendor_account(vendor), amount_minor),)
    return _booked(f"{payout_id}:canceled", "payout.canceled", currency, moves)


def payout_paid(
    *, payout_id: str, vendor: str, currency: str, amount_minor: int, paid_from: str = "bank:main"
) -> Posting:
    """A payout arrived: it is gone from our bank, or from what a provider keeps for us."""
    moves = ((f"payouts_in_transit:{vendor}", paid_from, amount_minor),)
    return _booked(f"{payout_id}:paid", "payout.paid", currency, moves)


def payout_failed(
    *,
    payout_id: str,
    vendor: str,
    currency: str,
    amount_minor: int,
    paid_from: str = "bank:main",
    after_paid: bool = False,
) -> Posting:
    """A payout returns to the balance; `after_paid` from the bank, else from its way there."""
    source = paid_from if after_paid else f"payouts_in_transit:{vendor}"
    moves = ((source, vendor_account(vendor), amount_minor),)
    return _booked(f"{payout_id}:failed", "payout.failed", currency, moves)


def payout_fee(*, payout_id: str, vendor: str, currency: str, amount_minor: int) -> Posting:
    """The platform's fee for a payout."""
    moves = ((vendor_account(vendor), PLATFORM, amount_minor),)
    return _booked(f"{payout_id}:fee", "payout.fee", currency, moves)


def payout_fee_returned(
    *, payout_id: str, vendor: str, currency: str, amount_minor: int
) -> Posting:
    """The payout did not arrive: its fee returns, and whatever is tried next bears its own."""
    moves = ((PLATFORM, vendor_account(vendor), amount_minor),)
    return _booked(f"{payout_id}:fee_returned", "payout.fee_returned", currency, moves)


def _booked(
    transaction_id: str,
    kind: str,
    currency: str,
    moves: Iterable[tuple[str, str, int]],
    payment_id: str | None = None,
) -> Posting:
    """One transfer of the currency for each (debited, credited, minor units)."""
    return posting_of(
        (Move(*move, currency) for move in moves),
        transaction_id=transaction_id,
        kind=kind,
        payment_id=payment_id,
    )
