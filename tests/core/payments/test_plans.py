"""Is what may not be asked refused with the right error, and the rest planned exactly?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from payengine.errors import (
    AuthorizationExceeded,
    CaptureExceedsAuthorized,
    HoldExpired,
    InputInvalid,
    OperationInFlight,
    PayengineError,
    RefundExceedsCaptured,
    TransitionRefused,
)
from payengine.money import MAX_MINOR
from payengine.payments.fold import refold
from payengine.payments.models import Operation, Payment
from payengine.payments.plans import (
    plan_capture,
    plan_increment,
    plan_refund,
    plan_void,
    settled_hold,
)

from tests.core.payments.histories import MANIFEST, START, operation, payment

_END = START + timedelta(days=7)
_HOLD = operation(status="succeeded", provider_reference="ref", hold_expires_at=_END)
_ONCE = msgspec.structs.replace(MANIFEST, multiple_captures=False)
_POOR = msgspec.structs.replace(MANIFEST, operations=("authorize", "capture", "void", "refund"))


def _step(kind: str, amount: int, status: str = "succeeded", **given: Any) -> Operation:
    return operation(id=f"op_{kind}", kind=kind, amount_minor=amount, status=status, **given)


def _standing(*operations: Operation) -> tuple[Payment, Sequence[Operation]]:
    return refold(payment(), operations, at=START), operations


_AUTO = operation(status="succeeded", capture=True)
_WAITS = operation(status="requires_action")
_DECLINED = operation(status="declined")
_VOIDED = _step("void", 1_000, released_minor=1_000)
_VOIDING = _step("void", 1_000, "sending", released_minor=1_000)
_RUN_OUT = _step("void", 1_000, released_minor=1_000, raw_status="hold_expired")


@pytest.mark.parametrize(
    ("operations", "amount", "final", "error"),
    [
        ((operation(),), None, True, OperationInFlight),
        ((operation(status="unknown"),), None, True, OperationInFlight),
        ((_DECLINED,), None, True, TransitionRefused),
        ((_WAITS,), None, True, TransitionRefused),
        ((_AUTO,), None, True, TransitionRefused),
        ((_HOLD,), 1_001, True, CaptureExceedsAuthorized),
        ((_HOLD, _VOIDED), None, True, TransitionRefused),
        ((_HOLD, _RUN_OUT), None, True, HoldExpired),
        ((_HOLD, _step("capture", 400)), 601, True, CaptureExceedsAuthorized),
        ((_HOLD, _step("capture", 400, "sending")), 601, True, CaptureExceedsAuthorized),
        ((_HOLD, _step("capture", 400, "unknown")), 1, False, OperationInFlight),
        (
            (_HOLD, _step("void", 1_000, "sending", released_minor=1_000)),
            1,
            True,
            TransitionRefused,
        ),
        ((_HOLD, _step("increment", 100, "unknown")), 1, True, OperationInFlight),
    ],
)
def test_captures_are_refused(
    operations: tuple[Operation, ...],
    amount: int | None,
    final: bool,
    error: type[PayengineError],
) -> None:
    now, known = _standing(*operations)
    with pytest.raises(error):
        plan_capture(now, known, MANIFEST, amount_minor=amount, final=final, at=START)


def test_a_capture_past_the_holds_end_is_refused_from_that_instant_on() -> None:
    now, known = _standing(_HOLD)
    given: dict[str, Any] = {"amount_minor": None, "final": True}
    plan_capture(now, known, MANIFEST, at=_END - timedelta(microseconds=1), **given)
    with pytest.raises(HoldExpired):
        plan_capture(now, known, MANIFEST, at=_END, **given)


def test_a_capture_takes_all_or_a_part_and_a_final_one_releases() -> None:
    now, known = _standing(_HOLD)
    whole = plan_capture(now, known, MANIFEST, amount_minor=None, final=False, at=START)
    assert (whole.amount_minor, whole.released_minor, whole.final) == (1_000, 0, True)
    assert (whole.attempt_id, whole.gateway, whole.provider_reference) == ("att_1", "g", "ref")
    part = plan_capture(now, known, MANIFEST, amount_minor=300, final=False, at=START)
    assert (part.amount_minor, part.released_minor, part.final) == (300, 0, False)
    last = plan_capture(now, known, MANIFEST, amount_minor=300, final=True, at=START)
    assert (last.amount_minor, last.released_minor, last.final) == (300, 700, True)


def test_a_gateway_that_captures_once_is_asked_once() -> None:
    now, known = _standing(_HOLD)
    with pytest.raises(InputInvalid):
        plan_capture(now, known, _ONCE, amount_minor=300, final=False, at=START)
    for status in ("succeeded", "sending"):
        now, known = _standing(_HOLD, _step("capture", 300, status))
        with pytest.raises(TransitionRefused):
            plan_capture(now, known, _ONCE, amount_minor=1, final=True, at=START)


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ((operation(),), OperationInFlight),
        ((_AUTO,), TransitionRefused),
        ((_HOLD, _VOIDED), TransitionRefused),
        ((_HOLD, _RUN_OUT), HoldExpired),
        ((_HOLD, _step("void", 1_000, "unknown", released_minor=1_000)), OperationInFlight),
        ((_HOLD, _step("capture", 400, "unknown")), OperationInFlight),
        ((_HOLD, _step("increment", 400, "pending")), OperationInFlight),
    ],
)
def test_voids_are_refused(operations: tuple[Operation, ...], error: type[PayengineError]) -> None:
    now, known = _standing(*operations)
    with pytest.raises(error):
        plan_void(now, known, at=START)


def test_a_void_releases_what_is_left_or_cancels() -> None:
    now, known = _standing(_HOLD, _step("capture", 400))
    plan = plan_void(now, known, at=START)
    assert plan is not None
    assert (plan.amount_minor, plan.released_minor) == (600, 600)
    waits, known = _standing(_WAITS)
    plan = plan_void(waits, known, at=START)
    assert plan is not None
    assert (plan.amount_minor, plan.released_minor) == (1_000, 0)
    for nothing in (_DECLINED, operation(status="not_sent")):
        assert plan_void(*_standing(nothing), at=START) is None


@pytest.mark.parametrize(
    ("operations", "amount", "error"),
    [
        ((operation(),), 1, TransitionRefused),
        ((_HOLD,), 1, TransitionRefused),
        ((_DECLINED,), None, TransitionRefused),
        ((_AUTO,), 1_001, RefundExceedsCaptured),
        ((_AUTO, _step("refund", 400)), 601, RefundExceedsCaptured),
        ((_AUTO, _step("refund", 400, "unknown")), 1, OperationInFlight),
        ((_AUTO, _step("dispute", 400)), 601, RefundExceedsCaptured),
        ((_AUTO, _step("refund", 1_000)), None, RefundExceedsCaptured),
    ],
)
def test_refunds_are_refused(
    operations: tuple[Operation, ...], amount: int | None, error: type[PayengineError]
) -> None:
    now, known = _standing(*operations)
    with pytest.raises(error):
        plan_refund(now, known, amount_minor=amount)


def test_a_refund_gives_back_what_is_left() -> None:
    now, known = _standing(_AUTO, _step("refund", 400))
    assert plan_refund(now, known, amount_minor=None).amount_minor == 600
    assert plan_refund(now, known, amount_minor=600).amount_minor == 600
    declined = _step("refund", 400, "declined")
    assert plan_refund(*_standing(_AUTO, declined), amount_minor=None).amount_minor == 1_000


@pytest.mark.parametrize(
    ("operations", "amount", "error"),
    [
        ((operation(),), 1, OperationInFlight),
        ((_AUTO,), 1, TransitionRefused),
        ((_DECLINED,), 1, TransitionRefused),
        ((_HOLD, _VOIDED), 1, TransitionRefused),
        ((_HOLD, _RUN_OUT), 1, HoldExpired),
        ((_HOLD, _step("capture", 400)), 1, TransitionRefused),
        ((_HOLD, _step("increment", 400, "unknown")), 1, OperationInFlight),
        ((_HOLD, _step("capture", 400, "sending")), 1, OperationInFlight),
        ((_HOLD,), MAX_MINOR, AuthorizationExceeded),
    ],
)
def test_increments_are_refused(
    operations: tuple[Operation, ...], amount: int, error: type[PayengineError]
) -> None:
    now, known = _standing(*operations)
    with pytest.raises(error):
        plan_increment(now, known, MANIFEST, amount_minor=amount, at=START)


def test_a_gateway_without_increments_is_not_asked() -> None:
    now, known = _standing(_HOLD)
    with pytest.raises(TransitionRefused):
        plan_increment(now, known, _POOR, amount_minor=1, at=START)
    assert plan_increment(now, known, MANIFEST, amount_minor=1, at=START).amount_minor == 1


def test_the_hold_is_the_last_that_succeeded() -> None:
    later = operation(id="op_9", status="succeeded")
    assert settled_hold([_DECLINED, _HOLD, later]) is later
    assert settled_hold([_DECLINED]) is None


def _plan_all(*operations: Operation, at: datetime, **flags: Any) -> list[str]:
    """The steps that are planned in spite of these operations."""
    now, known = _standing(*operations)
    now = msgspec.structs.replace(now, **flags)
    tried: dict[str, Callable[[], object]] = {
        "capture": lambda: plan_capture(
            now, known, MANIFEST, amount_minor=1, final=False, at=at, wall=at
        ),
        "void": lambda: plan_void(now, known, at=at, wall=at),
        "refund": lambda: plan_refund(now, known, amount_minor=1, wall=at),
        "increment": lambda: plan_increment(now, known, MANIFEST, amount_minor=1, at=at, wall=at),
    }
    planned = []
    for name, plan in tried.items():
        try:
            plan()
        except OperationInFlight:
            continue
        except PayengineError:
            pass
        planned.append(name)
    return planned


def test_nothing_is_planned_before_an_open_outcome_is_repaired() -> None:
    lease = START + timedelta(seconds=3)
    sent = _step("refund", 1, "sending", due_at=lease)
    assert _plan_all(_HOLD, sent, at=lease - timedelta(microseconds=1)) != []
    assert _plan_all(_HOLD, sent, at=lease) == []
    assert _plan_all(_HOLD, _step("refund", 1, "unknown"), at=START) == []
    waits = _step("refund", 1, "pending", due_at=lease)
    assert _plan_all(_HOLD, waits, at=START + timedelta(days=1), needs_review=True) != []
    left = _step("refund", 1, "pending")
    assert _plan_all(_HOLD, left, at=START, needs_review=True) == []
