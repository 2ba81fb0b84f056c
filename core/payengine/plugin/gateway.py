"""Which calls does a gateway answer?

The same shape in every plugin, in this order. A method may raise anything: the engine takes
`NotSent` as proof that nothing was sent, and every other exception of a money call as an unknown
outcome that only evidence ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from payengine.plugin.manifest import Manifest
from payengine.plugin.messages import (
    AcceptDispute,
    Authorize,
    Call,
    Capture,
    DisputeEvent,
    DisputeEvidence,
    Increment,
    Lookup,
    Movement,
    Outcome,
    Refund,
    Void,
    WebhookEvent,
    WebhookRequest,
)

__all__ = ["Disputes", "Gateway", "Increments", "Statement"]


@runtime_checkable
class Gateway(Protocol):
    """A provider of payments."""

    def describe(self) -> Manifest:
        """The gateway's manifest; pure and constant."""
        ...

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """Hold the amount, and take it where `request.capture` says so."""
        ...

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """Take all or a part of what is held."""
        ...

    async def void(self, call: Call, request: Void) -> Outcome:
        """Release what is still held, or cancel what still waits for the buyer."""
        ...

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """Give back all or a part of what was captured."""
        ...

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """What became of the operation sent with this key; `not_found` where none is known."""
        ...

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """Verify the provider's call and read it; raises `WebhookRefused`, fail-closed."""
        ...


@runtime_checkable
class Increments(Protocol):
    """Optional: the manifest lists the operation `increment`."""

    async def increment(self, call: Call, request: Increment) -> Outcome:
        """Raise the hold by the request's amount."""
        ...


@runtime_checkable
class Disputes(Protocol):
    """Optional: the manifest lists the operations `submit_evidence` and `accept_dispute`.

    `succeeded` needs no amount here. What becomes of the dispute is told by `DisputeEvent`s.
    """

    async def submit_evidence(self, call: Call, request: DisputeEvidence) -> Outcome:
        """Hand the evidence in; the same key is the same submission."""
        ...

    async def accept_dispute(self, call: Call, request: AcceptDispute) -> Outcome:
        """Give the dispute up; the same key is the same acceptance."""
        ...


@runtime_checkable
class Statement(Protocol):
    """Optional: the manifest sets `movements`."""

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        """Every movement of this account with since ≤ at < until, in the order of time."""
        ...
