"""Do random flows of a marketplace leave every currency balanced and nobody below zero unasked?

A sale goes to its owners at once or by way of escrow; refunds, failed refunds, disputes, payouts,
reserves and transfers follow in any order. `PAYENGINE_NIGHTLY` asks for 20,000 flows.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.errors import InsufficientAvailableBalance, LedgerUnbalanced
from payengine.ledger import Posting
from payengine.ledger.chart import is_debit_normal
from payengine.ledger.moves import Move, posting_of
from payengine.ledger.transfers import entries_of
from payengine.marketplace import postings
from payengine.marketplace.accounts import check_leaving
from payengine.marketplace.disputes import (
    DisputeShares,
    Liability,
    dispute_shares,
    no_longer_refundable,
)
from payengine.marketplace.escrow import refund_before_or_after
from payengine.marketplace.payouts import payable
from payengine.marketplace.postings import PLATFORM, Share
from payengine.marketplace.reserves import ReserveRule
from payengine.marketplace.splits import SplitPart, divide, pull_back
from payengine.money import round_half_away

_MANY = settings(max_examples=20_000 if os.environ.get("PAYENGINE_NIGHTLY") else 80)
_OWNERS = ("vendor_payable:a", "vendor_payable:b", PLATFORM)
_SPLIT = (
    SplitPart(to="a", percent_bps=7_000),
    SplitPart(to="b", percent_bps=2_000),
    SplitPart(to="platform", remainder=True),
)
#: Kinds of postings that may take an account below zero.
_MAY_OVERDRAW = ("refund.", "dispute.", "processor.fee", "payout.fee")
#: What the provider and the bank still have of ours depends on when they settle.
_OUTSIDE = ("psp_receivable:", "bank:")


class Book:
    """The balances that a list of postings leaves, and what is to be known of the sale."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.balances: Counter[str] = Counter()
        self.debits: Counter[str] = Counter()
        self.credits: Counter[str] = Counter()
        self.ids: set[str] = set()
        self.count = 0
        self.remaining = [0, 0, 0]
        self.held = 0
        self.disputes: list[tuple[str, DisputeShares, tuple[int, ...]]] = []
        self.payouts: list[tuple[str, str, int]] = []
        self.reserves: list[tuple[str, str, int]] = []

    def name(self, noun: str) -> str:
        """An id that was not used before."""
        self.count += 1
        return f"{noun}_{self.count}"

    def book(self, posting: Posting) -> None:
        """Add a posting, and hold it against the rules."""
        assert posting.transaction_id not in self.ids
        self.ids.add(posting.transaction_id)
        lowered = set()
        for entry in entries_of(posting.transfers):
            side = self.debits if entry.direction == "debit" else self.credits
            side[entry.currency] += entry.amount_minor
            sign = 1 if (entry.direction == "debit") == is_debit_normal(entry.account) else -1
            self.balances[entry.account] += sign * entry.amount_minor
            if sign < 0:
                lowered.add(entry.account)
        assert self.debits == self.credits
        if not posting.kind.startswith(_MAY_OVERDRAW):
            for account in lowered:
                assert account.startswith(_OUTSIDE) or self.balances[account] >= 0, account

    def shares(self, amounts: list[int] | tuple[int, ...]) -> list[Share]:
        """What the three owners get or give."""
        return [
            Share(account=account, amount_minor=minor)
            for account, minor in zip(_OWNERS, amounts, strict=True)
        ]

    def common(self) -> dict[str, str]:
        """The arguments that steps of the sale share."""
        return {"payment_id": "pay_1", "gateway": "g", "currency": self.currency}


def capture(book: Book, amount: int, *, escrow: bool) -> None:
    """The sale."""
    book.remaining = divide(amount, _SPLIT)
    if escrow:
        book.held = amount
        book.book(
            postings.captured_to_escrow(
                operation_id="op_0", escrow="o1", amount_minor=amount, **book.common()
            )
        )
    else:
        shares = book.shares(book.remaining)
        book.book(postings.captured_in_shares(operation_id="op_0", shares=shares, **book.common()))


def release(book: Book, size: int) -> None:
    """Everything that is held goes to its owners."""
    if book.held:
        shares = book.shares(book.remaining)
        book.held = 0
        book.book(
            postings.escrow_released(
                release_id="esc_1",
                payment_id="pay_1",
                escrow="o1",
                currency=book.currency,
                shares=shares,
            )
        )


def refund(book: Book, size: int, *, fails: bool = False) -> None:
    """A part of what is still refundable, or all of it."""
    amount = min(size, sum(book.remaining))
    if not amount:
        return
    reversal = pull_back(book.remaining, amount)
    taken = refund_before_or_after(amount, held=book.held, released=sum(book.remaining) - book.held)
    assert taken.from_parts == 0 or not book.held  # escrow is released as a whole
    shares = (
        [Share(account="escrow:o1", amount_minor=amount)] if book.held else book.shares(reversal)
    )
    name = book.name("op")
    book.book(postings.refund_in_shares(operation_id=name, shares=shares, **book.common()))
    if fails:
        book.book(
            postings.refund_failed_in_shares(operation_id=name, shares=shares, **book.common())
        )
        return
    book.held -= taken.from_escrow
    book.remaining = [one - back for one, back in zip(book.remaining, reversal, strict=True)]


def refund_fails(book: Book, size: int) -> None:
    """A refund that comes back leaves everything as it was."""
    before = dict(book.balances)
    refund(book, size, fails=True)
    assert {k: v for k, v in book.balances.items() if v} == {k: v for k, v in before.items() if v}


def dispute(book: Book, size: int) -> None:
    """The buyer's bank takes a part back, and a fee."""
    liability: Liability = ("vendor", "platform", "split_ratio")[size % 3]
    amount = min(size, sum(book.remaining))
    if not amount or book.held:
        return
    shares = dispute_shares(amount, 15, liability=liability, remaining=book.remaining)
    taken = no_longer_refundable(book.remaining, shares.disputed)
    book.remaining = [one - gone for one, gone in zip(book.remaining, taken, strict=True)]
    name = book.name("dp")
    owners = book.shares(shares.disputed)
    book.book(postings.dispute_opened_in_shares(dispute_id=name, shares=owners, **book.common()))
    fee = book.shares(shares.fee)
    book.book(postings.dispute_fee_in_shares(dispute_id=name, shares=fee, **book.common()))
    book.disputes.append((name, shares, taken))


def dispute_ends(book: Book, size: int) -> None:
    """Won, perhaps with the fee, or lost."""
    if not book.disputes:
        return
    name, shares, taken = book.disputes.pop()
    owners = book.shares(shares.disputed)
    if size % 3 == 0:
        lost = postings.dispute_lost_in_shares(dispute_id=name, shares=owners, **book.common())
        book.book(lost)
        return
    won = postings.dispute_won_in_shares(dispute_id=name, shares=owners, **book.common())
    book.book(won)
    book.remaining = [one + back for one, back in zip(book.remaining, taken, strict=True)]
    if size % 3 == 1:
        fee = book.shares(shares.fee)
        book.book(
            postings.dispute_fee_returned_in_shares(dispute_id=name, shares=fee, **book.common())
        )


def payout(book: Book, size: int) -> None:
    """What the vendor has goes out; more than that is refused."""
    vendor = "ab"[size % 2]
    available = book.balances[f"vendor_payable:{vendor}"]
    with pytest.raises(InsufficientAvailableBalance):
        check_leaving(available_minor=available, amount_minor=max(available, 0) + 1)
    out = payable(available, currency=book.currency, minimum_minor=size % 50).payout
    if not out:
        return
    check_leaving(available_minor=available, amount_minor=out)
    name = book.name("po")
    common = {"payout_id": name, "vendor": vendor, "currency": book.currency}
    book.book(postings.payout_created(amount_minor=out, **common))
    if size % 5 == 0:
        book.book(postings.payout_fee(amount_minor=25, **common))
    book.payouts.append((name, vendor, out))


def payout_ends(book: Book, size: int) -> None:
    """It arrives, or fails on its way, or is sent back by the bank after it had arrived."""
    if not book.payouts:
        return
    name, vendor, out = book.payouts.pop()
    common = {"payout_id": name, "vendor": vendor, "currency": book.currency}
    if size % 3:
        book.book(postings.payout_paid(amount_minor=out, **common))
    if size % 3 != 1:
        failed = postings.payout_failed(amount_minor=out, after_paid=size % 3 == 2, **common)
        book.book(failed)


def reserve(book: Book, size: int) -> None:
    """A part of what a vendor has is kept back."""
    vendor = "ab"[size % 2]
    rule = ReserveRule(reserve_bps=1_000, reserve_days=90)
    available = max(book.balances[f"vendor_payable:{vendor}"], 0)
    kept = round_half_away(available * rule.reserve_bps, denominator=10_000)
    if kept:
        name = book.name("pay")
        book.book(
            postings.reserve_held(
                sale_id=name, vendor=vendor, currency=book.currency, amount_minor=kept
            )
        )
        book.reserves.append((name, vendor, kept))


def reserve_returns(book: Book, size: int) -> None:
    """Exactly what was kept."""
    if book.reserves:
        name, vendor, kept = book.reserves.pop()
        book.book(
            postings.reserve_released(
                sale_id=name, vendor=vendor, currency=book.currency, amount_minor=kept
            )
        )


def transfer(book: Book, size: int) -> None:
    """One vendor pays the other what the balance covers."""
    source, target = ("vendor_payable:a", "vendor_payable:b")[:: 1 if size % 2 else -1]
    amount = min(size, max(book.balances[source], 0))
    if amount:
        check_leaving(available_minor=book.balances[source], amount_minor=amount)
        book.book(
            postings.transferred(
                transfer_id=book.name("tr"),
                source=source,
                target=target,
                currency=book.currency,
                amount_minor=amount,
            )
        )


def settle(book: Book, size: int) -> None:
    """The provider pays what it owes."""
    owed = book.balances["psp_receivable:g"]
    if owed > 0:
        move = Move("bank:main", "psp_receivable:g", owed, book.currency)
        book.book(posting_of([move], transaction_id=book.name("set"), kind="psp.settled"))


_STEPS = (
    release, refund, refund_fails, dispute, dispute_ends, payout, payout_ends, reserve,
    reserve_returns, transfer, settle,
)  # fmt: skip


@_MANY
@given(
    st.integers(1, 10**7),
    st.booleans(),
    st.sampled_from(["USD", "JPY", "HUF"]),
    st.lists(st.tuples(st.sampled_from(_STEPS), st.integers(1, 10**6)), max_size=25),
)
def test_random_flows_keep_the_rules(
    amount: int, escrow: bool, currency: str, steps: list[tuple[object, int]]
) -> None:
    book = Book(currency)
    capture(book, amount, escrow=escrow)
    for step, size in steps:
        step(book, size)  # type: ignore[operator]
        assert min(book.remaining) >= 0
    # At the end everything is given back, and every part is empty.
    while book.disputes:
        dispute_ends(book, 0)
    refund(book, sum(book.remaining))
    assert book.remaining == [0, 0, 0]
    while book.payouts:
        payout_ends(book, 3)
    while book.reserves:
        reserve_returns(book, 1)
    left = {
        account: minor
        for account, minor in book.balances.items()
        if minor and account.partition(":")[0] not in _KEPT
    }
    assert left == {}


#: Where something may stand when everything has come back: owners who paid each other or fees, and
#: what these fees, the bank and the provider make of it.
_KEPT = {
    "bank",
    "dispute_fee_recovery",
    "dispute_fees",
    "platform_fee_revenue",
    "psp_receivable",
    "refunds_in_transit",
    "vendor_payable",
}


def test_shares_of_nothing_move_nothing() -> None:
    shares = [Share(account=PLATFORM, amount_minor=0)]
    with pytest.raises(LedgerUnbalanced):
        postings.captured_in_shares(
            operation_id="op_1", payment_id="pay_1", gateway="g", currency="USD", shares=shares
        )


def test_the_fee_of_a_payout_that_did_not_arrive_returns_whence_it_came() -> None:
    book = Book("USD")
    for step in (postings.payout_fee, postings.payout_fee_returned):
        book.book(step(payout_id="po_1", vendor="a", currency="USD", amount_minor=25))
    assert not any(book.balances.values())


def test_the_processors_fee_is_passed_on_to_its_bearers() -> None:
    posting = postings.processor_fee_passed_on(
        operation_id="op_1",
        payment_id="pay_1",
        currency="USD",
        shares=[Share(account="vendor_payable:a", amount_minor=320)],
    )
    (transfer_made,) = posting.transfers
    assert transfer_made.debit_account == "vendor_payable:a"
    assert transfer_made.credit_account == "processor_fee_recovery"
