"""What if my gateway has a bad day?

`ChaosGateway` stands in front of any gateway and makes it fail by a seed: which fault strikes is
a pure function of the seed, the key, the kind of operation and the number of the try.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Literal, cast

from payengine.plugin import (
    AcceptDispute,
    Authorize,
    Call,
    Capture,
    DisputeEvent,
    DisputeEvidence,
    Disputes,
    Gateway,
    Increment,
    Increments,
    Lookup,
    Manifest,
    Movement,
    NotSent,
    Outcome,
    Refund,
    Statement,
    Void,
    WebhookEvent,
    WebhookRequest,
)

__all__ = ["Chaos", "ChaosGateway", "ChaosStruck", "FaultName"]

FaultName = Literal[
    "not_sent", "error_before", "error_after", "hang_before", "hang_after", "garbage"
]

_ORDER: tuple[FaultName, ...] = (
    "not_sent",
    "error_before",
    "error_after",
    "hang_before",
    "hang_after",
    "garbage",
)
_BEYOND_DEADLINE_S = 5.0
_MAX_TRIES_KEPT = 1_000_000


class ChaosStruck(Exception):
    """The gateway failed because chaos said so."""


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """The seed and how many of a thousand calls meet each fault."""

    seed: int = 0
    not_sent: int = 0
    error_before: int = 0
    error_after: int = 0
    hang_before: int = 0
    hang_after: int = 0
    garbage: int = 0
    lookups: bool = False

    def strike(self, *, key: str, kind: str, attempt: int) -> FaultName | None:
        """The fault of this try, counted from 1, or None."""
        if kind == "lookup" and not self.lookups:
            return None
        text = f"{self.seed}\x1f{kind}\x1f{attempt}\x1f{key}"
        place = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % 1000
        for fault in _ORDER:
            place -= int(getattr(self, fault))
            if place < 0:
                return fault
        return None


class ChaosGateway:
    """A gateway that fails as `chaos` says, and else is the one that it wraps."""

    def __init__(self, inner: Gateway, chaos: Chaos) -> None:
        self.inner = inner
        self.chaos = chaos
        self._tries: Counter[tuple[str, str, str]] = Counter()

    def describe(self) -> Manifest:
        """The wrapped gateway's manifest."""
        return self.inner.describe()

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """As the wrapped gateway, or a fault."""
        return await self._meet(
            call, request.key, "authorize", lambda: self.inner.authorize(call, request)
        )

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """As the wrapped gateway, or a fault."""
        return await self._meet(
            call, request.key, "capture", lambda: self.inner.capture(call, request)
        )

    async def void(self, call: Call, request: Void) -> Outcome:
        """As the wrapped gateway, or a fault."""
        return await self._meet(call, request.key, "void", lambda: self.inner.void(call, request))

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """As the wrapped gateway, or a fault."""
        return await self._meet(
            call, request.key, "refund", lambda: self.inner.refund(call, request)
        )

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """As the wrapped gateway; a fault only where chaos strikes lookups too."""
        return await self._meet(
            call, request.key, "lookup", lambda: self.inner.lookup(call, request)
        )

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """As the wrapped gateway."""
        return self.inner.parse_webhook(call, request)

    async def increment(self, call: Call, request: Increment) -> Outcome:
        """As the wrapped gateway, or a fault."""
        inner = self.inner
        if not isinstance(inner, Increments):
            raise NotSent("the wrapped gateway has no increment")
        return await self._meet(
            call, request.key, "increment", lambda: inner.increment(call, request)
        )

    async def submit_evidence(self, call: Call, request: DisputeEvidence) -> Outcome:
        """As the wrapped gateway, or a fault."""
        inner = self.inner
        if not isinstance(inner, Disputes):
            raise NotSent("the wrapped gateway answers no disputes")
        return await self._meet(
            call, request.key, "submit_evidence", lambda: inner.submit_evidence(call, request)
        )

    async def accept_dispute(self, call: Call, request: AcceptDispute) -> Outcome:
        """As the wrapped gateway, or a fault."""
        inner = self.inner
        if not isinstance(inner, Disputes):
            raise NotSent("the wrapped gateway answers no disputes")
        return await self._meet(
            call, request.key, "accept_dispute", lambda: inner.accept_dispute(call, request)
        )

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        """As the wrapped gateway."""
        if not isinstance(self.inner, Statement):
            raise NotSent("the wrapped gateway keeps no statement")
        return await self.inner.movements(call, since=since, until=until)

    async def aclose(self) -> None:
        """Close the wrapped gateway where it can be closed."""
        close = getattr(self.inner, "aclose", None)
        if close is not None:
            await close()

    async def _meet(
        self, call: Call, key: str, kind: str, act: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        if len(self._tries) >= _MAX_TRIES_KEPT:
            self._tries.clear()
        self._tries[call.account, key, kind] += 1
        attempt = self._tries[call.account, key, kind]
        fault = self.chaos.strike(key=key, kind=kind, attempt=attempt)
        if fault == "not_sent":
            raise NotSent("chaos: no connection")
        if fault == "error_before":
            raise ChaosStruck("an error, with nothing done")
        if fault == "hang_before":
            await self._hang(call)
        outcome = await act()
        if fault == "error_after":
            raise ChaosStruck("an error, after it was done")
        if fault == "hang_after":
            await self._hang(call)
        if fault == "garbage":
            return cast(Outcome, {"status": "perhaps"})
        return outcome

    async def _hang(self, call: Call) -> None:
        await asyncio.sleep(call.deadline_ms / 1000 + _BEYOND_DEADLINE_S)
        raise ChaosStruck("no answer in time")
