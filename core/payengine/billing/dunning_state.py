"""What is known of an invoice in collection, and when is something due next?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from payengine.billing.dunning_policy import FIRST_PAYMENT_WINDOW, DunningPolicy
from payengine.billing.dunning_words import (
    Access,
    CollectionKind,
    CollectionPhase,
    SubscriptionStanding,
    Trigger,
)
from payengine.plugin.declines import DeclineClass

__all__ = [
    "ENDED",
    "OUT",
    "DunningState",
    "charge_key",
    "deadline_of",
    "may_lose_access",
    "next_due",
    "subscription_standing",
]

#: The phases in which the answer to a charge is awaited.
OUT: frozenset[CollectionPhase] = frozenset({"charging", "unknown"})

#: The phases after which nothing is charged any more.
ENDED: frozenset[CollectionPhase] = frozenset({"settled", "canceled", "expired"})


class DunningState(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one invoice in collection.

    `charge` numbers the charges from 0; `trigger` says why the last one was made. `attempts` counts
    the failures that count: neither technical ones nor unknown outcomes. `technical_retries` are
    those of the present attempt. `attempt_at` is when the next charge is due. `stopped_by` is the
    decline that ended the automatic attempts on the present method. `asked` remembers a customer
    who acted while a charge was out. `other_methods` are saved methods not yet tried. `paid_by`
    are the charges that took money: one, if all is well.
    """

    kind: CollectionKind
    policy: DunningPolicy
    t0: datetime
    phase: CollectionPhase
    subscription: SubscriptionStanding
    access: Access
    invoice: Literal["open", "paid", "void", "uncollectible"] = "open"
    charge: int = 0
    trigger: Trigger
    attempts: int = 0
    technical_retries: int = 0
    attempt_at: datetime | None = None
    stopped_by: DeclineClass | None = None
    asked: Trigger | None = None
    asked_method: str | None = None
    method: str | None = None
    other_methods: tuple[str, ...] = ()
    avoid_gateways: tuple[str, ...] = ()
    paid_by: tuple[int, ...] = ()
    is_final: bool = False
    access_suspended_at: datetime | None = None
    ended_at: datetime | None = None


def deadline_of(state: DunningState) -> datetime:
    """When the final action runs, unless a charge is out at that instant."""
    if state.kind == "first":
        return state.t0 + FIRST_PAYMENT_WINDOW
    return state.policy.deadline(state.t0)


def next_due(state: DunningState) -> datetime | None:
    """When `TimeCame` will do something next; `None` while only an answer or a person can."""
    if state.phase in OUT or state.phase in ENDED:
        return None
    times = []
    if state.attempt_at is not None:
        times.append(state.attempt_at)
    if not state.is_final:
        times.append(max(deadline_of(state), state.attempt_at or deadline_of(state)))
    if may_lose_access(state):
        times.append(state.policy.grace_ends(state.t0))
    return min(times, default=None)


def charge_key(invoice_id: str, charge: int) -> str:
    """The idempotency key of the payment behind a charge: `inv_…_a0`."""
    return f"{invoice_id}_a{charge}"


def subscription_standing(states: Sequence[DunningState]) -> SubscriptionStanding:
    """The standing of a subscription by all of its invoices in collection: the worst one counts.

    It is active only when none of them is left unpaid.
    """
    standings = {state.subscription for state in states if state.invoice == "open"}
    standings |= {
        state.subscription
        for state in states
        if state.subscription in ("canceled", "incomplete_expired")
    }
    worst: tuple[SubscriptionStanding, ...] = (
        "canceled",
        "incomplete_expired",
        "unpaid",
        "past_due",
        "incomplete",
    )
    return next((each for each in worst if each in standings), "active")


def may_lose_access(state: DunningState) -> bool:
    """Whether the end of the grace takes the access away."""
    return state.access == "granted" and state.subscription in ("past_due", "unpaid")
