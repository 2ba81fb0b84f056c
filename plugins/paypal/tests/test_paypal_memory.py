"""Is what was sent remembered for a while, and for no longer?"""

from __future__ import annotations

import pytest
from payengine.plugin import Amount, Authorize, Outcome, PaymentMethod
from payengine_paypal import memory
from payengine_paypal.memory import Memory


def request(key: str) -> Authorize:
    """Any authorization."""
    method = PaymentMethod(token="paypal", kind="paypal")
    return Authorize(
        key=key, amount=Amount(1, "EUR"), capture=True, payment_method=method, payment_id="pay_1"
    )


def test_accounts_are_kept_apart() -> None:
    kept = Memory()
    kept.sending("a", request("k"))
    assert kept.find("b", "k") is None
    sent = kept.find("a", "k")
    assert sent is not None
    assert (sent.request.key, sent.outcome) == ("k", None)


def test_answer_stays_when_it_is_sent_again() -> None:
    kept, outcome = Memory(), Outcome(status="pending", amount=Amount(1, "EUR"))
    kept.sending("a", request("k"))
    kept.ended("a", "k", outcome)
    kept.sending("a", request("k"))
    kept.never_left("a", "k")
    sent = kept.find("a", "k")
    assert sent is not None
    assert sent.outcome == outcome


def test_what_never_left_is_not_remembered() -> None:
    kept = Memory()
    kept.sending("a", request("k"))
    kept.never_left("a", "k")
    assert kept.find("a", "k") is None


def test_oldest_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST", 10)
    kept = Memory()
    for number in range(12):
        kept.sending("a", request(str(number)))
    gone = [number for number in range(12) if kept.find("a", str(number)) is None]
    assert gone == [0, 1]


def test_it_forgets_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_KEPT_S", -1.0)
    kept = Memory()
    kept.sending("a", request("k"))
    assert kept.find("a", "k") is None
