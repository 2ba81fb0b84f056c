"""Is every boundary passed once, in order, and is a bad row set aside alone?

`PAYENGINE_NIGHTLY` asks for 10,000 histories of subscriptions in place of 100.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.billing.coupons import Coupon
from payengine.billing.invoice_lines import InvoiceLine, proration_lines
from payengine.billing.invoicing import (
    InvoiceDraft,
    compute_invoice,
    invoice_bytes,
    invoice_hash,
)
from payengine.billing.periods import Cadence, Interval, IntervalUnit, Period
from payengine.billing.pricing import PerUnit, line_amount
from payengine.billing.proration import Item, prorate_change
from payengine.billing.renewing import (
    MOST_CATCH_UP,
    Renewable,
    RenewableStatus,
    is_due,
    next_due_of,
    plan_batch,
    renew,
    renewal_name,
    renewed_until,
    resume,
)
from payengine.errors import InputInvalid

_HISTORIES = 10_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100
_ANCHOR = datetime(2025, 1, 31, 12, tzinfo=UTC)


def _subscription(
    name: str = "sub_1",
    *,
    status: RenewableStatus = "active",
    unit: IntervalUnit = "month",
    count: int = 1,
) -> Renewable:
    cadence = Cadence(anchor=_ANCHOR, interval=Interval(unit=unit, count=count))
    start, end = cadence.boundaries(1)
    return Renewable(id=name, status=status, cadence=cadence, period_start=start, period_end=end)


def _draft(subscription: Renewable, period: Period) -> InvoiceDraft:
    if subscription.id == "sub_bad":
        raise InputInvalid("This one has a price that cannot be computed.")
    return InvoiceDraft(
        currency="USD",
        lines=(InvoiceLine(amount=1000),),
        subscription_id=subscription.id,
        period_start=period.start,
        period_end=period.end,
    )


@given(
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 3),
    st.lists(st.integers(0, 200), min_size=1, max_size=12),
)
def test_periods_follow_each_other_however_the_time_jumps(
    unit: IntervalUnit, count: int, jumps: list[int]
) -> None:
    subscription = _subscription(unit=unit, count=count)
    at, end = _ANCHOR, subscription.period_end
    names = set()
    for jump in jumps:
        at += timedelta(days=jump)
        while is_due(subscription, at):
            renewal = renew(subscription, at)
            assert 1 <= len(renewal.periods) <= MOST_CATCH_UP
            for period in renewal.periods:
                name = renewal_name(subscription.id, period.start)
                assert period.start == end <= at
                assert name not in names
                names.add(name)
                end = period.end
            subscription = renewal.subscription
            assert subscription.period_end == end
        assert end > at


def test_months_keep_the_day_that_was_meant() -> None:
    renewal = renew(_subscription(), datetime(2025, 4, 30, 12, tzinfo=UTC))
    assert [(period.start.month, period.start.day) for period in renewal.periods] == [
        (2, 28),
        (3, 31),
        (4, 30),
    ]


def test_a_jump_over_many_periods_is_caught_up_with_in_steps() -> None:
    at = _ANCHOR + timedelta(days=MOST_CATCH_UP + 30)
    first = renew(_subscription(unit="day"), at)
    assert len(first.periods) == MOST_CATCH_UP
    assert is_due(first.subscription, at)
    second = renew(first.subscription, at)
    assert second.periods[0].start == first.periods[-1].end
    assert not is_due(second.subscription, at)


def test_a_jump_may_stop_for_an_operator() -> None:
    subscription = _subscription()
    one = renew(subscription, subscription.period_end, catch_up="halt")
    assert len(one.periods) == 1
    many = renew(subscription, subscription.period_end + timedelta(days=90), catch_up="halt")
    assert (many.periods, many.subscription.status) == ((), "needs_operator")
    assert many.subscription.period_end == subscription.period_end


def test_to_cancel_comes_before_to_pause() -> None:
    both = msgspec.structs.replace(
        _subscription(), cancel_at_period_end=True, pause_at_period_end=True
    )
    renewal = renew(both, both.period_end)
    assert (renewal.periods, renewal.subscription.status) == ((), "canceled")


def test_cancel_and_renewal_in_either_order_never_give_both() -> None:
    before = _subscription()
    at = before.period_end
    canceled_first = msgspec.structs.replace(before, cancel_at_period_end=True)
    assert renew(canceled_first, at).periods == ()
    renewed = renew(before, at).subscription
    canceled_then = msgspec.structs.replace(renewed, cancel_at_period_end=True)
    assert renew(canceled_then, at).subscription.status == "active"
    later = renew(canceled_then, renewed.period_end)
    assert (later.periods, later.subscription.status) == ((), "canceled")


def test_a_pause_ends_with_a_new_period_from_the_instant_of_resuming() -> None:
    pausing = msgspec.structs.replace(_subscription(), pause_at_period_end=True)
    paused = renew(pausing, pausing.period_end).subscription
    assert not is_due(paused, pausing.period_end + timedelta(days=400))
    at = datetime(2025, 7, 20, 10, tzinfo=UTC)
    renewal = resume(paused, at)
    assert renewal.periods == (Period(start=at, end=datetime(2025, 8, 20, 10, tzinfo=UTC)),)
    again = renew(renewal.subscription, renewal.subscription.period_end)
    assert (len(again.periods), again.subscription.status) == (1, "active")


def test_only_what_rests_is_resumed() -> None:
    with pytest.raises(InputInvalid):
        resume(_subscription(), _ANCHOR)


def test_a_trial_ends_with_the_first_period_that_is_paid() -> None:
    trial = _subscription(status="trialing", unit="month")
    trial = msgspec.structs.replace(trial, period_end=datetime(2025, 2, 14, 12, tzinfo=UTC))
    renewal = renew(trial, trial.period_end)
    assert renewal.subscription.status == "active"
    assert renewal.periods == (
        Period(start=trial.period_end, end=datetime(2025, 3, 14, 12, tzinfo=UTC)),
    )


@pytest.mark.parametrize("status", ["paused", "canceled", "unpaid", "needs_operator"])
def test_what_rests_is_not_renewed(status: RenewableStatus) -> None:
    subscription = _subscription(status=status)
    at = subscription.period_end
    assert renew(subscription, at).subscription == subscription
    assert not is_due(subscription, at)


def test_a_bad_row_is_set_aside_and_takes_no_number() -> None:
    rows = [_subscription("sub_a"), _subscription("sub_bad"), _subscription("sub_b")]
    at = rows[0].period_end + timedelta(days=31)
    plan = plan_batch(rows, at, draft_of=_draft, last_number=7)
    assert [row.id for row in plan.subscriptions] == ["sub_a", "sub_b"]
    assert [failure.subscription_id for failure in plan.failed] == ["sub_bad"]
    assert plan.failed[0].code == "INPUT_INVALID"
    assert [each.number for each in plan.invoices] == [8, 9, 10, 11]
    assert [each.name[0] for each in plan.invoices] == ["sub_a", "sub_a", "sub_b", "sub_b"]
    assert plan.last_number == 11


def test_a_row_that_is_claimed_twice_renews_once() -> None:
    row = _subscription()
    plan = plan_batch([row, row], row.period_end, draft_of=_draft, last_number=0)
    assert (len(plan.subscriptions), len(plan.invoices), plan.last_number) == (1, 1, 1)


def test_a_batch_that_is_decided_again_makes_the_same_invoices() -> None:
    rows = [_subscription("sub_a"), _subscription("sub_b")]
    at = rows[0].period_end
    first = plan_batch(rows, at, draft_of=_draft, last_number=0)
    assert plan_batch(rows, at, draft_of=_draft, last_number=0) == first
    done = plan_batch(first.subscriptions, at, draft_of=_draft, last_number=first.last_number)
    assert (done.invoices, done.last_number) == ((), first.last_number)


class _Account(msgspec.Struct):
    """A subscriber as a database would keep it: what is pending, and what stands on the balance."""

    unit_amount: Decimal
    quantity: int
    tax_bps: int | None
    coupons: tuple[Coupon, ...]
    balance: int
    pending: tuple[InvoiceLine, ...] = ()

    def price(self) -> int:
        return line_amount(PerUnit(unit_amount=self.unit_amount), self.quantity)

    def change(self, at: datetime, period: Period, quantity: int) -> None:
        old = Item(amount_minor=self.price())
        self.quantity = quantity
        change = prorate_change(period, at=at, old=old, new=Item(amount_minor=self.price()))
        self.pending += proration_lines(
            change, period_end=period.end, credit="unused", debit="rest", tax_bps=self.tax_bps
        )

    def draft_for(self, subscription: Renewable, period: Period) -> InvoiceDraft:
        """The neighbour of a batch has another draft."""
        draw_up = self.draft if subscription.id == "sub_a" else _draft
        return draw_up(subscription, period)

    def draft(self, subscription: Renewable, period: Period) -> InvoiceDraft:
        regular = InvoiceLine(
            amount=self.price(),
            tax_bps=self.tax_bps,
            period_start=period.start,
            period_end=period.end,
        )
        return InvoiceDraft(
            currency="USD",
            lines=(regular, *self.pending),
            coupons=self.coupons,
            customer_credit_balance=self.balance,
            minimum_charge=50,
            reason="subscription_cycle",
            subscription_id=subscription.id,
            period_start=period.start,
            period_end=period.end,
        )


_ACCOUNTS = st.builds(
    _Account,
    unit_amount=st.decimals(0, 9999, places=3),
    quantity=st.integers(0, 50),
    tax_bps=st.sampled_from([None, 0, 700, 1900]),
    coupons=st.sampled_from([(), (Coupon(percent_bps=3333),), (Coupon(amount_off=700),)]),
    balance=st.integers(-1000, 100_000),
)
_CHANGES = st.lists(
    st.lists(st.tuples(st.integers(0, 2_600_000), st.integers(0, 50)), max_size=3), max_size=5
)


@settings(max_examples=_HISTORIES, deadline=None)
@given(_ACCOUNTS, _CHANGES)
def test_the_preview_of_a_renewal_is_the_invoice_that_the_batch_makes(
    account: _Account, history: list[list[tuple[int, int]]]
) -> None:
    """The preview knows nothing of the batch: neither its other rows nor its numbers."""
    subscription = _subscription("sub_a")
    other = _subscription("sub_b")
    numbers, first, charged, owed = 0, account.balance, 0, 0
    for changes in history:
        period = Period(start=subscription.period_start, end=subscription.period_end)
        for second, quantity in sorted(changes):
            account.change(period.start + timedelta(seconds=second), period, quantity)
        kept = msgspec.json.decode(msgspec.json.encode(account), type=_Account)
        (upcoming,) = renew(subscription, period.end).periods
        preview = compute_invoice(kept.draft(subscription, upcoming))
        plan = plan_batch(
            [other, subscription],
            period.end,
            draft_of=account.draft_for,
            last_number=numbers,
        )
        *_, made = plan.invoices
        assert invoice_bytes(made.invoice) == invoice_bytes(preview)
        assert invoice_hash(made.invoice) == invoice_hash(preview)
        other, subscription = plan.subscriptions
        numbers = plan.last_number
        account.balance, account.pending = made.invoice.ending_credit_balance, ()
        charged += made.invoice.charge
        owed += made.invoice.total
    assert charged + first == owed + account.balance
    assert numbers == 2 * len(history)


def test_the_earliest_of_what_time_does_is_due() -> None:
    end = datetime(2025, 7, 1, tzinfo=UTC)
    before, after = end - timedelta(days=1), end + timedelta(days=1)
    assert next_due_of("active", period_end=end) == end
    assert next_due_of("active", period_end=end, change_at=before, notice_at=after) == before
    assert next_due_of("trialing", period_end=end, notice_at=before) == before
    assert next_due_of("paused", period_end=end) is None
    assert next_due_of("paused", period_end=end, change_at=after) == after
    assert next_due_of("canceled", period_end=end, change_at=after) is None


def test_a_step_at_the_boundary_comes_before_the_renewal() -> None:
    end = datetime(2025, 7, 1, tzinfo=UTC)
    now, later = end + timedelta(days=60), end + timedelta(days=40)
    assert renewed_until("active", at=now, period_end=end, step_at=None) == now
    assert renewed_until("active", at=now, period_end=end, step_at=end) is None
    until = renewed_until("active", at=now, period_end=end, step_at=later)
    assert until == later - timedelta(microseconds=1)
    assert renewed_until("active", at=end, period_end=end, step_at=later) == end
    assert renewed_until("paused", at=now, period_end=end, step_at=later) is None
