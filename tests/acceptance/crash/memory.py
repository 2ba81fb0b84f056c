"""What were the clients told?

The harness's own ledger, kept apart from the program: every answer that somebody got is a promise
that must still hold at the end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FINAL", "Bought", "Memory", "Shop", "amount_of", "number_of"]

#: The statuses of an operation after which nothing is awaited any more.
FINAL = frozenset({"SUCCEEDED", "DECLINED", "NOT_SENT", "CANCELED", "EXPIRED"})
#: A payment's amounts are multiples of its own step, STEP and its number, so that each line of the
#: provider's books tells by itself to which payment it belongs. There may be 199,999 of a shop's.
STEP = 1_000_000


def amount_of(number: int, *, steps: int) -> int:
    """The amount of `steps` steps, 1 to 5, of the payment with this number."""
    return steps * (STEP + number)


def number_of(amount_minor: int) -> int:
    """The number of the payment that an amount belongs to; -1 where it is no payment's."""
    steps, rest = divmod(amount_minor, STEP)
    return rest // steps if 0 < steps <= 5 and rest % steps == 0 else -1


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A tenant, and the key by which it asks."""

    tenant_id: str
    api_key: str
    currency: str


@dataclass
class Bought:
    """What the clients were told of one payment: `operations` by id, with their status."""

    shop: Shop
    number: int
    given: Mapping[str, Any]
    payment_id: str = ""
    is_done: bool = False
    operations: dict[str, str] = field(default_factory=dict)
    #: When each operation's status was told, by the monotonic clock.
    told_at: dict[str, float] = field(default_factory=dict)


class Memory:
    """All payments of one lane, and what must never be seen."""

    def __init__(self) -> None:
        self.bought: list[Bought] = []
        self.answers = 0
        self.severed = 0
        #: What else somebody was told of, by id: subscriptions and payouts.
        self.made: dict[str, Shop] = {}
        #: Contradictions that somebody was told: lost or doubled, in words.
        self.lost: list[str] = []
        self.surprises: list[str] = []

    def told(self, bought: Bought, payment: Mapping[str, Any], *, asked_at: float) -> None:
        """A client that asked at `asked_at` was told this of a payment.

        Only what had been told before that can be contradicted: answers overtake each other.
        """
        self.answers += 1
        if bought.payment_id and bought.payment_id != payment["id"]:
            self.lost.append(f"{bought.payment_id}: the same key now names {payment['id']}")
        bought.payment_id = payment["id"]
        now = {each["id"]: each["status"] for each in payment["operations"]}
        for name, before in list(bought.operations.items()):
            if bought.told_at[name] > asked_at:
                now.pop(name, None)
            elif name not in now:
                self.lost.append(f"{payment['id']}: {name} is gone")
            elif before in FINAL and now[name] != before:
                self.lost.append(f"{name}: it was {before} and is {now[name]}")
        bought.operations |= now
        bought.told_at |= dict.fromkeys(now, time.monotonic())

    @property
    def payments(self) -> int:
        """How many payments somebody was told of."""
        return sum(bool(bought.payment_id) for bought in self.bought)

    def made_for(self, shop: Shop) -> list[str]:
        """The subscriptions and payouts that this shop was told of."""
        return [name for name, owner in self.made.items() if owner == shop]
