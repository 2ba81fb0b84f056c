"""Do the books agree with what the clients were told?

Pure: what was read at the end, and what was remembered, become the figures of one lane.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.acceptance.crash.billed import Billed, reckon_bills
from tests.acceptance.crash.divided import Divided, reckon_shares
from tests.acceptance.crash.memory import Memory, amount_of, number_of
from tests.acceptance.crash.reading import Books
from tests.acceptance.crash.schedule import Death

__all__ = ["Figures", "p95", "reckon", "recoveries"]

_WHOLE = 5
_TELLS = {
    "authorize": "payment.captured",
    "capture": "payment.captured",
    "refund": "refund.succeeded",
}
_MOST_WORDS = 20


@dataclass(kw_only=True)
class Figures:
    """What a run found. All that must be zero is named in `MUST_BE_ZERO`; `words` explain it.

    `doubled` counts money that moved twice, and what the provider had to refuse (`exceeded`)
    because more was asked than there was: a provider that does not look would have moved it. It
    holds, as `lost` does, what the figures of invoices, shares and payouts say of their own.
    """

    payments: int = 0
    invoices: int = 0
    invoices_paid: int = 0
    invoices_doubled: int = 0
    invoices_lost: int = 0
    shares: int = 0
    shares_doubled: int = 0
    shares_lost: int = 0
    payouts: int = 0
    payouts_doubled: int = 0
    payouts_lost: int = 0
    charges: int = 0
    refunds: int = 0
    answers: int = 0
    severed: int = 0
    lost: int = 0
    doubled: int = 0
    orphans: int = 0
    drift_minor: int = 0
    events_missing: int = 0
    events_doubled: int = 0
    blind: int = 0
    exceeded: int = 0
    unfinished: int = 0
    surprises: int = 0
    broken: int = 0
    silent: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    left_open: int = 0
    recovery_s: list[float] = field(default_factory=list)
    recovery_from_first_s: list[float] = field(default_factory=list)
    serving_again_s: list[float] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    MUST_BE_ZERO = (
        "lost",
        "doubled",
        "invoices_doubled",
        "invoices_lost",
        "shares_doubled",
        "shares_lost",
        "payouts_doubled",
        "payouts_lost",
        "orphans",
        "drift_minor",
        "events_missing",
        "events_doubled",
        "blind",
        "exceeded",
        "unfinished",
        "surprises",
        "broken",
        "silent",
    )

    def add(self, other: Figures) -> None:
        """Sum the figures of several lanes."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if isinstance(mine, list):
                mine.extend(value)
            else:
                setattr(self, name, mine + value)

    @property
    def wrong(self) -> list[str]:
        """The names of the figures that should be zero and are not."""
        return [name for name in self.MUST_BE_ZERO if getattr(self, name)]


def p95(values: Sequence[float]) -> float:
    """The 95th percentile by the nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 95 // 100) - 1] if ordered else 0.0


def recoveries(
    deaths: Sequence[Death], settled: Mapping[str, datetime]
) -> tuple[list[float], list[float]]:
    """How long each operation that a death left open took to be settled, in seconds.

    Counted from the last death that found it open, and from the first one.
    """
    first: dict[str, datetime] = {}
    last: dict[str, datetime] = {}
    for death in deaths:
        for name in death.left_open:
            first.setdefault(name, death.at)
            last[name] = death.at

    def taken(since: Mapping[str, datetime]) -> list[float]:
        return [
            max((settled[name] - at).total_seconds(), 0.0)
            for name, at in since.items()
            if name in settled
        ]

    return taken(last), taken(first)


def reckon(memory: Memory, shelves: Iterable[Books]) -> Figures:
    """The figures that follow from the books of all shops and from what clients were told."""
    figures = Figures(
        payments=memory.payments,
        answers=memory.answers,
        severed=memory.severed,
        lost=len(memory.lost),
        surprises=len(memory.surprises),
        unfinished=sum(not bought.is_done for bought in memory.bought),
        words=memory.lost[:_MOST_WORDS] + memory.surprises[:_MOST_WORDS],
    )
    told = {name: status for bought in memory.bought for name, status in bought.operations.items()}
    for bought in memory.bought:
        if not bought.is_done:
            _say(figures, f"{bought.payment_id or 'a payment'} is not done: {bought.operations}")
    for books in shelves:
        mine = memory.made_for(books.shop)
        if books.bills is not None:
            operations = {row["id"]: row["status"].upper() for row in books.bills.operations}
            _moved(figures, books, operations)
            _events(figures, books, operations)
            _billed(figures, reckon_bills(books.bills, mine))
            continue
        _money(figures, books)
        _moved(figures, books, told)
        _events(figures, books, told)
        if books.shares is not None:
            _divided(figures, reckon_shares(books.shares, mine))
    return figures


def _billed(figures: Figures, found: Billed) -> None:
    figures.invoices += found.invoices
    figures.invoices_paid += found.paid
    figures.invoices_doubled += found.doubled
    figures.invoices_lost += found.lost
    figures.doubled += found.doubled
    figures.lost += found.lost
    figures.events_missing += found.events_missing
    figures.events_doubled += found.events_doubled
    for words in found.words:
        _say(figures, words)


def _divided(figures: Figures, found: Divided) -> None:
    figures.shares += found.shares
    figures.shares_doubled += found.shares_doubled
    figures.shares_lost += found.shares_lost
    figures.payouts += found.payouts
    figures.payouts_doubled += found.payouts_doubled
    figures.payouts_lost += found.payouts_lost
    figures.doubled += found.shares_doubled + found.payouts_doubled
    figures.lost += found.shares_lost + found.payouts_lost
    figures.drift_minor += found.drift_minor
    figures.events_missing += found.events_missing
    figures.events_doubled += found.events_doubled
    for words in found.words:
        _say(figures, words)


def _say(figures: Figures, words: str) -> None:
    if len(figures.words) < _MOST_WORDS:
        figures.words.append(words)


def _money(figures: Figures, books: Books) -> None:
    """No payment moves more than it is."""
    charged: defaultdict[int, int] = defaultdict(int)
    returned: defaultdict[int, int] = defaultdict(int)
    for movement in books.movements:
        number = number_of(movement["amount_minor"])
        is_refund = movement["kind"] == "refund"
        (returned if is_refund else charged)[number] += movement["amount_minor"]
    for number, amount in charged.items():
        if number < 0 or amount > amount_of(number, steps=_WHOLE) or returned[number] > amount:
            figures.doubled += 1
            _say(figures, f"payment {number}: charged {amount}, refunded {returned[number]}")


def _moved(figures: Figures, books: Books, told: Mapping[str, str]) -> None:
    """What the provider moved is what we know of, once each, and the ledger's account with it."""
    balance = 0
    for movement in books.movements:
        kind, amount, key = movement["kind"], movement["amount_minor"], movement["key"]
        is_refund = kind == "refund"
        figures.refunds += is_refund
        figures.charges += not is_refund
        balance += (-amount if is_refund else amount) - movement["fee_minor"]
        if told.get(key) != "SUCCEEDED":
            figures.orphans += 1
            _say(figures, f"{key}: the provider moved {amount}, we were told {told.get(key)}")
    if balance != books.balance_minor:
        figures.drift_minor += abs(balance - books.balance_minor)
        _say(figures, f"{books.shop.tenant_id}: theirs {balance}, ours {books.balance_minor}")
    keys = Counter(movement["key"] for movement in books.movements)
    for key, count in keys.items():
        if count > 1:
            figures.doubled += count - 1
            _say(figures, f"{key}: the provider moved money {count} times")


def _events(figures: Figures, books: Books, told: Mapping[str, str]) -> None:
    positions = [position for position, _, _ in books.events]
    gaps = len(set(range(1, max(positions, default=0) + 1)) - set(positions))
    tells = Counter((operation, kind) for _, kind, operation in books.events)
    figures.events_missing += gaps
    figures.events_doubled += len(positions) - len(set(positions))
    for movement in books.movements:
        key = movement["key"]
        count = tells[key, _TELLS[movement["kind"]]]
        if told.get(key) == "SUCCEEDED" and count != 1:
            figures.events_missing += count == 0
            figures.events_doubled += count > 1
            _say(figures, f"{key}: {count} events tell of it")
