"""Is each period invoiced once, and each invoice paid at most once?

Pure: a club's rows and the provider's movements become figures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.acceptance.crash.memory import Shop

__all__ = ["BILLED", "Billed", "BilledBooks", "reckon_bills"]

#: What is read of a club: the name of the rows → the statement.
BILLED = {
    "invoices": """
        SELECT id, number, subscription_id, period_start, period_end, reason, status, amount_due,
               amount_paid
        FROM invoice WHERE tenant_id = $1 ORDER BY number
    """,
    "subscriptions": """
        SELECT id, status, period_start, period_end FROM subscription WHERE tenant_id = $1
    """,
    "operations": """
        SELECT operation.id, operation.status, operation.payment_id, invoice_id
        FROM operation LEFT JOIN collection_charge USING (tenant_id, payment_id)
        WHERE tenant_id = $1
    """,
}
#: Of these every period is invoiced up to the present one.
_GOES_ON = frozenset({"active", "past_due", "trialing"})
_TELLS = frozenset({"invoice.finalized", "invoice.paid", "subscription.created"})
_BY_PERIOD = frozenset({"subscription_create", "subscription_cycle"})


@dataclass(frozen=True, kw_only=True)
class BilledBooks:
    """A club's, at the end; `told` counts its events by type and what they are about."""

    shop: Shop
    invoices: Sequence[Any]
    subscriptions: Sequence[Any]
    operations: Sequence[Any]
    movements: Sequence[dict[str, Any]]
    told: Counter[tuple[str, str]]


@dataclass(kw_only=True)
class Billed:
    """What is wrong with the bills of a club; `words` say it."""

    invoices: int = 0
    paid: int = 0
    doubled: int = 0
    lost: int = 0
    events_missing: int = 0
    events_doubled: int = 0
    words: list[str] = field(default_factory=list)


def reckon_bills(books: BilledBooks, made: Iterable[str]) -> Billed:
    """The figures of one club; `made` are the subscriptions that somebody was told of."""
    found = Billed(
        invoices=len(books.invoices), paid=sum(row["status"] == "paid" for row in books.invoices)
    )
    known = {row["id"] for row in books.subscriptions}
    for name in sorted(set(made) - known):
        found.lost += 1
        found.words.append(f"{name} was told of and is gone")
    _periods(books, found)
    _numbers(books, found)
    _money(books, found)
    _events(books, found)
    return found


def _periods(books: BilledBooks, found: Billed) -> None:
    """Each once, one after the other, the present one too."""
    periods: defaultdict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for row in books.invoices:
        if row["subscription_id"] is not None and row["reason"] in _BY_PERIOD:
            periods[row["subscription_id"]].append((row["period_start"], row["period_end"]))
    for name, own in periods.items():
        own.sort()
        for before, after in pairwise(own):
            if after[0] < before[1]:
                found.doubled += 1
                found.words.append(f"{name}: the period from {after[0]} is invoiced twice")
            elif after[0] > before[1]:
                found.lost += 1
                found.words.append(f"{name}: nothing is invoiced from {before[1]}")
    for row in books.subscriptions:
        own = periods[row["id"]]
        present = (row["period_start"], row["period_end"])
        if row["status"] in _GOES_ON and (not own or own[-1] != present):
            if row["status"] == "trialing" and not own:
                continue
            found.lost += 1
            found.words.append(f"{row['id']}: its present period is not invoiced: {row['status']}")


def _numbers(books: BilledBooks, found: Billed) -> None:
    numbers = sorted(row["number"] for row in books.invoices if row["number"] is not None)
    if numbers != list(range(1, len(numbers) + 1)):
        found.lost += 1
        found.words.append(f"{books.shop.tenant_id}: the numbers of its invoices have a gap")


def _money(books: BilledBooks, found: Billed) -> None:
    """One succeeded charge at the provider for each paid invoice, none for the others."""
    invoice_of = {row["id"]: row["invoice_id"] for row in books.operations}
    moved: defaultdict[str | None, list[int]] = defaultdict(list)
    for movement in books.movements:
        moved[invoice_of.get(movement["key"])].append(movement["amount_minor"])
    for amount in moved.pop(None, ()):
        found.doubled += 1
        found.words.append(f"{books.shop.tenant_id}: {amount} was charged for no invoice")
    for row in books.invoices:
        amounts = moved[row["id"]]
        due = row["amount_due"] if row["status"] == "paid" else 0
        expected = [due] if due else []
        if amounts == expected and row["amount_paid"] == due:
            continue
        if sum(amounts) > due:
            found.doubled += 1
        else:
            found.lost += 1
        found.words.append(
            f"{row['id']} is {row['status']}: {row['amount_paid']} of {row['amount_due']} paid,"
            f" and the provider moved {amounts}"
        )


def _events(books: BilledBooks, found: Billed) -> None:
    expected = Counter({("subscription.created", row["id"]): 1 for row in books.subscriptions})
    for row in books.invoices:
        expected["invoice.finalized", row["id"]] = 1
        if row["status"] == "paid":
            expected["invoice.paid", row["id"]] = 1
    told = Counter({name: n for name, n in books.told.items() if name[0] in _TELLS})
    found.events_missing += (expected - told).total()
    found.events_doubled += (told - expected).total()
    found.words += [f"{subject}: no {kind} tells of it" for kind, subject in expected - told]
    found.words += [f"{subject}: a {kind} too many" for kind, subject in told - expected]
