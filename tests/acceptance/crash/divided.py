"""Is what was paid divided once, and paid out at most once?

Pure: a market's rows, the provider's movements and the rail's book become figures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.crash.memory import Shop

__all__ = ["DIVIDED", "Divided", "DividedBooks", "reckon_shares"]

#: What is read of a market: the name of the rows → the statement.
DIVIDED = {
    "operations": """
        SELECT operation.id FROM operation JOIN payment_split USING (tenant_id, payment_id)
        WHERE tenant_id = $1
    """,
    "steps": """
        SELECT operation_id, phase, amount_minor, refundable, moved FROM split_step
        WHERE tenant_id = $1
    """,
    "payouts": """
        SELECT id, account_id, amount_minor, currency, status FROM payout WHERE tenant_id = $1
    """,
}
_PHASES = {"authorize": "captured", "capture": "captured", "refund": "refunded"}
_TELLS = frozenset({"payout.created", "payout.failed", "payout.paid", "payout.returned"})
_BACK = frozenset({"canceled", "failed", "returned"})
_GONE = frozenset({"accepted", "paid"})


@dataclass(frozen=True, kw_only=True)
class DividedBooks:
    """A market's, at the end.

    `orders` are the rail's, each with key, amount_minor and status; `owed` is what the ledger says
    that vendors have, by account; `told` counts the events by type and what they are about.
    """

    shop: Shop
    operations: Sequence[Any]
    steps: Sequence[Any]
    payouts: Sequence[Any]
    orders: Sequence[Any]
    owed: Mapping[str, int]
    movements: Sequence[dict[str, Any]]
    told: Counter[tuple[str, str]]


@dataclass(kw_only=True)
class Divided:
    """What is wrong with the shares and the payouts of a market; `words` say it."""

    shares: int = 0
    shares_doubled: int = 0
    shares_lost: int = 0
    payouts: int = 0
    payouts_doubled: int = 0
    payouts_lost: int = 0
    drift_minor: int = 0
    events_missing: int = 0
    events_doubled: int = 0
    words: list[str] = field(default_factory=list)


def reckon_shares(books: DividedBooks, made: Iterable[str]) -> Divided:
    """The figures of one market; `made` are the payouts that somebody was told of."""
    found = Divided(payouts=len(books.payouts))
    known = {row["id"] for row in books.payouts}
    for name in sorted(set(made) - known):
        found.payouts_lost += 1
        found.words.append(f"{name} was told of and is gone")
    _shares(books, found)
    _sent(books, found)
    _balances(books, found)
    _events(books, found)
    return found


def _shares(books: DividedBooks, found: Divided) -> None:
    """What moved of a divided payment is shared once, and the parts are the whole."""
    divided = {row["id"] for row in books.operations}
    shared: Counter[tuple[str, str]] = Counter()
    for row in books.steps:
        shared[row["operation_id"], row["phase"]] += row["amount_minor"]
        if row["phase"] not in _PHASES.values():
            continue
        sign = -1 if row["phase"] == "refunded" else 1
        parts = sum(change for _, change in row["refundable"])
        if parts != sign * row["amount_minor"]:
            found.drift_minor += abs(parts - sign * row["amount_minor"])
            found.words.append(f"{row['operation_id']}: {row['amount_minor']} became {parts}")
    for movement in books.movements:
        if movement["key"] not in divided:
            continue
        found.shares += 1
        is_now = shared[movement["key"], _PHASES[movement["kind"]]]
        if is_now != movement["amount_minor"]:
            found.shares_doubled += is_now > movement["amount_minor"]
            found.shares_lost += is_now < movement["amount_minor"]
            found.words.append(
                f"{movement['key']}: {is_now} of {movement['amount_minor']} is shared"
            )


def _sent(books: DividedBooks, found: Divided) -> None:
    """The rail has each order once, and only those whose money is away."""
    orders: defaultdict[str, list[Any]] = defaultdict(list)
    for order in books.orders:
        orders[order.key].append(order)
    for row in books.payouts:
        own = orders.pop(row["id"], [])
        gone = [order for order in own if order.status in _GONE]
        if len(own) > 1 or any(order.amount_minor != row["amount_minor"] for order in own):
            found.payouts_doubled += 1
            found.words.append(f"{row['id']}: the rail has {len(own)} orders")
        elif gone and row["status"] in _BACK:
            found.payouts_doubled += 1
            found.words.append(f"{row['id']} is {row['status']}, and the rail paid it")
        elif not gone and row["status"] in ("in_transit", "paid"):
            found.payouts_lost += 1
            found.words.append(f"{row['id']} is {row['status']}, and the rail has it not")
    for name in orders:
        found.payouts_doubled += 1
        found.words.append(f"{name}: the rail has an order that nobody asked for")


def _balances(books: DividedBooks, found: Divided) -> None:
    """Vendors have what was shared with them less what was paid out to them."""
    expected: Counter[str] = Counter()
    for row in books.steps:
        for _, account, counter, amount in row["moved"]:
            expected[account] += amount
            expected[counter] -= amount
    for row in books.payouts:
        if row["status"] not in _BACK:
            expected[f"vendor_payable:{row['account_id']}"] -= row["amount_minor"]
            if row["status"] != "paid":
                expected[f"payouts_in_transit:{row['account_id']}"] += row["amount_minor"]
    vendors = {
        name for name in [*expected, *books.owed] if name.startswith(("vendor_", "payouts_"))
    }
    for account in sorted(vendors):
        if expected[account] != books.owed.get(account, 0):
            found.drift_minor += abs(expected[account] - books.owed.get(account, 0))
            found.words.append(
                f"{account}: {expected[account]} by the rows, {books.owed.get(account, 0)} booked"
            )


def _events(books: DividedBooks, found: Divided) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    for row in books.payouts:
        expected["payout.created", row["id"]] = 1
        if row["status"] in ("failed", "paid", "returned"):
            expected[f"payout.{row['status']}", row["id"]] = 1
    told = Counter({name: n for name, n in books.told.items() if name[0] in _TELLS})
    found.events_missing += (expected - told).total()
    found.events_doubled += (told - expected).total()
    found.words += [f"{subject}: no {kind} tells of it" for kind, subject in expected - told]
    found.words += [f"{subject}: a {kind} too many" for kind, subject in told - expected]
