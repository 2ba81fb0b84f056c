"""A provider that answers when the test lets it, and tells by webhook what the test wants told.

Beside it stands a mute one, which sends no webhooks at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest
from payengine.plugin import (
    Amount,
    Call,
    Decline,
    DisputeEvent,
    Lookup,
    Manifest,
    NextAction,
    Outcome,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
    from_plain,
    hookimpl,
    to_plain,
)

from tests.engines import Shop, Till, open_till
from tests.notices import Notice
from tests.servers import HomeOfTest

__all__ = [
    "BEGINNING",
    "Crier",
    "CrierPlugin",
    "Stage",
    "crier_shop",
    "cry",
    "open_crier",
    "stage",
    "word",
]

_SECRET = b"the crier's secret"
#: When what the crier tells of began to happen.
BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)
_PATIENCE_S = 60.0

Status = Literal["succeeded", "declined", "requires_action", "pending"]


def word(
    kind: Any,
    status: Any,
    amount: int,
    *,
    key: str | None = None,
    reference: str | None = None,
    captured: bool = False,
    number: int = 0,
    event_id: str | None = None,
) -> WebhookEvent:
    """A fact; `number` says in which minute it happened."""
    return WebhookEvent(
        event_id=event_id or f"{kind}.{status}.{number}.{uuid.uuid4().hex}",
        kind=kind,
        key=key,
        provider_reference=reference,
        outcome=_outcome(status, amount, reference=reference, captured=captured),
        occurred_at=BEGINNING + timedelta(minutes=number),
    )


def _outcome(status: Any, amount: int, *, reference: str | None, captured: bool) -> Outcome:
    return Outcome(
        status=status,
        provider_reference=reference,
        amount=Amount(amount, "EUR") if status in ("succeeded", "pending") else None,
        captured=captured and status == "succeeded",
        decline=Decline(code="generic_decline", raw_code="05") if status == "declined" else None,
        next_action=NextAction(url="https://bank.example/ok")
        if status == "requires_action"
        else None,
        raw_status="said",
    )


def cry(*events: WebhookEvent | DisputeEvent) -> Notice:
    """A genuine call of the crier's."""
    told = [
        {"about": "dispute" if isinstance(event, DisputeEvent) else "payment"}
        | {"event": to_plain(event)}
        for event in events
    ]
    body = msgspec.json.encode(told)
    return Notice({"x-proof": hmac.new(_SECRET, body, hashlib.sha256).hexdigest()}, body)


class Crier:
    """Succeeds at once, unless the account's answers are held back."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.answers: dict[str, Status] = {}
        self.fees: dict[str, int] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def describe(self) -> Manifest:
        """Test worlds only; it can do everything."""
        return Manifest(
            name="crier",
            title="Crier",
            version="1",
            multiple_captures=True,
            webhooks=True,
            test_worlds_only=True,
            enabled_by_default_in_test=True,
            methods=("crier",),
        )

    async def release(self, account: str) -> None:
        """Let the oldest call of the account that waits be answered; waits until there is one."""
        async with asyncio.timeout(_PATIENCE_S):
            while not self._waiting.get(account):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        self._waiting[account].pop(0).set_result(None)

    async def _answer(self, call: Call, kind: str, request: Any) -> Outcome:
        if call.account in self.held:
            waits = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(call.account, []).append(waits)
            await waits
        return _outcome(
            self.answers.get(call.account, "succeeded"),
            request.amount.minor,
            reference=kind,
            captured=getattr(request, "capture", False),
        )

    async def authorize(self, call: Call, request: Any) -> Outcome:
        """When it is released."""
        return await self._answer(call, "authorize", request)

    async def capture(self, call: Call, request: Any) -> Outcome:
        """When it is released."""
        return await self._answer(call, "capture", request)

    async def void(self, call: Call, request: Any) -> Outcome:
        """When it is released."""
        return await self._answer(call, "void", request)

    async def refund(self, call: Call, request: Any) -> Outcome:
        """When it is released."""
        return await self._answer(call, "refund", request)

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """It tells what has a fee by now, and nothing of anything else."""
        if request.key not in self.fees:
            raise RuntimeError("the crier answers no questions")
        found = _outcome("succeeded", 1_000, reference=request.kind, captured=True)
        return msgspec.structs.replace(found, fee_minor=self.fees[request.key])

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """Verified by a hash of the body."""
        right = hmac.new(_SECRET, request.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right, request.headers.get("x-proof", "")):
            raise WebhookRefused("That was not the crier.")
        return [
            from_plain(one["event"], DisputeEvent)
            if one["about"] == "dispute"
            else from_plain(one["event"], WebhookEvent)
            for one in msgspec.json.decode(request.body)
        ]


class _Mute(Crier):
    def describe(self) -> Manifest:
        return msgspec.structs.replace(
            super().describe(), name="mute", title="Mute", webhooks=False
        )


class CrierPlugin:
    """Brings the two."""

    def __init__(self) -> None:
        self.crier = Crier()

    @hookimpl
    def gateways(self) -> Sequence[Any]:
        """The crier, and the mute one."""
        return [self.crier, _Mute()]


@dataclass(frozen=True)
class Stage:
    """A till with the crier beside the sandbox."""

    till: Till
    crier: Crier


@asynccontextmanager
async def open_crier(home: HomeOfTest, **more: Any) -> AsyncIterator[Stage]:
    """An engine whose loops stand still, with the crier beside the sandbox."""
    plugin = CrierPlugin()
    async with open_till(home, plugins={"crier": plugin}, **more) as till:
        yield Stage(till, plugin.crier)


@pytest.fixture(scope="session")
async def stage(payment_home: HomeOfTest) -> AsyncIterator[Stage]:
    """The crier's till for the whole session."""
    async with open_crier(payment_home, gateway_deadline_ms=60_000) as opened:
        yield opened


@pytest.fixture
async def crier_shop(stage: Stage) -> Shop:
    """A fresh tenant at the crier's till."""
    return await stage.till.shop()
