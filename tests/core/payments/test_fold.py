"""Do operations add up to one status and one set of amounts?"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.payments.fold import HOLD_EXPIRED, fold, made_after, refold
from payengine.payments.models import Operation
from payengine.payments.transitions import OPERATION_TRANSITIONS

from tests.core.payments.histories import START, operation, payment

_ANY_OPERATION = st.builds(
    operation,
    id=st.uuids().map(lambda each: f"op_{each.hex}"),
    kind=st.sampled_from(["authorize", "increment", "capture", "void", "refund", "dispute"]),
    status=st.sampled_from(sorted(OPERATION_TRANSITIONS)),
    amount_minor=st.integers(1, 10**12),
    released_minor=st.integers(0, 10**12),
    capture=st.booleans(),
    anomaly=st.sampled_from([None, "late_success"]),
    decline_code=st.sampled_from([None, "lost_card"]),
    raw_status=st.sampled_from([None, HOLD_EXPIRED]),
    hold_expires_at=st.sampled_from([None, START, START + timedelta(days=7)]),
)
_ANY = st.lists(_ANY_OPERATION, max_size=12)


@given(_ANY)
def test_amounts_are_never_negative_and_status_follows_them(operations: list[Operation]) -> None:
    folded = fold(operations)
    amounts = {n: getattr(folded, n) for n in folded.__struct_fields__ if n.endswith("_minor")}
    assert min(amounts.values()) >= 0
    assert (folded.captured_minor > 0) == (folded.status == "CAPTURED")
    if folded.status == "AUTHORIZED":
        assert folded.authorized_minor > 0 or operations[-1].status == "succeeded"
    over = folded.captured_minor + folded.voided_minor > folded.authorized_minor
    assert over == ("over_captured" in folded.anomalies)
    back = folded.refunded_minor + folded.refund_reserved_minor + folded.charged_back_minor
    assert (back > folded.captured_minor) == ("over_refunded" in folded.anomalies)
    assert (folded.decline_code is not None) <= (folded.status == "DECLINED")


@given(_ANY)
def test_folding_again_changes_nothing(operations: list[Operation]) -> None:
    once = refold(payment(), operations, at=START)
    twice = refold(once, operations, at=START)
    assert (twice.version, once.version) == (3, 2)
    for name in set(payment().__struct_fields__) - {"version"}:
        assert getattr(once, name) == getattr(twice, name)


@given(_ANY, st.randoms(use_true_random=False))
def test_amounts_do_not_depend_on_the_order(
    operations: list[Operation], shuffle: random.Random
) -> None:
    shuffled = operations.copy()
    shuffle.shuffle(shuffled)
    for name in fold(operations).__struct_fields__:
        if name.endswith("_minor") or name == "anomalies":
            assert getattr(fold(operations), name) == getattr(fold(shuffled), name)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("created", "PROCESSING"),
        ("sending", "PROCESSING"),
        ("unknown", "PROCESSING"),
        ("pending", "PROCESSING"),
        ("requires_action", "REQUIRES_ACTION"),
        ("declined", "DECLINED"),
        ("not_sent", "CREATED"),
        ("canceled", "CANCELED"),
        ("expired", "EXPIRED"),
        ("succeeded", "AUTHORIZED"),
    ],
)
def test_the_last_authorization_speaks_for_the_payment(status: str, expected: str) -> None:
    earlier = operation(id="op_0", status="declined", decline_code="lost_card")
    assert fold([earlier, operation(status=status)]).status == expected


def test_what_is_canceled_stays_so_until_another_try() -> None:
    declined = operation(status="declined", decline_code="lost_card")
    void = operation(id="op_2", kind="void", status="succeeded")
    again = operation(id="op_3")
    assert fold([declined, void]).status == "CANCELED"
    assert fold([declined, void, again]).status == "PROCESSING"
    assert fold([declined, void]).decline_code is None


def test_a_hold_ends_as_long_as_something_is_held() -> None:
    end = START + timedelta(days=7)
    hold = operation(status="succeeded", hold_expires_at=end)
    part = operation(id="op_2", kind="capture", status="succeeded", amount_minor=400)
    assert fold([hold, part]).hold_expires_at == end
    final = operation(
        id="op_2", kind="capture", status="succeeded", amount_minor=400, released_minor=600
    )
    assert fold([hold, final]).hold_expires_at is None


def test_of_nothing_there_is_nothing() -> None:
    assert fold([]).status == "CREATED"


def test_a_new_operation_is_made_after_those_before_it() -> None:
    last = operation(created_at=START + timedelta(seconds=5))
    assert made_after([], at=START) == START
    assert made_after([operation(), last], at=START) == last.created_at + timedelta(microseconds=1)
    late = START + timedelta(minutes=1)
    assert made_after([last], at=late) == late
