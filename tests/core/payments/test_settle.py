"""Do status, amounts and ledger agree after whatever happens, in whatever order it is learned?"""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payengine.payments.findings import Finding
from payengine.payments.fold import fold
from payengine.payments.settle import next_look, settle
from payengine.payments.transitions import PAYMENT_TRANSITIONS
from payengine.plugin import Amount, Outcome

from tests.core.payments.histories import START, History, operation, payment

_ENDS = ("succeeded", "declined", "not_sent", "unknown", "pending")
_STEPS = st.one_of(
    st.tuples(
        st.just("ask"),
        st.sampled_from(["capture", "void", "refund", "increment"]),
        st.one_of(st.none(), st.integers(1, 1_200)),
        st.booleans(),
    ),
    st.tuples(st.just("find"), st.integers(0, 20), st.sampled_from(_ENDS), st.booleans()),
    st.tuples(st.just("expire"), st.none(), st.none(), st.none()),
)


def _assert_agrees(history: History) -> None:
    """The row is the fold, and the ledger says the same as the row."""
    now = history.payment
    folded = fold(history.operations)
    for name in folded.__struct_fields__:
        assert getattr(now, name) == getattr(folded, name), name
    for name in folded.__struct_fields__:
        if name.endswith("_minor"):
            assert getattr(folded, name) >= 0
    pending_refunds = now.refund_reserved_minor
    assert history.owed == now.captured_minor - now.refunded_minor - pending_refunds
    held = now.authorized_minor - now.captured_minor - now.voided_minor
    if "over_captured" not in now.anomalies:
        assert history.reserved == held
    else:
        assert history.reserved == 0
    reserved = now.capture_reserved_minor + now.void_reserved_minor
    assert held >= reserved or now.anomalies
    assert now.refundable_minor >= 0


def _live(history: History, step: tuple[str, object, object, object], *, late: bool) -> None:
    what, first, second, third = step
    before = history.payment.status
    if what == "ask":
        assert isinstance(first, str)
        amount = second if isinstance(second, int) else None
        history.ask(first, amount, final=bool(third))
    elif what == "expire":
        history.expire()
    else:
        assert isinstance(first, int)
        index = first % len(history.operations)
        known = history.operations[index].status
        ended = known in ("declined", "not_sent", "canceled", "expired")
        denied = known == "succeeded" and second in ("declined", "not_sent")
        if late or not (ended or denied):
            history.find(index, second)  # type: ignore[arg-type]
    after = history.payment.status
    assert after == before or after in PAYMENT_TRANSITIONS[before], (before, after)


@settings(max_examples=600, deadline=None)
@given(
    amount=st.integers(1, 1_000),
    method=st.sampled_from(["AUTOMATIC", "MANUAL"]),
    steps=st.lists(_STEPS, max_size=25),
)
def test_a_legal_history_agrees_with_its_ledger_and_has_no_anomaly(
    amount: int, method: str, steps: list[tuple[str, object, object, object]]
) -> None:
    history = History(amount=amount, capture_method=method)  # type: ignore[arg-type]
    for step in steps:
        _live(history, step, late=False)
        _assert_agrees(history)
    assert history.payment.anomalies == ()
    assert not history.payment.needs_review


@settings(max_examples=600, deadline=None)
@given(
    amount=st.integers(1, 1_000),
    method=st.sampled_from(["AUTOMATIC", "MANUAL"]),
    steps=st.lists(_STEPS, max_size=25),
)
def test_what_happened_late_is_recorded_and_marked(
    amount: int, method: str, steps: list[tuple[str, object, object, object]]
) -> None:
    history = History(amount=amount, capture_method=method)  # type: ignore[arg-type]
    for step in steps:
        _live(history, step, late=True)
        _assert_agrees(history)
    late = any(each.anomaly == "late_success" for each in history.operations)
    assert late == ("late_success" in history.payment.anomalies)
    assert history.payment.needs_review == bool(history.payment.anomalies)


def test_the_agreement_is_not_empty_talk() -> None:
    history = History(amount=1_000, capture_method="MANUAL")
    history.find(0, "succeeded")
    _assert_agrees(history)
    history.lines.clear()
    with pytest.raises(AssertionError):
        _assert_agrees(history)


def test_a_finding_that_tells_nothing_new_changes_nothing() -> None:
    history = History(amount=1_000, capture_method="AUTOMATIC")
    assert history.find(0, "succeeded") is not None
    for status in ("succeeded", "unknown", "pending"):
        assert history.find(0, status) is None


@pytest.mark.parametrize("denial", ["declined", "not_sent"])
def test_a_success_that_is_denied_ends_alike_in_either_order(denial: str) -> None:
    ends = []
    for order in (("succeeded", denial, denial), (denial, "succeeded", denial)):
        history = History(amount=1_000, capture_method="AUTOMATIC")
        for status in order:
            history.find(0, status)  # type: ignore[arg-type]
        now = history.payment
        ends.append((now.status, now.anomalies, now.needs_review, now.captured_minor, history.owed))
        _assert_agrees(history)
    assert ends[0] == ends[1] == ("CAPTURED", ("late_success",), True, 1_000, 1_000)


#: What may be heard of one operation, and what of it stands.
_HEARD = {
    ("declined", "not_sent"): "declined",
    ("not_sent", "pending"): "not_sent",
    ("not_sent", "requires_action"): "not_sent",
    ("declined", "not_sent", "pending"): "declined",
    ("declined", "not_sent", "requires_action", "unknown"): "declined",
    ("declined", "not_sent", "succeeded"): "succeeded",
    ("not_sent", "pending", "succeeded"): "succeeded",
    ("not_sent", "requires_action", "succeeded"): "succeeded",
}


@pytest.mark.parametrize("kind", ["authorize", "capture", "void", "refund"])
@pytest.mark.parametrize(("heard", "stands"), _HEARD.items())
def test_what_is_heard_of_an_operation_ends_alike_in_every_order(
    kind: str, heard: tuple[str, ...], stands: str
) -> None:
    ends = set()
    if kind != "authorize":  # only the buyer of an authorization is asked to do something
        heard = tuple("pending" if each == "requires_action" else each for each in heard)
    for order in itertools.permutations(heard):
        history = History(
            amount=1_000, capture_method="AUTOMATIC" if kind == "refund" else "MANUAL"
        )
        if kind != "authorize":
            history.find(0, "succeeded")
            history.ask(kind, None)
        for status in order:
            history.find(len(history.operations) - 1, status)  # type: ignore[arg-type]
            _assert_agrees(history)
        now = history.payment
        assert history.operations[-1].status == stands
        ends.add((now.status, now.anomalies, now.needs_review, history.owed, history.reserved))
    assert len(ends) == 1, ends


def test_a_denial_of_what_succeeded_books_nothing_and_is_recorded_once() -> None:
    history = History(amount=1_000, capture_method="AUTOMATIC")
    history.find(0, "succeeded")
    denied = history.find(0, "declined")
    assert denied is not None
    assert (denied.postings, denied.operation.status) == ((), "succeeded")
    assert [event.type for event in denied.events] == ["payment.needs_review"]
    assert history.find(0, "declined") is None


@pytest.mark.parametrize(
    ("known", "said"), [("pending", "requires_action"), ("requires_action", "pending")]
)
def test_the_answer_is_the_oldest_word(known: str, said: str) -> None:
    waiting = operation(status=known)
    late = Finding(status=said, source="answer")  # type: ignore[arg-type]
    assert settle(payment(), [waiting], waiting, late, at=START) is None
    newer = Finding(status=said, source="webhook")  # type: ignore[arg-type]
    assert settle(payment(), [waiting], waiting, newer, at=START) is not None


def test_a_late_capture_over_a_void_is_over_captured() -> None:
    history = History(amount=1_000, capture_method="MANUAL")
    history.find(0, "succeeded")
    history.ask("capture", 1_000)
    history.find(1, "declined")
    history.ask("void", None)
    history.find(2, "succeeded")
    assert history.status == "CANCELED"
    history.find(1, "succeeded")
    assert history.status == "CAPTURED"
    assert history.payment.anomalies == ("late_success", "over_captured")
    assert history.payment.needs_review
    assert history.owed == 1_000


def test_a_late_refund_is_over_refunded() -> None:
    history = History(amount=1_000, capture_method="AUTOMATIC")
    history.find(0, "succeeded")
    history.ask("refund", None)
    history.find(1, "not_sent")
    history.ask("refund", None)
    history.find(2, "succeeded")
    history.find(1, "succeeded")
    assert history.payment.anomalies == ("late_success", "over_refunded")
    assert history.owed == -1_000


def test_a_void_that_the_buyer_outran_releases_the_hold() -> None:
    history = History(amount=1_000, capture_method="MANUAL")
    history.find(0, "requires_action")
    history.ask("void", None)
    history.find(0, "succeeded")
    history.find(1, "succeeded")
    assert history.status == "CANCELED"
    _assert_agrees(history)


@pytest.mark.parametrize("status", ["sending", "unknown", "pending", "requires_action"])
def test_another_amount_marks_the_payment_once_whatever_it_waits_for(status: str) -> None:
    said = Outcome(status="succeeded", captured=True, amount=Amount(999, "EUR"))
    finding = Finding(status="unknown", source="lookup", outcome=said, mismatch=True)
    waiting = operation(status=status)
    now = payment()
    change = settle(now, [waiting], waiting, finding, at=START)
    assert change is not None
    assert change.payment.conflicted
    assert change.payment.needs_review
    assert change.postings == ()
    assert change.evidence is not None
    assert change.operation.due_at is None
    assert settle(change.payment, [change.operation], change.operation, finding, at=START) is None


def test_looks_are_spaced_out_up_to_ten_minutes() -> None:
    waits = [(next_look(tries, at=START) - START).total_seconds() for tries in (0, 1, 2, 9, 10, 99)]
    assert waits == [0.5, 1, 2, 256, 512, 600]


def test_another_amount_for_what_has_succeeded_is_told_and_booked_no_second_time() -> None:
    history = History(amount=1_000, capture_method="AUTOMATIC")
    history.find(0, "succeeded")
    said = Outcome(status="succeeded", captured=True, amount=Amount(999, "EUR"))
    change = history.find(0, "unknown", outcome=said, mismatch=True)
    assert change is not None
    assert (change.postings, change.payment.conflicted) == ((), True)
    assert [event.type for event in change.events] == [
        "payment.conflicted",
        "payment.needs_review",
    ]
    _assert_agrees(history)


def test_an_anomaly_that_was_cleared_is_no_news() -> None:
    history = History(amount=1_000, capture_method="AUTOMATIC")
    history.find(0, "not_sent")
    history.find(0, "succeeded")
    assert history.payment.needs_review
    history.payment = msgspec.structs.replace(history.payment, needs_review=False)
    history.ask("refund", 400)
    history.find(1, "succeeded")
    assert (history.payment.anomalies, history.payment.needs_review) == (("late_success",), False)
