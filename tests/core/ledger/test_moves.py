"""Does a list of moves become what it says, and nothing else?"""

from __future__ import annotations

import pytest
from payengine.errors import InputInvalid, LedgerAmountNotPositive, LedgerUnbalanced
from payengine.ledger.moves import Move, posting_of


def test_moves_of_nothing_are_left_out() -> None:
    posting = posting_of(
        [Move("bank:main", "psp_receivable:g", 5, "USD"), Move("bank:main", "fx_gain", 0, "USD")],
        transaction_id="t",
        kind="psp.settled",
        payment_id="pay_1",
    )
    (transfer,) = posting.transfers
    assert (transfer.debit_account, transfer.credit_account) == ("bank:main", "psp_receivable:g")
    assert (transfer.amount_minor, transfer.currency, transfer.phase) == (5, "USD", "posted")
    assert posting.payment_id == "pay_1"


def test_what_may_not_be_booked_is_refused() -> None:
    with pytest.raises(LedgerUnbalanced):
        posting_of([Move("bank:main", "fx_gain", 0, "USD")], transaction_id="t", kind="k")
    with pytest.raises(LedgerAmountNotPositive):
        posting_of([Move("bank:main", "fx_gain", -1, "USD")], transaction_id="t", kind="k")
    with pytest.raises(InputInvalid):
        posting_of([Move("nowhere", "fx_gain", 1, "USD")], transaction_id="t", kind="k")
