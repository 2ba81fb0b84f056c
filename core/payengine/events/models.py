"""What is an event, and where does a reader stand?

An event is written in the transaction of what it tells. After commit the relay gives it a
position, dense and rising per tenant; a cursor is an epoch and a position.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec

from payengine.errors import CursorInvalid

__all__ = ["Cursor", "Event", "EventFilter", "NewEvent", "Resync"]

_MOST = 2**63 - 1  # what a bigint holds


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event before the relay has placed it."""

    id: str
    type: str
    data: dict[str, Any]
    occurred_at: datetime
    payment_id: str | None = None
    operation_id: str | None = None
    customer_id: str | None = None


class Cursor(msgspec.Struct, frozen=True):
    """After which event to go on: positions count from 1 within an epoch."""

    epoch: int
    position: int

    def __str__(self) -> str:
        """The opaque form that clients keep."""
        text = f"{self.epoch}.{self.position}".encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read the opaque form; raises `CursorInvalid`."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
            epoch, _, position = plain.partition(".")
            found = cls(int(epoch), int(position))
        except (UnicodeError, binascii.Error, ValueError):
            raise CursorInvalid from None
        # One cursor has one spelling: no signs, zeros in front, or bits behind.
        if str(found) != text or not (0 <= found.position <= _MOST and 0 <= found.epoch <= _MOST):
            raise CursorInvalid
        return found


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the tenant's order."""

    id: str
    position: int
    cursor: str
    type: str
    data: dict[str, Any]
    occurred_at: datetime
    payment_id: str | None
    operation_id: str | None
    customer_id: str | None


class Resync(msgspec.Struct, frozen=True):
    """The reader was too slow and has missed events; go on from `cursor` with a new feed."""

    cursor: str


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events a reader wants; an empty filter wants all."""

    types: frozenset[str] = frozenset()
    payment_id: str | None = None
    customer_id: str | None = None

    def wants(self, event: Event) -> bool:
        """Whether the event passes."""
        return (
            (not self.types or event.type in self.types)
            and (self.payment_id is None or event.payment_id == self.payment_id)
            and (self.customer_id is None or event.customer_id == self.customer_id)
        )
