"""Do entries and transfers say the same, and is nothing unbalanced let through?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import (
    HoldExpired,
    InputInvalid,
    LedgerAmountNotPositive,
    LedgerUnbalanced,
    UnknownCurrency,
)
from payengine.ledger import Entry, Posting, Transfer
from payengine.ledger.transfers import (
    Direction,
    check_hold_open,
    check_posting,
    entries_of,
    transfers_from_entries,
)

from tests.core.ledger.postings import moved

_ACCOUNTS = st.sampled_from([f"bank:{letter}" for letter in "abcdef"])
_CODES = st.sampled_from(["USD", "JPY", "KWD"])
_TRANSFERS = st.lists(
    st.builds(
        Transfer,
        debit_account=_ACCOUNTS,
        credit_account=_ACCOUNTS,
        amount_minor=st.integers(1, 10**12),
        currency=_CODES,
    ).filter(lambda each: each.debit_account != each.credit_account),
    min_size=1,
    max_size=12,
)


def _entry(account: str, direction: Direction, amount: int, currency: str = "USD") -> Entry:
    return Entry(account=account, direction=direction, amount_minor=amount, currency=currency)


@given(_TRANSFERS)
def test_entries_become_transfers_and_entries_again(transfers: list[Transfer]) -> None:
    entries = entries_of(transfers)
    made = transfers_from_entries(entries)
    check_posting(Posting(transaction_id="t", kind="test", transfers=made))
    assert set(entries_of(made)) == set(entries)


def test_debits_pair_with_credits_in_order_and_are_split_as_needed() -> None:
    made = transfers_from_entries(
        [
            _entry("escrow:o", "debit", 100),
            _entry("vendor_payable:a", "credit", 70),
            _entry("vendor_payable:b", "credit", 30),
        ]
    )
    assert [(each.credit_account, each.amount_minor) for each in made] == [
        ("vendor_payable:a", 70),
        ("vendor_payable:b", 30),
    ]


def test_an_account_that_would_pay_itself_trades_with_another_pair() -> None:
    sides = [_entry(f"bank:{name}", "debit", 10) for name in "ab"]
    sides += [_entry(f"bank:{name}", "credit", 10) for name in "ab"]
    made = transfers_from_entries(sides)
    assert all(each.debit_account != each.credit_account for each in made)
    assert set(entries_of(made)) == set(sides)
    with pytest.raises(InputInvalid):
        transfers_from_entries([_entry("bank:a", "debit", 5), _entry("bank:a", "credit", 5)])


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [_entry("bank:a", "debit", 5)],
        [_entry("bank:a", "debit", 100), _entry("bank:b", "credit", 99)],
        [_entry("bank:a", "debit", 100), _entry("bank:b", "credit", 100, "EUR")],
    ],
)
def test_unbalanced_entries_are_refused(entries: list[Entry]) -> None:
    with pytest.raises(LedgerUnbalanced):
        transfers_from_entries(entries)


@pytest.mark.parametrize("amount", [0, -5])
def test_amounts_that_are_not_positive_are_refused(amount: int) -> None:
    with pytest.raises(LedgerAmountNotPositive):
        transfers_from_entries(
            [_entry("bank:a", "debit", amount), _entry("bank:b", "credit", amount)]
        )
    with pytest.raises(LedgerAmountNotPositive):
        check_posting(moved("t", amount))


@pytest.mark.parametrize(
    ("posting", "error"),
    [
        (moved("t", currency="XYZ"), UnknownCurrency),
        (moved("t", debited="nowhere:a"), InputInvalid),
        (moved("t", debited="bank:a", credited="bank:a"), InputInvalid),
        (moved(""), InputInvalid),
        (moved("t", 2**63), InputInvalid),
        (moved("t", 1.0), TypeError),  # type: ignore[arg-type]
        (moved("t", True), TypeError),
        (Posting(transaction_id="t", kind="test", transfers=()), LedgerUnbalanced),
    ],
)
def test_a_posting_that_may_not_be_written_is_refused(
    posting: Posting, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_posting(posting)


def test_a_hold_expires_at_its_instant_and_not_before() -> None:
    at = datetime(2025, 6, 8, tzinfo=UTC)
    check_hold_open(expires_at=None, at=at)
    check_hold_open(expires_at=at, at=at - timedelta(microseconds=1))
    with pytest.raises(HoldExpired):
        check_hold_open(expires_at=at, at=at)
