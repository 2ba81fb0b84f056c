"""Does collection keep its promises on whatever path?

The walks are random and the same each time; what each promise needs is looked for on all of them.
`PAYENGINE_NIGHTLY` asks for many more.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest
from payengine.billing.dunning import begin_collection, step
from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.dunning_state import (
    ENDED,
    DunningState,
    deadline_of,
    next_due,
    subscription_standing,
)
from payengine.billing.dunning_words import (
    Action,
    ChargeCustomer,
    ChargeDeclined,
    ChargeFailed,
    ChargeHeld,
    ChargeNotFound,
    ChargeSucceeded,
    ChargeUnknown,
    CollectionKind,
    CustomerAuthenticated,
    CustomerCanceled,
    DunningEvent,
    InvoicePaid,
    InvoiceVoided,
    MethodUpdated,
    MoveAccess,
    MoveSubscription,
    NotifyCustomer,
    OpenReview,
    TimeCame,
)
from payengine.errors import InputInvalid

from tests.core.billing.dunning_walks import T0, Walk, walks

_WALKS = 20_000 if os.environ.get("PAYENGINE_NIGHTLY") else 1_500


@pytest.fixture(scope="module")
def trodden() -> list[Walk]:
    """Many walks, trodden once."""
    return list(walks(_WALKS))


def _begun(
    kind: CollectionKind = "renewal",
    *,
    others: tuple[str, ...] = (),
    policy: DunningPolicy | None = None,
) -> DunningState:
    policy = policy or DunningPolicy()
    return begin_collection(kind, policy=policy, t0=T0, other_methods=others)[0]


def _after(state: DunningState, *events: tuple[DunningEvent, timedelta]) -> DunningState:
    for event, after in events:
        state, _ = step(state, event, T0 + after)
    return state


def _days(days: int) -> timedelta:
    return timedelta(days=days)


def _charges(actions: tuple[Action, ...]) -> list[ChargeCustomer]:
    return [action for action in actions if isinstance(action, ChargeCustomer)]


# -- on every path ---------------------------------------------------------------------------------


def test_no_two_charges_are_out_and_none_while_one_is_unknown(trodden: list[Walk]) -> None:
    for walk in trodden:
        for stride in walk.strides:
            charges = _charges(stride.actions)
            assert len(charges) <= 1
            for charge in charges:
                assert stride.after.phase == "charging"
                again = charge.charge == stride.before.charge
                assert again == charge.is_resend == isinstance(stride.event, ChargeNotFound)
                assert charge.charge == stride.before.charge + (not again)
                is_answer = isinstance(
                    stride.event, ChargeDeclined | ChargeFailed | ChargeNotFound | ChargeHeld
                )
                assert stride.before.phase not in ("charging", "unknown") or is_answer


def test_the_customer_is_told_of_a_failure_once_and_only_after_one(trodden: list[Walk]) -> None:
    for walk in trodden:
        told: set[int] = set()
        for stride in walk.strides:
            for action in stride.actions:
                if isinstance(action, NotifyCustomer) and action.notice == "payment_failed":
                    assert isinstance(stride.event, ChargeDeclined | ChargeFailed)
                    assert action.charge == stride.before.charge == stride.event.charge
                    assert action.charge not in told
                    told.add(action.charge)


def test_what_has_ended_charges_nothing_and_waits_for_nothing(trodden: list[Walk]) -> None:
    for walk in trodden:
        for stride in walk.strides:
            if stride.before.phase in ENDED:
                assert stride.after.phase == stride.before.phase
                assert next_due(stride.after) is None
                assert all(
                    not isinstance(action, ChargeCustomer | MoveAccess | MoveSubscription)
                    for action in stride.actions
                )


def test_the_final_action_runs_once_and_never_before_the_deadline(trodden: list[Walk]) -> None:
    for walk in trodden:
        finals = [
            stride
            for stride in walk.strides
            if stride.after.is_final and not stride.before.is_final
        ]
        assert len(finals) <= 1
        for stride in finals:
            assert stride.at >= deadline_of(stride.before)
            assert isinstance(stride.event, TimeCame | ChargeDeclined | ChargeFailed | ChargeHeld)


def test_technical_failures_and_unknown_outcomes_do_not_count(trodden: list[Walk]) -> None:
    for walk in trodden:
        for stride in walk.strides:
            if stride.after.attempts != stride.before.attempts:
                is_spent = stride.before.technical_retries == 8
                assert isinstance(stride.event, ChargeDeclined) or is_spent
                assert stride.after.attempts == stride.before.attempts + 1


def test_scheduled_attempts_are_at_the_times_of_the_policy(trodden: list[Walk]) -> None:
    for walk in trodden:
        for stride in walk.strides:
            if stride.after.phase == "scheduled":
                schedule = stride.after.policy.schedule(stride.after.t0)
                assert stride.after.attempt_at in schedule


def test_access_is_kept_for_the_grace(trodden: list[Walk]) -> None:
    for walk in trodden:
        for stride in walk.strides:
            if MoveAccess("suspended") in stride.actions:
                assert stride.at >= stride.before.policy.grace_ends(T0)
                assert stride.after.subscription in ("past_due", "unpaid")
                assert stride.after.kind == "renewal"


def test_time_that_is_due_always_leads_on(trodden: list[Walk]) -> None:
    for walk in trodden:
        last = walk.strides[-1]
        due = next_due(last.after)
        if due is not None:
            at = max(due, last.at)
            after, _ = step(last.after, TimeCame(), at)
            assert after != last.after, "a poller would come back to this row for ever"


def test_an_answer_that_comes_twice_counts_once(trodden: list[Walk]) -> None:
    for walk in trodden:
        for stride in walk.strides:
            answers = ChargeSucceeded | ChargeUnknown | ChargeNotFound
            if isinstance(stride.event, answers) and stride.after != stride.before:
                assert step(stride.after, stride.event, stride.at) == (stride.after, ())


# -- one path --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "phase"),
    [
        ("insufficient_funds", "scheduled"),
        ("nobody_knows_this_one", "scheduled"),
        ("processing_error", "retrying"),
        ("stolen_card", "waiting"),
        ("expired_card", "waiting"),
        ("authentication_required", "waiting"),
        ("testmode_decline", "waiting"),
    ],
)
def test_the_class_of_a_decline_says_what_comes_next(code: str, phase: str) -> None:
    state = _after(_begun(), (ChargeDeclined(0, code), _days(0)))
    assert state.phase == phase
    assert state.subscription == ("active" if phase == "retrying" else "past_due")


def test_a_late_worker_moves_no_later_attempt() -> None:
    state = _after(_begun(), (ChargeDeclined(0, "insufficient_funds"), _days(0)))
    state = _after(state, (TimeCame(), _days(6)), (ChargeDeclined(1, "do_not_honor"), _days(6)))
    assert state.attempt_at == T0 + _days(7)


def test_attempts_that_were_missed_are_not_made_up_for() -> None:
    state = _after(_begun(), (ChargeDeclined(0, "insufficient_funds"), _days(0)))
    state = _after(state, (TimeCame(), _days(15)), (ChargeDeclined(1, "do_not_honor"), _days(15)))
    assert state.attempt_at == T0 + _days(21)


def test_another_saved_method_follows_one_that_is_of_no_use() -> None:
    begun = _begun(others=("pm_b", "pm_c"))
    state, actions = step(begun, ChargeDeclined(0, "stolen_card"), T0)
    assert _charges(actions) == [ChargeCustomer(charge=1, trigger="other_method", method="pm_b")]
    state, actions = step(state, ChargeDeclined(1, "insufficient_funds"), T0)
    assert _charges(actions) == []
    assert state.attempt_at == T0 + _days(2)
    state, actions = step(state, TimeCame(), T0 + _days(2))
    assert _charges(actions) == [ChargeCustomer(charge=2, trigger="schedule", method="pm_b")]


def test_saved_methods_left_over_are_tried_before_the_final_action() -> None:
    policy = DunningPolicy(retry_intervals_days=(2,))
    state = _begun(others=("pm_b",), policy=policy)
    state = _after(state, (ChargeDeclined(0, "insufficient_funds"), _days(0)))
    state = _after(state, (TimeCame(), _days(2)))
    state, actions = step(state, ChargeDeclined(1, "insufficient_funds"), T0 + _days(2))
    assert [charge.method for charge in _charges(actions)] == ["pm_b"]
    state = _after(state, (ChargeDeclined(2, "insufficient_funds"), _days(2)))
    assert state.phase == "canceled"


def test_a_policy_may_leave_other_methods_alone() -> None:
    policy = DunningPolicy(tries_other_methods=False)
    state = _begun(others=("pm_b",), policy=policy)
    assert _after(state, (ChargeDeclined(0, "stolen_card"), _days(0))).phase == "waiting"


def test_another_gateway_is_preferred_where_it_may_take_what_this_one_refused() -> None:
    state = _after(_begun(), (ChargeDeclined(0, "do_not_honor", "a"), _days(0)))
    state, actions = step(state, TimeCame(), T0 + _days(2))
    assert [charge.avoid_gateways for charge in _charges(actions)] == [("a",)]
    state = _after(state, (ChargeDeclined(1, "insufficient_funds", "b"), _days(2)))
    state, actions = step(state, MethodUpdated("pm_new"), T0 + _days(3))
    assert _charges(actions) == [
        ChargeCustomer(charge=2, trigger="payment_method_updated", method="pm_new")
    ]


def test_a_customer_who_acts_while_a_charge_is_out_is_charged_when_it_has_failed() -> None:
    state = _after(_begun(), (MethodUpdated("pm_new"), _days(0)))
    assert state.charge == 0
    _, actions = step(state, ChargeDeclined(0, "expired_card"), T0)
    assert [charge.method for charge in _charges(actions)] == ["pm_new"]


def test_a_card_refused_for_good_is_not_charged_for_an_authentication() -> None:
    state = _after(_begun(), (ChargeDeclined(0, "stolen_card"), _days(0)))
    assert step(state, CustomerAuthenticated(), T0 + _days(1)) == (state, ())
    asked = _after(_begun(), (CustomerAuthenticated(), _days(0)))
    _, actions = step(asked, ChargeDeclined(0, "stolen_card"), T0)
    assert _charges(actions) == []


def test_the_final_action_waits_for_a_charge_that_is_out() -> None:
    policy = DunningPolicy(retry_intervals_days=(2,))
    state = _after(_begun(policy=policy), (ChargeDeclined(0, "insufficient_funds"), _days(0)))
    state = _after(state, (TimeCame(), _days(2)), (ChargeUnknown(1), _days(2)))
    assert _after(state, (TimeCame(), _days(9))) == state
    paid = _after(state, (ChargeSucceeded(1), _days(9)))
    assert (paid.invoice, paid.subscription, paid.access) == ("paid", "active", "granted")
    lost = _after(state, (ChargeDeclined(1, "insufficient_funds"), _days(9)))
    assert (lost.phase, lost.ended_at) == ("canceled", T0 + _days(9))


@pytest.mark.parametrize(("last", "phase"), [(7, "waiting"), (8, "canceled")])
def test_technical_retries_go_on_past_the_deadline(last: int, phase: str) -> None:
    policy = DunningPolicy(retry_intervals_days=())
    state, at = _begun(policy=policy), T0
    for charge in range(last + 1):
        state, _ = step(state, ChargeFailed(charge), at)
        if charge < last:
            due = next_due(state)
            assert due is not None
            at = due
            state, _ = step(state, TimeCame(), at)
    assert state.phase == ("retrying" if phase == "waiting" else phase)


def test_money_that_comes_after_the_end_is_recorded_and_reviewed() -> None:
    canceled = _after(_begun(), (CustomerCanceled(), _days(0)))
    state, actions = step(canceled, ChargeSucceeded(0), T0)
    assert (state.invoice, state.subscription) == ("paid", "canceled")
    assert OpenReview("paid_after_end", 0) in actions
    void = _after(_begun(), (InvoiceVoided(), _days(0)))
    state, actions = step(void, ChargeSucceeded(0), T0)
    assert (state.invoice, actions) == ("void", (OpenReview("paid_after_end", 0),))


def test_an_invoice_that_is_paid_twice_is_reviewed() -> None:
    paid = _after(_begun(), (InvoicePaid(), _days(0)))
    assert step(paid, ChargeSucceeded(0), T0)[1] == (OpenReview("paid_twice", 0),)


def test_recovery_waits_for_the_other_invoices() -> None:
    state = _after(_begun(), (ChargeDeclined(0, "insufficient_funds"), _days(0)))
    first = _after(state, (InvoicePaid(others_open=1), _days(8)))
    assert (first.invoice, first.subscription) == ("paid", "past_due")
    assert subscription_standing([first, state]) == "past_due"
    second = _after(state, (InvoicePaid(), _days(8)))
    assert subscription_standing([first, second]) == "active"


def test_a_debt_that_is_given_up_can_still_be_paid() -> None:
    policy = DunningPolicy(retry_intervals_days=(), final_action="unpaid", access_grace_days=0)
    state = _after(_begun(policy=policy), (ChargeDeclined(0, "insufficient_funds"), _days(0)))
    assert (state.phase, state.subscription, state.access) == ("given_up", "unpaid", "suspended")
    failed = _after(
        state, (MethodUpdated(), _days(50)), (ChargeDeclined(1, "stolen_card"), _days(50))
    )
    assert (failed.phase, failed.ended_at) == ("given_up", T0)
    state = _after(failed, (MethodUpdated(), _days(60)), (ChargeSucceeded(2), _days(60)))
    assert (state.subscription, state.access, state.phase) == ("active", "granted", "settled")


def test_a_set_up_at_fault_is_told_to_a_person_and_not_to_the_customer() -> None:
    _, actions = step(_begun(), ChargeDeclined(0, "testmode_decline"), T0)
    assert OpenReview("set_up_at_fault", 0) in actions
    assert not [action for action in actions if isinstance(action, NotifyCustomer)]


@pytest.mark.parametrize(
    ("until", "phase", "due"),
    [
        (T0 + _days(1), "retrying", T0 + _days(1)),
        (T0 + _days(99), "waiting", T0 + _days(7)),
        (None, "waiting", T0 + _days(7)),
    ],
)
def test_a_networks_limit_counts_for_nothing(
    until: datetime | None, phase: str, due: datetime
) -> None:
    state, actions = step(_begun(), ChargeHeld(0, until), T0)
    assert (state.phase, state.attempts, next_due(state)) == (phase, 0, due)
    assert not [action for action in actions if isinstance(action, NotifyCustomer)]


def test_the_first_payment_is_charged_to_the_method_that_was_chosen() -> None:
    state = _begun("first", others=("pm_b",))
    assert _after(state, (ChargeDeclined(0, "stolen_card"), _days(0))).phase == "waiting"
    state, actions = step(state, ChargeSucceeded(0), T0)
    assert (state.subscription, state.access) == ("active", "granted")
    assert MoveAccess("granted") in actions


@pytest.mark.parametrize(
    "policy",
    [
        DunningPolicy(retry_intervals_days=(0,)),
        DunningPolicy(retry_intervals_days=(1,) * 31),
        DunningPolicy(retry_intervals_days=(367,)),
        DunningPolicy(access_grace_days=-1),
        DunningPolicy(access_grace_days=1.5),  # type: ignore[arg-type]
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(policy: DunningPolicy) -> None:
    with pytest.raises(InputInvalid):
        begin_collection("renewal", policy=policy, t0=T0)
