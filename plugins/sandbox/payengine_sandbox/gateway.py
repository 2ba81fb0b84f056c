"""How does the platform reach the sandbox?

Over HTTP where `PAYENGINE_SANDBOX_URL` is set, else in this process with the books in
`$PAYENGINE_HOME/sandbox.sqlite3`. Both answer the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, cast

from payengine.plugin import (
    AcceptDispute,
    Authorize,
    Call,
    Capture,
    DisputeEvent,
    DisputeEvidence,
    Increment,
    Lookup,
    Manifest,
    Movement,
    Outcome,
    Refund,
    Void,
    WebhookEvent,
    WebhookRequest,
)

from payengine_sandbox import webhooks
from payengine_sandbox.cards import NOT_PROCESSED_CODES
from payengine_sandbox.dispute_records import DisputeStep, ShownDispute, outcome_of_step
from payengine_sandbox.disputes import OpenDispute, digest_of
from payengine_sandbox.local import store_path
from payengine_sandbox.networks import token_for
from payengine_sandbox.records import Command, Garbled, Kind, ProviderError
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.wire import Problem, Shown, movement_of, not_processed, outcome_of, us_of

__all__ = ["MANIFEST", "SandboxGateway", "Transport"]

#: So many lines take less than 1 ms.
_AT_ONCE = 200

MANIFEST = Manifest(
    name="sandbox",
    title="Sandbox",
    version="0.1.0",
    contract="1.0",
    methods=("card",),
    operations=(
        "authorize",
        "increment",
        "capture",
        "void",
        "refund",
        "submit_evidence",
        "accept_dispute",
    ),
    multiple_captures=True,
    supports_idempotency=True,
    key_window_s=10 * 365 * 86_400,
    lookup=True,
    lookup_consistent_after_ms=1_000,
    not_processed_codes=NOT_PROCESSED_CODES,
    webhooks=True,
    movements=True,
    network_tokens=True,
    test_worlds_only=True,
    enabled_by_default_in_test=True,
    max_concurrency=256,
    settings=SandboxSettings,
)


class Transport(Protocol):
    """A way to the provider: in process or over HTTP."""

    async def perform(self, call: Call, command: Command) -> Shown:
        """Send one request; raises `ProviderError` for an answer that is an error."""
        ...

    async def lookup(self, call: Call, key: str) -> Shown | None:
        """The record of the operation sent with `key`, or None."""
        ...

    async def dispute(self, call: Call, told: OpenDispute) -> ShownDispute:
        """The buyer disputes."""
        ...

    async def dispute_step(self, call: Call, step: DisputeStep) -> ShownDispute:
        """Hand evidence in or give up; raises `ProviderError` for an answer that is an error."""
        ...

    async def movements(self, call: Call, *, since_us: int, until_us: int) -> Sequence[Shown]:
        """The records that moved money in the span."""
        ...

    async def aclose(self) -> None:
        """Close the connections or the file."""
        ...


class SandboxGateway:
    """A provider of payments that moves no money."""

    def __init__(self, *, url: str | None = None, path: Path | None = None) -> None:
        """`url` or `path` settle the transport; without them the environment does, each call."""
        self._url = url
        self._path = path
        self._transports: dict[str, Transport] = {}

    def describe(self) -> Manifest:
        """The sandbox's manifest."""
        return MANIFEST

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """Hold the amount, as the token and the magic amounts say."""
        command = Command(
            kind="authorize",
            key=request.key,
            amount_minor=request.amount.minor,
            currency=request.amount.currency,
            capture=request.capture,
            token=token_for(request.payment_method),
            off_session=request.off_session,
            return_url=request.return_url,
            payment_id=request.payment_id,
            challenge=request.challenge,
        )
        return await self._perform(call, command)

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """Take a part of the hold; several times, until one is final."""
        command = Command(
            kind="capture",
            key=request.key,
            amount_minor=request.amount.minor,
            currency=request.amount.currency,
            parent=request.provider_reference,
            final=request.final,
        )
        return await self._perform(call, command)

    async def void(self, call: Call, request: Void) -> Outcome:
        """Release all that is still held, or cancel what still waits."""
        return await self._perform(call, _follow_up("void", request))

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """Give back a part of what was captured."""
        return await self._perform(call, _follow_up("refund", request))

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """The record of the operation sent with the key."""
        found = await self._transport().lookup(call, request.key)
        return Outcome(status="not_found") if found is None else outcome_of(found)

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """Verify the signature, the time and the account, then read the record."""
        settings = call.settings
        secret = settings.webhook_secret if isinstance(settings, SandboxSettings) else ""
        return webhooks.parse(request, secret=secret, account=call.account)

    async def increment(self, call: Call, request: Increment) -> Outcome:
        """Raise the hold."""
        return await self._perform(call, _follow_up("increment", request))

    async def submit_evidence(self, call: Call, request: DisputeEvidence) -> Outcome:
        """Hand the evidence in: the sandbox keeps a digest of it and no content."""
        step = DisputeStep(
            kind="submit_evidence",
            key=request.key,
            reference=request.provider_reference,
            pieces=len(request.texts) + len(request.files),
            digest=digest_of(request),
        )
        return outcome_of_step(await self._transport().dispute_step(call, step))

    async def accept_dispute(self, call: Call, request: AcceptDispute) -> Outcome:
        """Give the dispute up."""
        step = DisputeStep(
            kind="accept_dispute", key=request.key, reference=request.provider_reference
        )
        return outcome_of_step(await self._transport().dispute_step(call, step))

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        """The sandbox's own books of this account."""
        found = await self._transport().movements(
            call, since_us=us_of(since), until_us=us_of(until)
        )
        movements: list[Movement] = []
        for start in range(0, len(found), _AT_ONCE):
            movements += map(movement_of, found[start : start + _AT_ONCE])
            await asyncio.sleep(0)
        return movements

    async def dispute(self, call: Call, key: str) -> ShownDispute:
        """For testers: the buyer disputes what was sent with the key."""
        return await self._transport().dispute(call, OpenDispute(key=key))

    async def aclose(self) -> None:
        """Close what was opened; the next call opens it again."""
        transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            await transport.aclose()

    async def _perform(self, call: Call, command: Command) -> Outcome:
        try:
            return outcome_of(await self._transport().perform(call, command))
        except ProviderError as error:
            if error.code in NOT_PROCESSED_CODES:
                return not_processed(Problem(error.code, error.message))
            raise
        except Garbled as answer:
            # A faulty provider's plugin lets nonsense through: the engine's guard must catch it.
            return cast(Outcome, answer.nonsense)

    def _transport(self) -> Transport:
        url = self._url
        if url is None and self._path is None:
            url = os.environ.get("PAYENGINE_SANDBOX_URL")
        if url:
            return self._transports.get(url) or self._remote(url)
        # By the folder's name as it stands: making a path of it costs more than the look-up.
        home = os.environ.get("PAYENGINE_HOME", "") if self._path is None else ""
        return self._transports.get(home) or self._local(home)

    def _remote(self, url: str) -> Transport:
        from payengine_sandbox.remote import RemoteTransport

        return self._transports.setdefault(url, RemoteTransport(url))

    def _local(self, home: str) -> Transport:
        from payengine_sandbox.local import LocalTransport

        path = self._path or store_path()
        return self._transports.setdefault(home, LocalTransport(path))


def _follow_up(kind: Kind, request: Void | Refund | Increment) -> Command:
    return Command(
        kind=kind,
        key=request.key,
        amount_minor=request.amount.minor,
        currency=request.amount.currency,
        parent=request.provider_reference,
    )
