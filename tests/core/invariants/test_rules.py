"""Is each contradiction found among plain facts?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from payengine.invariants.rules import broken_payment, differing_movements
from payengine.payments.fold import refold
from payengine.payments.models import Operation
from payengine.plugin import Amount, Movement

from tests.core.payments.histories import START, operation, payment

_CHARGE = operation(status="succeeded", capture=True)
_LATER = START + timedelta(hours=1)


def _movement(minor: int = 1_000, **given: Any) -> Movement:
    fields: dict[str, Any] = {
        "key": "op_1",
        "kind": "capture",
        "provider_reference": "r",
        "amount": Amount(minor, "EUR"),
        "fee_minor": 59,
        "at": START,
    }
    return Movement(**(fields | given))


def _found(
    *movements: Movement, own: tuple[Operation, ...] = (_CHARGE,), fee: int = 59
) -> list[str]:
    operations = {each.id: each for each in own}
    fees = {each.id: fee for each in own}
    return [
        message
        for _, message in differing_movements(movements, operations, fees, settled_before=_LATER)
    ]


def test_equal_books_have_no_differences() -> None:
    assert _found(_movement()) == []
    refund = operation(id="ref_1", kind="refund", status="succeeded", amount_minor=300)
    back = _movement(-300, key="ref_1", kind="refund", fee_minor=0)
    assert [m for m in _found(_movement(), back, own=(_CHARGE, refund)) if "fee" not in m] == []


def test_each_difference_is_told() -> None:
    assert "2 times" in _found(_movement(), _movement())[0]
    assert "no operation asked" in _found(_movement(), _movement(key="x"))[0]
    assert "(999, 'EUR')" in _found(_movement(999))[0]
    assert "'USD'" in _found(_movement(amount=Amount(1_000, "USD")))[0]
    assert "fee" in _found(_movement(fee_minor=60))[0]
    assert "knows nothing" in _found()[0]
    declined = msgspec.structs.replace(_CHARGE, status="declined")
    assert "declined here" in _found(_movement(), own=(declined,))[0]
    refund = operation(kind="refund", status="succeeded")
    assert _found(_movement(), own=(refund,))


def test_what_is_open_or_just_moved_is_no_difference() -> None:
    for status in ("sending", "unknown", "pending", "requires_action"):
        waiting = msgspec.structs.replace(_CHARGE, status=status)
        assert _found(own=(waiting,)) == []
        assert _found(_movement(999), own=(waiting,)) == []
    fresh = msgspec.structs.replace(_CHARGE, updated_at=_LATER)
    assert _found(own=(fresh,)) == []
    held = operation(status="succeeded")
    assert _found(own=(held,)) == []


def test_a_row_that_is_not_its_fold_is_broken() -> None:
    sound = refold(payment(), [_CHARGE], at=START)
    assert list(broken_payment(sound, [_CHARGE])) == []
    wrong = msgspec.structs.replace(sound, captured_minor=999)
    (message,) = broken_payment(wrong, [_CHARGE])
    assert message == "captured_minor is 999, its operations say 1000"


def test_two_charges_are_broken_however_they_fold() -> None:
    twice = [_CHARGE, operation(id="op_2", status="succeeded", capture=True)]
    folded = refold(payment(), twice, at=START)
    assert list(broken_payment(folded, twice)) == ["it was charged 2 times"]
    alone = operation(kind="capture", status="succeeded")
    folded = refold(payment(), [alone], at=START)
    assert list(broken_payment(folded, [alone])) == ["it is captured, and no charge succeeded"]
