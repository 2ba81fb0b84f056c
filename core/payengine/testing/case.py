"""What must the contract know about a gateway?

A `GatewayCase` holds the gateway, its settings and the samples that make its provider's test mode
approve, decline, ask or fall silent. What a case leaves out is skipped, aloud.
"""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar

from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Gateway,
    Manifest,
    Movement,
    NotSent,
    Outcome,
    PaymentMethod,
    PluginSettings,
    Statement,
    WebhookRequest,
)

__all__ = [
    "ContractBroken",
    "GatewayCase",
    "NotApplicable",
    "OpenDispute",
    "SignWebhook",
    "refuse",
    "require",
]

T = TypeVar("T")

#: Makes the provider's genuine webhook about an authorization, as sent and received at an instant.
SignWebhook = Callable[[Call, Authorize, Outcome, datetime], WebhookRequest]

#: Makes the buyer dispute a captured payment at the provider; the dispute's reference there.
OpenDispute = Callable[[Gateway, Call, Authorize], Awaitable[str]]


class ContractBroken(AssertionError):
    """The gateway does not keep the contract."""


class NotApplicable(Exception):
    """The manifest does not declare it, or the case gives no sample of it."""


def require(holds: object, problem: str) -> None:
    """Raise `ContractBroken` with the problem unless it holds."""
    if not holds:
        raise ContractBroken(problem)


def refuse(problem: str) -> NoReturn:
    """Raise `ContractBroken`."""
    raise ContractBroken(problem)


@dataclass(frozen=True, kw_only=True)
class GatewayCase:
    """A gateway with all that its contract tests need.

    `amount_minor` is at least 100. `make_timeout` turns a request into one that the provider
    carries out and whose answer is lost; `sign_webhook` makes a genuine webhook, `open_dispute` a
    dispute. `account` names the account at the gateway, `settle_s` is how long a delayed result may
    take.
    """

    gateway: Gateway
    settings: PluginSettings
    approved_token: str
    declined_token: str
    decline_code: str | None = None
    challenge_token: str | None = None
    pending_token: str | None = None
    make_timeout: Callable[[Authorize], Authorize] | None = None
    sign_webhook: SignWebhook | None = None
    open_dispute: OpenDispute | None = None
    account: str = "acct_contract"
    currency: str = "EUR"
    amount_minor: int = 1_200
    deadline_ms: int = 5_000
    settle_s: float = 5.0
    kind: str = "card"
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def manifest(self) -> Manifest:
        """The gateway's manifest."""
        return self.gateway.describe()

    def call(self) -> Call:
        """The frame of each request."""
        return Call(account=self.account, settings=self.settings, deadline_ms=self.deadline_ms)

    def amount(self, minor: int | None = None) -> Amount:
        """An amount in the case's currency."""
        return Amount(self.amount_minor if minor is None else minor, self.currency)

    def key(self) -> str:
        """A key that was never used before."""
        return f"contract-{uuid.uuid4().hex}"

    def payment(self, *, capture: bool, token: str | None = None) -> Authorize:
        """A fresh authorization, approved unless `token` says otherwise."""
        return Authorize(
            key=self.key(),
            amount=self.amount(),
            capture=capture,
            payment_method=PaymentMethod(token=token or self.approved_token, kind=self.kind),
            payment_id=f"pay_{uuid.uuid4().hex[:26]}",
            return_url="https://shop.example/return",
        )

    async def approved(self, *, capture: bool) -> tuple[Authorize, Outcome, str]:
        """A payment that succeeded: the request, the answer and the provider's reference."""
        request = self.payment(capture=capture)
        outcome = await self.within(self.gateway.authorize(self.call(), request))
        require(
            outcome.status == "succeeded",
            f"the approved token {self.approved_token!r} answered {outcome.status}",
        )
        reference = outcome.provider_reference
        require(
            isinstance(reference, str) and reference,
            "a successful authorization must carry the provider's reference",
        )
        return request, outcome, str(reference)

    async def within(self, answer: Awaitable[T]) -> T:
        """The answer, within the deadline that the call names."""
        return await asyncio.wait_for(answer, self.deadline_ms / 1000)

    async def refused(self, answer: Awaitable[Outcome], what: str) -> Outcome | None:
        """The refusal: a decline, `not_processed`, or None for an exception other than NotSent."""
        try:
            outcome = await self.within(answer)
        except NotSent:
            refuse(f"{what} was sent, and must not be reported as not sent")
        except TimeoutError:
            refuse(f"{what} was not answered within {self.deadline_ms} ms")
        except Exception:
            return None
        require(
            outcome.status in ("declined", "not_processed"),
            f"{what} must be refused; it answered {outcome.status}",
        )
        return outcome

    async def moved(self, *keys: str) -> list[Movement]:
        """The provider's own lines about these keys; raises `NotApplicable` without a statement."""
        if not self.manifest.movements or not isinstance(self.gateway, Statement):
            raise NotApplicable("the manifest declares no movements")
        lines: Sequence[Movement] = await self.within(
            self.gateway.movements(
                self.call(),
                since=self.began_at - timedelta(minutes=5),
                until=datetime.now(UTC) + timedelta(minutes=5),
            )
        )
        return [line for line in lines if line.key in keys]

    async def require_moved(self, expected: int, *keys: str) -> None:
        """Σ of the provider's own lines about these keys, where it keeps a statement."""
        try:
            lines = await self.moved(*keys)
        except NotApplicable:
            return
        total = sum(line.amount.minor for line in lines)
        require(
            total == expected,
            f"the provider's books moved {total} where {expected} was asked ({len(lines)} lines)",
        )

    async def aclose(self) -> None:
        """Close the gateway where it can be closed."""
        close = getattr(self.gateway, "aclose", None)
        if close is not None:
            done = close()
            if inspect.isawaitable(done):
                await done
