"""How does an attempt begin?

The rows of one try at one gateway, and the way of a request from one gateway to the next.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from payengine.clock import wall_now
from payengine.ids import new_id
from payengine.payments.methods import Tender
from payengine.payments.models import Attempt, Operation, Payment
from payengine.payments.requests import authorize_request, stored_authorization
from payengine.plugin import Authorize
from payengine.routing import Choice, Fallback

__all__ = ["GRACE_MS", "Intent", "Route", "new_intent"]

#: After the gateway's deadline, how long the engine that asked has to record the outcome.
GRACE_MS = 2_000

#: A gateway that would get less time than this share of the usual is not begun with.
_LEAST_SHARE = 8

#: What is said of the decision with each further attempt too.
_REPEATED = ("policy", "version", "rule", "by", "order")


@dataclass(slots=True, kw_only=True)
class Route:
    """The way of one request: which gateways are left, with what, and until when.

    `ends_at`, set when the first gateway is about to be asked, is the event loop's instant; `tried`
    counts the gateways that were asked.
    """

    choice: Choice
    tender: Tender
    fallback: Fallback
    deadline_ms: int
    tried: int = 1
    ends_at: float = 0.0

    def begin(self) -> None:
        """From now on the request's time runs."""
        self.ends_at = asyncio.get_running_loop().time() + self.deadline_ms / 1_000

    def left_ms(self) -> int:
        """How much of the request's time is left for its next call."""
        return math.ceil((self.ends_at - asyncio.get_running_loop().time()) * 1_000)

    def has_time(self) -> bool:
        """Whether a call that begins now could still end well."""
        return self.left_ms() * _LEAST_SHARE >= self.deadline_ms

    def following(self) -> str | None:
        """The gateway to try next; None where the policy, its bound or the method allows none."""
        is_bound = self.tender.gateway is not None or not self.tender.may_move
        if is_bound or self.tried >= min(self.fallback.max_attempts, len(self.choice.gateways)):
            return None
        return self.choice.gateways[self.tried]

    def explanation(self, *, after: Operation, because: str) -> dict[str, Any]:
        """Why a further attempt goes where it goes."""
        told = self.choice.explanation
        kept = {name: told[name] for name in _REPEATED if name in told}
        before = {"attempt": after.attempt_id, "gateway": after.gateway, "because": because}
        return kept | {"reason": "fallback", "after": before}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is committed before a gateway is asked, and what it will be asked."""

    attempt: Attempt
    operation: Operation
    asked: Authorize

    def made_at(self, instant: datetime) -> Intent:
        """The same, its operation written down at `instant`: the fold reads them in that order."""
        operation = msgspec.structs.replace(self.operation, created_at=instant)
        return Intent(attempt=self.attempt, operation=operation, asked=self.asked)


def new_intent(
    payment: Payment,
    tender: Tender,
    *,
    gateway: str,
    explanation: dict[str, Any],
    number: int,
    at: datetime,
    deadline_ms: int,
    wall: datetime | None = None,
) -> Intent:
    """The attempt with this number at `gateway`, and its operation that is about to be sent.

    `at` is business time; its lease counts from the wall's instant `wall` (None: now).
    """
    sent_at = wall or wall_now()
    method = tender.method
    told = {"country": tender.country, "card_digits": tender.card_digits}
    attempt = Attempt(
        id=new_id("att"),
        payment_id=payment.id,
        number=number,
        gateway=gateway,
        method={"kind": method.kind, "saved": method.saved}
        | {name: value for name, value in told.items() if value is not None},
        routing=explanation,
        created_at=at,
    )
    operation_id = new_id("op")
    asked = authorize_request(
        payment, method, key=operation_id, challenge=tender.challenge, held=tender.held
    )
    operation = Operation(
        id=operation_id,
        payment_id=payment.id,
        attempt_id=attempt.id,
        kind="authorize",
        status="sending",
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        capture=asked.capture,
        final=tender.held,
        gateway=gateway,
        provider_key=operation_id,
        request=stored_authorization(asked, saved_id=payment.saved_payment_method_id),
        resendable=method.network_token is None,
        sent_at=sent_at,
        due_at=sent_at + timedelta(milliseconds=deadline_ms + GRACE_MS),
        created_at=at,
        updated_at=at,
    )
    return Intent(attempt=attempt, operation=operation, asked=asked)
