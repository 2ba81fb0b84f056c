"""How is a payment to be divided, as the platform said it?

Either shares (fixed, a percentage, the rest), or a vendor from whom the platform keeps the agreed
commission. Pure: what cannot be meant is refused before any row is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec

from payengine.errors import InputInvalid, SplitExceedsAmount, SplitNotExhaustive
from payengine.marketplace.commission import CommissionRule, commission
from payengine.marketplace.disputes import FeeBearer, Liability
from payengine.marketplace.escrow import Condition, milestone_amounts
from payengine.marketplace.splits import BPS, MAX_PARTS, FeePolicy, SplitPart, divide
from payengine.texts import check_id, check_text

__all__ = [
    "MAX_ESCROW_DAYS",
    "EscrowInput",
    "ShareInput",
    "SplitInput",
    "check_escrow",
    "check_shares",
    "check_split",
    "share_amounts",
]

#: The longest inspection, and the longest time after which an escrow is released by itself.
MAX_ESCROW_DAYS = 3_650

_MOST_MILESTONES = 50
_MAX_NAME = 255

#: Where a payment's input has its shares, and where that of a capture or a refund has them.
_OF_PAYMENT = ("split", "shares")
_OF_OPERATION = ("shares",)


class ShareInput(msgspec.Struct, frozen=True, kw_only=True):
    """One owner's part: exactly one of minor units, basis points of the whole, and the rest.

    `account_id` None: the platform's own.
    """

    account_id: str | None = None
    amount_minor: int | None = None
    percent_bps: int | None = None
    remainder: bool = False


class EscrowInput(msgspec.Struct, frozen=True, kw_only=True):
    """Keep what is captured until all conditions are met, or the timeout has run out.

    `milestones_bps`: with the condition `milestone`, what each of them pays of the whole.
    """

    conditions: tuple[Condition, ...] = ()
    inspection_days: int = 0
    timeout_days: int | None = None
    milestones_bps: tuple[int, ...] = ()


class SplitInput(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of `shares` and `vendor_id`.

    `commission` is agreed for this payment alone; without it the rule of `product`, `category`,
    the vendor or the tenant holds, in this order. `base_minor` is what the percentage is taken of.
    """

    shares: tuple[ShareInput, ...] = ()
    vendor_id: str | None = None
    product: str | None = None
    category: str | None = None
    commission: CommissionRule | None = None
    base_minor: int | None = None
    fee_policy: FeePolicy = "proportional"
    liability: Liability = "split_ratio"
    fee_bearer: FeeBearer = "platform"
    escrow: EscrowInput | None = None


def check_split(split: SplitInput, amount_minor: int) -> None:
    """Refuse what cannot be meant for a payment of this amount.

    Raises `InputInvalid`, `SplitExceedsAmount` and `SplitNotExhaustive`.
    """
    if bool(split.shares) == (split.vendor_id is not None):
        raise InputInvalid("Give exactly one of shares and vendorId.", path=("split",))
    for policy, known in (
        (split.fee_policy, FeePolicy),
        (split.liability, Liability),
        (split.fee_bearer, FeeBearer),
    ):
        if policy not in get_args(known):
            raise InputInvalid("There is no such policy.", path=("split",))
    if split.vendor_id is not None:
        _check_vendor(split, amount_minor)
    else:
        _check_shared(split, amount_minor)
    if split.escrow is not None:
        check_escrow(split.escrow)


def _check_vendor(split: SplitInput, amount_minor: int) -> None:
    check_id(split.vendor_id or "", "acc", field="split")
    check_text(split.product, field="split", most=_MAX_NAME)
    check_text(split.category, field="split", most=_MAX_NAME)
    if split.base_minor is not None and not 0 <= split.base_minor <= amount_minor:
        raise InputInvalid("The base of a commission is 0 to the amount.", path=("split",))
    if split.commission is not None:
        commission(amount_minor, split.commission, base_minor=0)


def _check_shared(split: SplitInput, amount_minor: int) -> None:
    if split.commission is not None or split.product or split.category or split.base_minor:
        raise InputInvalid("A commission goes with vendorId, not with shares.", path=("split",))
    check_shares(split.shares, path=_OF_PAYMENT)
    share_amounts(split.shares, amount_minor, path=_OF_PAYMENT)
    owners = {share.account_id for share in split.shares}
    if None not in owners and (split.liability == "platform" or split.fee_policy == "keep"):
        raise InputInvalid("The platform has no part in this split.", path=("split",))
    if owners == {None} and "vendor" in (split.liability, split.fee_bearer):
        raise InputInvalid("No vendor has a part in this split.", path=("split",))


def check_shares(shares: Sequence[ShareInput], *, path: tuple[str, ...] = _OF_OPERATION) -> None:
    """Refuse shares of which nobody can tell whose they are, or how much.

    `path` is where the input has them. Raises `InputInvalid`, which names the share.
    """
    if not 0 < len(shares) <= MAX_PARTS:
        raise InputInvalid(f"A split has 1 to {MAX_PARTS} shares.", path=path)
    known: set[str | None] = set()
    for number, share in enumerate(shares):
        at = (*path, str(number))
        if share.account_id is not None:
            check_id(share.account_id, "acc", field="split")
        if share.account_id in known:
            raise InputInvalid("An owner has one share of a split.", path=(*at, "accountId"))
        known.add(share.account_id)
        ways = (share.amount_minor is not None) + (share.percent_bps is not None)
        if ways + share.remainder != 1:
            raise InputInvalid("A share is an amount, a percentage or the remainder.", path=at)
        if share.percent_bps is not None and not 0 <= share.percent_bps <= BPS:
            raise InputInvalid(
                f"A percentage is 0 to {BPS:,} basis points.", path=(*at, "percentBps")
            )
        if (share.amount_minor or 0) < 0:
            raise InputInvalid("A share is not below zero.", path=(*at, "amountMinor"))
    if sum(share.remainder for share in shares) > 1:
        last = max(number for number, share in enumerate(shares) if share.remainder)
        raise InputInvalid(
            "At most one share takes the remainder.", path=(*path, str(last), "remainder")
        )


def share_amounts(
    shares: Sequence[ShareInput], amount_minor: int, *, path: tuple[str, ...] = _OF_OPERATION
) -> list[int]:
    """The minor units of each share; raises as `payengine.marketplace.splits.divide` does.

    The error says by how much they miss the amount, and names the first share that is too much.
    """
    parts = [
        SplitPart(
            to=share.account_id or "platform",
            fixed=share.amount_minor,
            percent_bps=share.percent_bps,
            remainder=share.remainder,
        )
        for share in shares
    ]
    try:
        return divide(amount_minor, parts)
    except SplitExceedsAmount:
        number, exact = _first_beyond(parts, amount_minor)
        come = f"come to {exact} minor units" if exact > amount_minor else "are rounded to more"
        raise SplitExceedsAmount(
            f"The shares up to this one {come}, of an amount of {amount_minor}.",
            path=(*path, str(number)),
        ) from None
    except SplitNotExhaustive:
        _, exact = _first_beyond(parts, amount_minor)
        raise SplitNotExhaustive(
            f"The shares come to {exact} of {amount_minor} minor units: let one take the rest.",
            path=path,
        ) from None


def _first_beyond(parts: Sequence[SplitPart], amount_minor: int) -> tuple[int, int]:
    """The first part up to which they exceed the amount, else the last, and their sum there."""
    exact = 0
    for number, part in enumerate(parts):
        exact += (part.fixed or 0) * BPS + (part.percent_bps or 0) * amount_minor
        if exact > amount_minor * BPS:
            return number, -(-exact // BPS)
    return len(parts) - 1, exact // BPS


def check_escrow(terms: EscrowInput) -> None:
    """Refuse terms under which nothing could ever be released; raises `InputInvalid`."""
    if any(each not in get_args(Condition) for each in terms.conditions):
        raise InputInvalid("There is no such condition.", path=("split", "escrow"))
    if len(set(terms.conditions)) < len(terms.conditions):
        raise InputInvalid("A condition is named once.", path=("split", "escrow"))
    if not terms.conditions and terms.timeout_days is None:
        raise InputInvalid(
            "An escrow needs a condition or a timeout.", path=("split", "escrow", "conditions")
        )
    for days in (terms.inspection_days, terms.timeout_days or 0):
        if not 0 <= days <= MAX_ESCROW_DAYS:
            raise InputInvalid(f"0 to {MAX_ESCROW_DAYS} days.", path=("split", "escrow"))
    if terms.milestones_bps:
        if "milestone" not in terms.conditions or len(terms.conditions) > 1:
            raise InputInvalid(
                "Milestones go with the condition milestone and no other.",
                path=("split", "escrow", "milestonesBps"),
            )
        if len(terms.milestones_bps) > _MOST_MILESTONES or min(terms.milestones_bps) <= 0:
            raise InputInvalid(
                f"1 to {_MOST_MILESTONES} milestones of more than nothing.",
                path=("split", "escrow", "milestonesBps"),
            )
        milestone_amounts(1, terms.milestones_bps)
