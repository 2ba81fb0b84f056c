"""Is every answer of a gateway put into the one status that it proves?"""

from __future__ import annotations

import pytest
from payengine.payments.findings import finding_of
from payengine.plugin import Amount, Decline, NextAction, Outcome
from payengine.registry import Answer

from tests.core.payments.histories import operation

_ASKED = operation(capture=True)
_SAID = Amount(1_000, "EUR")


def _answer(status: str, **given: object) -> Answer:
    fields: dict[str, object] = {"status": status, "amount": _SAID, "captured": True}
    return Answer(kind="outcome", outcome=Outcome(**(fields | given)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (_answer("succeeded"), "succeeded"),
        (_answer("pending", captured=False), "pending"),
        (
            _answer("requires_action", captured=False, next_action=NextAction(url="https://x.y")),
            "requires_action",
        ),
        (
            _answer("declined", amount=None, decline=Decline(code="lost_card", raw_code="41")),
            "declined",
        ),
        (_answer("not_processed", amount=None), "not_sent"),
        (_answer("not_found", amount=None), "unknown"),
        (Answer(kind="not_sent", reason="breaker_open"), "not_sent"),
        (Answer(kind="unknown", reason="timeout"), "unknown"),
        (Answer(kind="outcome", outcome=None), "unknown"),
    ],
)
def test_each_answer_has_its_status(answer: Answer, status: str) -> None:
    finding = finding_of(answer, _ASKED, source="answer")
    assert (finding.status, finding.mismatch, finding.source) == (status, False, "answer")


@pytest.mark.parametrize(
    "answer",
    [
        _answer("succeeded", amount=Amount(999, "EUR")),
        _answer("succeeded", amount=Amount(1_000, "USD")),
        _answer("pending", amount=Amount(1_001, "EUR")),
        _answer("succeeded", captured=False),
        Answer(kind="unknown", mismatch=True, outcome=Outcome(status="succeeded", amount=_SAID)),
    ],
)
def test_another_amount_or_capture_is_unknown_and_a_contradiction(answer: Answer) -> None:
    finding = finding_of(answer, _ASKED, source="lookup")
    assert (finding.status, finding.mismatch) == ("unknown", True)
    assert finding.as_data()["outcome"] is not None


def test_a_hold_that_was_captured_at_once_is_a_contradiction() -> None:
    assert finding_of(_answer("succeeded"), operation(), source="answer").mismatch
