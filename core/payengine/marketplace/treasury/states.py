"""What does the news of a rail make of a payout?

A table, and pure. News that the table has no line for contradicts what is known: it is kept as
evidence and a person is asked, and no money moves because of it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "CANCELABLE",
    "FOLLOWS",
    "OPEN",
    "Finding",
    "Follow",
    "Money",
    "PayoutStatus",
    "follow",
]

#: `pending`: its money is taken, and it waits to be sent. `held`: a person must release it.
#: `sending`: it may have left. `unknown`: the rail has not said whether it has. `in_transit`: the
#: rail has it. `failed`: it did not arrive, and its money is back; `returned`: it had arrived.
PayoutStatus = Literal[
    "pending",
    "held",
    "sending",
    "unknown",
    "in_transit",
    "paid",
    "failed",
    "returned",
    "canceled",
]

#: What is learnt: a rail's word, or `not_sent` where "not found" is proof.
Finding = Literal["accepted", "paid", "failed", "returned", "not_sent", "unknown"]

#: `paid`: it left the bank. `back`: from its way to the balance; `back_from_bank`: after it had
#: left.
Money = Literal["paid", "back", "back_from_bank"]

#: Of these nothing was sent, so that they can be called off.
CANCELABLE: frozenset[PayoutStatus] = frozenset({"pending", "held"})

#: Of these nobody knows whether they left.
OPEN: frozenset[PayoutStatus] = frozenset({"sending", "unknown"})


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """The status that follows and what moves with it."""

    status: PayoutStatus
    money: Money | None = None


_IN_TRANSIT = Follow(status="in_transit")
_PAID = Follow(status="paid", money="paid")
_FAILED = Follow(status="failed", money="back")
_RETURNED = Follow(status="returned", money="back")
_CAME_BACK = Follow(status="returned", money="back_from_bank")

#: (status, finding) → what follows; itself where nothing is new. What is not listed contradicts.
FOLLOWS: dict[tuple[PayoutStatus, Finding], Follow] = {
    ("sending", "accepted"): _IN_TRANSIT,
    ("sending", "paid"): _PAID,
    ("sending", "failed"): _FAILED,
    ("sending", "returned"): _RETURNED,
    ("sending", "not_sent"): _FAILED,
    ("sending", "unknown"): Follow(status="unknown"),
    ("unknown", "accepted"): _IN_TRANSIT,
    ("unknown", "paid"): _PAID,
    ("unknown", "failed"): _FAILED,
    ("unknown", "returned"): _RETURNED,
    ("unknown", "not_sent"): _FAILED,
    ("unknown", "unknown"): Follow(status="unknown"),
    ("in_transit", "accepted"): _IN_TRANSIT,
    ("in_transit", "unknown"): _IN_TRANSIT,
    ("in_transit", "paid"): _PAID,
    ("in_transit", "failed"): _FAILED,
    ("in_transit", "returned"): _RETURNED,
    ("paid", "accepted"): Follow(status="paid"),
    ("paid", "unknown"): Follow(status="paid"),
    ("paid", "paid"): Follow(status="paid"),
    ("paid", "failed"): _CAME_BACK,
    ("paid", "returned"): _CAME_BACK,
    ("failed", "failed"): Follow(status="failed"),
    ("failed", "not_sent"): Follow(status="failed"),
    ("failed", "returned"): Follow(status="failed"),
    ("failed", "unknown"): Follow(status="failed"),
    ("returned", "failed"): Follow(status="returned"),
    ("returned", "returned"): Follow(status="returned"),
    ("returned", "unknown"): Follow(status="returned"),
}


def follow(status: PayoutStatus, finding: Finding) -> Follow | None:
    """What follows, or None where the finding contradicts what is known."""
    return FOLLOWS.get((status, finding))
