"""Do the templates book a payment's steps so that its accounts say what happened?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import (
    CaptureExceedsAuthorized,
    HoldAlreadyResolved,
    LedgerAmountNotPositive,
    UnknownCurrency,
)
from payengine.ledger import HoldLine, Posting, templates

_AMOUNT = st.integers(1, 10**12)
_CODE = st.sampled_from(["USD", "JPY", "KWD", "CLF"])


class _Books:
    """The ledger's rules in a few lines of Python: an oracle for the templates."""

    def __init__(self) -> None:
        self.posted: Counter[str] = Counter()
        self.open: dict[tuple[str, int], HoldLine] = {}

    def post(self, *postings: Posting) -> None:
        for posting in postings:
            for line, transfer in enumerate(posting.transfers, start=1):
                if transfer.pending is not None:
                    hold = self.open.pop(transfer.pending)
                    assert transfer.amount_minor <= hold.amount_minor
                    assert transfer.phase == "post" or transfer.amount_minor == hold.amount_minor
                if transfer.phase == "pending":
                    self.open[posting.transaction_id, line] = HoldLine(
                        transaction_id=posting.transaction_id,
                        line=line,
                        debit_account=transfer.debit_account,
                        credit_account=transfer.credit_account,
                        amount_minor=transfer.amount_minor,
                        currency=transfer.currency,
                    )
                if transfer.phase in ("posted", "post"):
                    self.posted[transfer.debit_account] += transfer.amount_minor
                    self.posted[transfer.credit_account] -= transfer.amount_minor

    @property
    def holds(self) -> list[HoldLine]:
        return list(self.open.values())

    @property
    def held(self) -> int:
        return sum(hold.amount_minor for hold in self.holds)


def _money(amount_minor: int, currency: str = "USD") -> dict[str, object]:
    return {
        "payment_id": "pay_1",
        "gateway": "acme",
        "amount_minor": amount_minor,
        "currency": currency,
    }


def _held(amounts: Iterable[int], currency: str = "USD") -> _Books:
    books = _Books()
    first, *more = amounts
    books.post(
        templates.authorized(
            operation_id="op_0",
            payment_id="pay_1",
            gateway="acme",
            amount_minor=first,
            currency=currency,
            merchant="m",
        )
    )
    for number, amount in enumerate(more, start=1):
        books.post(
            templates.incremented(
                operation_id=f"op_{number}",
                payment_id="pay_1",
                gateway="acme",
                amount_minor=amount,
                currency=currency,
                merchant="m",
            )
        )
    return books


@given(st.lists(_AMOUNT, min_size=1, max_size=5), _CODE, st.data())
def test_captures_move_what_they_say_and_leave_the_rest_held(
    amounts: list[int], currency: str, data: st.DataObject
) -> None:
    books = _held(amounts, currency)
    assert books.held == sum(amounts)
    assert not +books.posted
    taken = 0
    for number in range(data.draw(st.integers(1, 4))):
        if not books.held:
            break
        amount = data.draw(st.integers(1, books.held))
        final = data.draw(st.booleans())
        before = books.held
        books.post(
            templates.captured_from_hold(
                operation_id=f"op_c{number}",
                payment_id="pay_1",
                holds=books.holds,
                amount_minor=amount,
                final=final,
            )
        )
        taken += amount
        assert books.held == (0 if final else before - amount)
        assert books.posted["psp_receivable:acme"] == taken == -books.posted["merchant_payable:m"]


@given(st.lists(_AMOUNT, min_size=1, max_size=5), st.data())
def test_a_void_releases_what_it_says_and_moves_nothing(
    amounts: list[int], data: st.DataObject
) -> None:
    books = _held(amounts)
    amount = data.draw(st.none() | st.integers(1, sum(amounts)))
    books.post(
        templates.voided(
            operation_id="op_v", payment_id="pay_1", holds=books.holds, amount_minor=amount
        )
    )
    assert books.held == (0 if amount is None else sum(amounts) - amount)
    assert not +books.posted


@given(st.lists(_AMOUNT, min_size=1, max_size=5), _AMOUNT)
def test_above_the_hold_is_refused_or_recorded_as_a_fact(amounts: list[int], excess: int) -> None:
    books = _held(amounts)
    amount = sum(amounts) + excess
    with pytest.raises(CaptureExceedsAuthorized):
        templates.captured_from_hold(
            operation_id="op_c", payment_id="pay_1", holds=books.holds, amount_minor=amount
        )
    with pytest.raises(CaptureExceedsAuthorized):
        templates.voided(
            operation_id="op_v", payment_id="pay_1", holds=books.holds, amount_minor=amount
        )
    books.post(
        templates.captured_from_hold(
            operation_id="op_c",
            payment_id="pay_1",
            holds=books.holds,
            amount_minor=amount,
            record_excess=True,
        )
    )
    assert books.held == 0
    assert books.posted["psp_receivable:acme"] == amount


def test_with_nothing_held_there_is_nothing_to_end() -> None:
    with pytest.raises(HoldAlreadyResolved):
        templates.voided(operation_id="op_v", payment_id="pay_1", holds=())
    with pytest.raises(HoldAlreadyResolved):
        templates.expired(operation_id="op_v", payment_id="pay_1", holds=())
    with pytest.raises(HoldAlreadyResolved):
        templates.captured_from_hold(
            operation_id="op_c", payment_id="pay_1", holds=(), amount_minor=1
        )


@given(st.integers(2, 10**12), _CODE, st.data())
def test_a_refund_goes_through_transit_or_comes_back(
    amount: int, currency: str, data: st.DataObject
) -> None:
    part = data.draw(st.integers(1, amount))
    for succeeds in (True, False):
        books = _Books()
        for step in (
            templates.captured,
            templates.refund_created,
        ):
            books.post(
                step(
                    operation_id="op_1",
                    payment_id="pay_1",
                    gateway="acme",
                    amount_minor=amount if step is templates.captured else part,
                    currency=currency,
                )
            )
        assert books.posted["merchant_payable:main"] == part - amount
        assert books.posted["refunds_in_transit:acme"] == -part
        end = templates.refund_succeeded if succeeds else templates.refund_failed
        books.post(
            end(
                operation_id="op_1",
                payment_id="pay_1",
                gateway="acme",
                amount_minor=part,
                currency=currency,
            )
        )
        left = amount - part if succeeds else amount
        assert books.posted["refunds_in_transit:acme"] == 0
        assert books.posted["psp_receivable:acme"] == left
        assert books.posted["merchant_payable:main"] == -left


@given(_AMOUNT)
def test_a_refund_that_failed_and_was_paid_after_all_is_the_merchants_again(amount: int) -> None:
    books = _Books()
    for step in (
        templates.captured,
        templates.refund_created,
        templates.refund_failed,
        templates.refund_reopened,
    ):
        books.post(
            step(
                operation_id="op_1",
                payment_id="pay_1",
                gateway="acme",
                amount_minor=amount,
                currency="USD",
            )
        )
    books.post(
        templates.refund_succeeded(
            operation_id="op_1",
            payment_id="pay_1",
            gateway="acme",
            amount_minor=amount,
            currency="USD",
        )
    )
    assert not any(books.posted.values())


@given(_AMOUNT, _AMOUNT, st.booleans())
def test_a_dispute_sets_aside_and_is_won_or_lost(amount: int, fee: int, wins: bool) -> None:
    def step(template: object, minor: int) -> Posting:
        assert callable(template)
        made = template(dispute_id="dsp_1", **_money(minor))
        assert isinstance(made, Posting)
        return made

    books = _Books()
    books.post(step(templates.dispute_opened, amount))
    assert books.posted["dispute_receivable:acme"] == amount
    assert books.posted["dispute_hold:main"] == -amount
    books.post(step(templates.dispute_fee, fee))
    books.post(step(templates.dispute_won if wins else templates.dispute_lost, amount))
    gone = 0 if wins else amount
    assert books.posted["dispute_receivable:acme"] == books.posted["dispute_hold:main"] == 0
    assert books.posted["psp_receivable:acme"] == -(gone + fee)
    assert books.posted["merchant_payable:main"] == gone + fee
    assert books.posted["dispute_fees:acme"] == fee
    books.post(step(templates.dispute_fee_returned, fee))
    assert books.posted["dispute_fees:acme"] == books.posted["dispute_fee_recovery"] == 0
    assert books.posted["merchant_payable:main"] == gone


def test_every_step_has_an_id_of_its_own_made_from_the_operations() -> None:
    money = {"payment_id": "pay_1", "gateway": "acme", "amount_minor": 1, "currency": "USD"}
    makers = (
        templates.authorized,
        templates.incremented,
        templates.captured,
        templates.refund_created,
        templates.refund_succeeded,
        templates.refund_failed,
        templates.refund_reopened,
        templates.processor_fee,
    )
    ids = [make(operation_id="op_1", **money).transaction_id for make in makers]  # type: ignore[arg-type]
    assert len(set(ids)) == len(makers)
    assert all(name.startswith("op_1:") for name in ids)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_step_without_an_amount_is_refused(amount: int) -> None:
    with pytest.raises(LedgerAmountNotPositive):
        templates.processor_fee(
            operation_id="op_1",
            payment_id="pay_1",
            gateway="acme",
            amount_minor=amount,
            currency="USD",
        )
    with pytest.raises(LedgerAmountNotPositive):
        templates.captured_from_hold(
            operation_id="op_1", payment_id="pay_1", holds=_held([5]).holds, amount_minor=amount
        )


def test_a_step_in_an_unknown_currency_is_refused() -> None:
    with pytest.raises(UnknownCurrency):
        templates.captured(
            operation_id="op_1",
            payment_id="pay_1",
            gateway="acme",
            amount_minor=1,
            currency="XYZ",
        )
