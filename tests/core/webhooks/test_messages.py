"""Filters let pass what they name, and a message is the same bytes at each attempt."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from payengine.events import Event
from payengine.webhooks.messages import body_of, wants
from payengine.webhooks.signing import new_secret, signed_headers
from standardwebhooks import Webhook


@pytest.mark.parametrize(
    ("filters", "event_type", "is_wanted"),
    [
        ((), "payment.created", True),
        (("*",), "payment.created", True),
        (("payment.created",), "payment.created", True),
        (("payment.created",), "payment.created_too", False),
        (("payment.*",), "payment.created", True),
        (("payment.*",), "payment.capture.pending", True),
        (("payment.*",), "payments.created", False),
        (("payment.*",), "payment", False),
        (("payment.capture.*",), "payment.captured", False),
        (("refund.*", "payment.captured"), "payment.captured", True),
        (("refund.*",), "payment.captured", False),
    ],
)
def test_filters(filters: tuple[str, ...], event_type: str, is_wanted: bool) -> None:
    assert wants(filters, event_type) is is_wanted


def test_a_message_is_signed_for_every_live_secret() -> None:
    event = Event(
        id="evt_1",
        position=7,
        cursor="x",
        type="payment.captured",
        data={"amount_minor": 5, "note": "grüße"},
        occurred_at=datetime(2026, 1, 2, tzinfo=UTC),
        payment_id="pay_1",
        operation_id=None,
        customer_id=None,
    )
    body = body_of(event)
    assert body == body_of(event)
    assert msgspec.json.decode(body) == {
        "id": "evt_1",
        "type": "payment.captured",
        "timestamp": "2026-01-02T00:00:00Z",
        "position": 7,
        "payment_id": "pay_1",
        "operation_id": None,
        "customer_id": None,
        "data": {"amount_minor": 5, "note": "grüße"},
    }
    live = [new_secret(), new_secret()]
    headers = signed_headers(live, message_id=event.id, body=body, at=datetime.now(UTC))
    for secret in live:
        Webhook(secret).verify(body, headers)
    assert len(set(live)) == 2
