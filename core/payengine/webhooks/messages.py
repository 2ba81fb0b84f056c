"""What does a webhook say, and which endpoints want to hear it?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from payengine.errors import InputInvalid
from payengine.events import Event

__all__ = ["TEST_TYPE", "body_of", "check_event_types", "test_body", "wants"]

#: What `sendTestWebhook` sends; no event of the log has this type.
TEST_TYPE = "webhook_endpoint.test"

_MAX_TYPES = 50
_LONGEST_TYPE = 100
_TYPE = re.compile(r"\*|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?")


def check_event_types(event_types: Sequence[str]) -> None:
    """Raise `InputInvalid` unless each is a type, a prefix such as `payment.*`, or `*`."""
    if len(event_types) > _MAX_TYPES:
        raise InputInvalid(f"At most {_MAX_TYPES} event types are allowed.", path=("eventTypes",))
    for each in event_types:
        if len(each) > _LONGEST_TYPE or not _TYPE.fullmatch(each):
            raise InputInvalid(
                "An event type looks like payment.captured, or payment.* for all of that kind.",
                path=("eventTypes",),
            )


def wants(event_types: Sequence[str], event_type: str) -> bool:
    """Whether one of the filters lets the type pass; without filters all pass."""
    if not event_types:
        return True
    return any(
        each in ("*", event_type) or (each.endswith(".*") and event_type.startswith(each[:-1]))
        for each in event_types
    )


def body_of(event: Event) -> bytes:
    """The message that tells of an event: the same bytes at each attempt."""
    return _encoded(
        id=event.id,
        type=event.type,
        timestamp=event.occurred_at,
        position=event.position,
        payment_id=event.payment_id,
        operation_id=event.operation_id,
        customer_id=event.customer_id,
        data=event.data,
    )


def test_body(message_id: str, *, endpoint_id: str, at: datetime) -> bytes:
    """A message that tells of nothing."""
    return _encoded(id=message_id, type=TEST_TYPE, timestamp=at, data={"endpoint_id": endpoint_id})


def _encoded(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)
