"""Do the messages cross a socket unchanged, and is every field checked on the way?"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from payengine.plugin import (
    Amount,
    Authorize,
    BankDetails,
    Capture,
    Decline,
    Increment,
    Lookup,
    Movement,
    NextAction,
    Outcome,
    PaymentMethod,
    Refund,
    Void,
    WebhookEvent,
    WebhookRequest,
    from_plain,
    to_plain,
)

AMOUNT = Amount(2**53 + 1, "JPY")
AT = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
OUTCOME = Outcome(
    status="requires_action",
    provider_reference="ch_1",
    amount=AMOUNT,
    decline=Decline(code="c", raw_code="r"),
    next_action=NextAction(
        url="/x",
        bank_details=BankDetails(
            holder="A", iban="NL91ABNA0417164300", reference="R", amount=AMOUNT
        ),
    ),
    expires_at=AT,
)
MESSAGES: list[msgspec.Struct] = [
    Authorize(
        key="k",
        amount=AMOUNT,
        capture=True,
        payment_method=PaymentMethod(token="t"),
        payment_id="pay_1",
        metadata={"a": "b"},
    ),
    Capture(key="k", provider_reference="ch_1", amount=AMOUNT),
    Void(key="k", provider_reference="ch_1", amount=AMOUNT),
    Refund(key="k", provider_reference="ch_1", amount=AMOUNT),
    Increment(key="k", provider_reference="ch_1", amount=AMOUNT),
    Lookup(key="k", kind="refund"),
    OUTCOME,
    WebhookRequest(headers={"a": "b"}, body=b"\x00\xff", received_at=AT),
    WebhookEvent(
        event_id="e",
        kind="refund",
        key=None,
        provider_reference=None,
        outcome=OUTCOME,
        occurred_at=AT,
    ),
    Movement(key="k", kind="refund", provider_reference="r", amount=AMOUNT, fee_minor=0, at=AT),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_crosses_json_unchanged(message: msgspec.Struct) -> None:
    wire = json.loads(json.dumps(to_plain(message)))
    assert from_plain(wire, type(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_unknown_field_is_refused(message: msgspec.Struct) -> None:
    with pytest.raises(msgspec.ValidationError):
        from_plain(to_plain(message) | {"surprise": 1}, type(message))


@pytest.mark.parametrize("minor", [10.0, 1.5, True, "10", None, float("nan")])
def test_amount_is_a_whole_number(minor: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        from_plain({"minor": minor, "currency": "EUR"}, Amount)
