"""How does a reservation end?

A pending transfer ends once: it is posted up to its amount or voided. What shall stay reserved
after a part was taken is reserved anew by a further pending transfer of the same posting.
"""

from __future__ import annotations

from collections.abc import Sequence

from payengine.errors import (
    CaptureExceedsAuthorized,
    HoldAlreadyResolved,
    LedgerAmountNotPositive,
)
from payengine.ledger.transfers import HoldLine, Phase, Transfer

__all__ = ["post_of_holds", "release_of_holds", "resolve_holds"]


def post_of_holds(
    holds: Sequence[HoldLine], amount_minor: int, *, final: bool, record_excess: bool
) -> tuple[Transfer, ...]:
    """Post `amount_minor` of the open holds, the earlier ones first.

    `final` voids the rest; otherwise what is left of the last hold touched is reserved anew and
    later holds stay. Raises `HoldAlreadyResolved` where none is open and `CaptureExceedsAuthorized`
    above their sum; with `record_excess` the excess is posted without a hold.
    """
    _check(holds, amount_minor)
    transfers: list[Transfer] = []
    left = amount_minor
    for hold in holds:
        moved = min(left, hold.amount_minor)
        left -= moved
        if moved:
            transfers.append(_of(hold, phase="post", amount_minor=moved))
            if moved < hold.amount_minor and not final:
                rest = hold.amount_minor - moved
                transfers.append(_of(hold, phase="pending", amount_minor=rest))
        elif final:
            transfers.append(_of(hold, phase="void", amount_minor=hold.amount_minor))
    if left:
        if not record_excess:
            raise CaptureExceedsAuthorized
        transfers.append(_of(holds[-1], phase="posted", amount_minor=left))
    return tuple(transfers)


def release_of_holds(holds: Sequence[HoldLine], amount_minor: int | None) -> tuple[Transfer, ...]:
    """Void `amount_minor` of the open holds, the later ones first; None voids them all.

    Raises `HoldAlreadyResolved` where none is open, `CaptureExceedsAuthorized` above their sum.
    """
    held = sum(hold.amount_minor for hold in holds)
    left = held if amount_minor is None else amount_minor
    _check(holds, left)
    if left > held:
        raise CaptureExceedsAuthorized("More would be released than is held.")
    transfers: list[Transfer] = []
    for hold in reversed(holds):
        if not left:
            break
        moved = min(left, hold.amount_minor)
        left -= moved
        transfers.append(_of(hold, phase="void", amount_minor=hold.amount_minor))
        if moved < hold.amount_minor:
            rest = hold.amount_minor - moved
            transfers.append(_of(hold, phase="pending", amount_minor=rest))
    return tuple(transfers)


def resolve_holds(
    holds: Sequence[HoldLine], *, posted: Sequence[Transfer] = ()
) -> tuple[Transfer, ...]:
    """End every one of `holds` so that exactly `posted` has moved.

    A hold between the same two accounts is posted up to its amount, any other is voided, and what
    no hold covers is posted without one. Raises `HoldAlreadyResolved` where there is no hold.
    """
    if not holds:
        raise HoldAlreadyResolved
    wanted: dict[tuple[str, str, str], int] = {}
    for transfer in posted:
        key = (transfer.debit_account, transfer.credit_account, transfer.currency)
        wanted[key] = wanted.get(key, 0) + transfer.amount_minor
    transfers: list[Transfer] = []
    for hold in holds:
        key = (hold.debit_account, hold.credit_account, hold.currency)
        moved = min(wanted.get(key, 0), hold.amount_minor)
        if moved:
            wanted[key] -= moved
            transfers.append(_of(hold, phase="post", amount_minor=moved))
        else:
            transfers.append(_of(hold, phase="void", amount_minor=hold.amount_minor))
    for (debited, credited, code), amount in wanted.items():
        if amount:
            transfers.append(
                Transfer(
                    debit_account=debited,
                    credit_account=credited,
                    amount_minor=amount,
                    currency=code,
                )
            )
    return tuple(transfers)


def _check(holds: Sequence[HoldLine], amount_minor: int) -> None:
    if not holds:
        raise HoldAlreadyResolved
    if amount_minor <= 0:
        raise LedgerAmountNotPositive


def _of(hold: HoldLine, *, phase: Phase, amount_minor: int) -> Transfer:
    ends = phase in ("post", "void")
    return Transfer(
        debit_account=hold.debit_account,
        credit_account=hold.credit_account,
        amount_minor=amount_minor,
        currency=hold.currency,
        phase=phase,
        pending=(hold.transaction_id, hold.line) if ends else None,
    )
