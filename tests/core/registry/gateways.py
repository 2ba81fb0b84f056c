"""Gateways for the tests: a good one to vary, and the pack of hostile ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

import msgspec
from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Capture,
    Decline,
    Gateway,
    Lookup,
    Manifest,
    NextAction,
    NotSent,
    Outcome,
    PaymentMethod,
    PluginSettings,
    Refund,
    Secret,
    Void,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
    hookimpl,
)

__all__ = [
    "DECLINED",
    "HOSTILE",
    "GoodGateway",
    "GoodSettings",
    "PluginOf",
    "Stubborn",
    "authorize_request",
    "call_of",
    "good_outcome",
]

DECLINED = Decline(code="insufficient_funds", raw_code="51", raw_text="Not enough")


class GoodSettings(PluginSettings, frozen=True, kw_only=True):
    """Settings with a required secret, a bounded number and a text."""

    api_key: Secret
    fee_bps: int = 290
    region: str = "eu"


def good_outcome(request: Any, **changes: Any) -> Outcome:
    """What a faithful provider says of the request."""
    outcome = Outcome(
        status="succeeded",
        provider_reference="ch_1",
        amount=request.amount,
        captured=getattr(request, "capture", False),
        raw_status="ok",
    )
    return msgspec.structs.replace(outcome, **changes)


class GoodGateway:
    """Succeeds at once; `authorizes` replaces what an authorization answers."""

    def __init__(
        self,
        name: str = "good",
        *,
        authorizes: Callable[[Call, Authorize], Awaitable[Any]] | None = None,
        **declared: Any,
    ) -> None:
        self._authorizes = authorizes
        fields: dict[str, Any] = {"title": name.title(), "version": "1.2.3", "webhooks": True}
        self.manifest = Manifest(name=name, **(fields | declared))
        self.calls: list[Call] = []

    def describe(self) -> Manifest:
        return self.manifest

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        self.calls.append(call)
        if self._authorizes is not None:
            answer: Outcome = await self._authorizes(call, request)
            return answer
        return good_outcome(request)

    async def capture(self, call: Call, request: Capture) -> Outcome:
        return good_outcome(request)

    async def void(self, call: Call, request: Void) -> Outcome:
        return good_outcome(request, amount=None)

    async def refund(self, call: Call, request: Refund) -> Outcome:
        self.calls.append(call)
        return good_outcome(request)

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        return Outcome(status="not_found")

    def parse_webhook(self, call: Call, request: WebhookRequest) -> Sequence[WebhookEvent]:
        raise WebhookRefused("no signature")


class PluginOf:
    """A plugin object that offers the given gateways."""

    def __init__(self, *offered: Gateway) -> None:
        self._offered = offered

    @hookimpl
    def gateways(self) -> Sequence[Gateway]:
        return self._offered


class Stubborn(BaseException):
    """A relative of KeyboardInterrupt: `except Exception` does not see it."""


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("even my words are hostile")


def call_of(deadline_ms: int = 200) -> Call:
    """A call of some tenant."""
    return Call(account="acct", settings=PluginSettings(), deadline_ms=deadline_ms)


def authorize_request(
    minor: int = 1_000, currency: str = "EUR", *, capture: bool = True
) -> Authorize:
    """An authorization."""
    return Authorize(
        key="key_1",
        amount=Amount(minor, currency),
        capture=capture,
        payment_method=PaymentMethod(token="tok_ok"),
        payment_id="pay_1",
    )


def _raises(error: BaseException) -> Callable[[Call, Authorize], Awaitable[Any]]:
    async def answer(call: Call, request: Authorize) -> Any:
        raise error

    return answer


def _says(**changes: Any) -> Callable[[Call, Authorize], Awaitable[Any]]:
    async def answer(call: Call, request: Authorize) -> Any:
        return good_outcome(request, **changes)

    return answer


def _returns(value: Any) -> Callable[[Call, Authorize], Awaitable[Any]]:
    async def answer(call: Call, request: Authorize) -> Any:
        return value

    return answer


async def _hangs(call: Call, request: Authorize) -> Any:
    await asyncio.sleep(3_600)


async def _swallows(call: Call, request: Authorize) -> Any:
    """Refuses to be cancelled, and stops by itself after a while so that the test can end."""
    ends_at = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < ends_at:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue
    return good_outcome(request)


async def _cancels_itself(call: Call, request: Authorize) -> Any:
    raise asyncio.CancelledError


async def _blocks(call: Call, request: Authorize) -> Any:
    """Answers well, but late, without ever giving the loop away."""
    time.sleep(0.25)  # noqa: ASYNC251  # burning the loop's time is the point
    return good_outcome(request)


class _Lookalike:
    """Says that it is an Outcome."""

    __class__ = Outcome  # type: ignore[assignment]


class _HostileZone(tzinfo):
    """Stops the process when a time is read."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        raise SystemExit("the clock is hostile")

    def dst(self, _: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, _: datetime | None) -> str:
        return "hostile"


_HUGE = "9" * 3_000_000
_NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001
_LAST = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))

#: What a hostile plugin does → the kind and the reason of the answer to its authorization.
HOSTILE: dict[str, tuple[Callable[[Call, Authorize], Awaitable[Any]], str, str]] = {
    "raises": (_raises(RuntimeError("boom")), "unknown", "raised"),
    "raises SystemExit": (_raises(SystemExit(1)), "unknown", "raised"),
    "raises KeyboardInterrupt": (_raises(KeyboardInterrupt()), "unknown", "raised"),
    "raises a BaseException": (_raises(Stubborn("!")), "unknown", "raised"),
    "raises GeneratorExit": (_raises(GeneratorExit()), "unknown", "raised"),
    "raises with hostile words": (_raises(_Unspeakable()), "unknown", "raised"),
    "raises with huge words": (_raises(ValueError(_HUGE)), "unknown", "raised"),
    "raises TimeoutError": (_raises(TimeoutError()), "unknown", "raised"),
    "raises ConnectionResetError": (_raises(ConnectionResetError()), "unknown", "raised"),
    "cancels itself": (_cancels_itself, "unknown", "raised"),
    "proves that nothing was sent": (_raises(NotSent("refused")), "not_sent", "refused_connection"),
    "hangs": (_hangs, "unknown", "timeout"),
    "hangs and swallows cancellation": (_swallows, "unknown", "timeout"),
    "answers after the deadline": (_blocks, "unknown", "timeout"),
    "returns None": (_returns(None), "unknown", "nonsense"),
    "returns a dict": (_returns({"status": "succeeded"}), "unknown", "nonsense"),
    "returns a lookalike": (_returns(_Lookalike()), "unknown", "nonsense"),
    "says NaN": (_says(amount=Amount(float("nan"), "EUR")), "unknown", "nonsense"),  # type: ignore[arg-type]
    "says a float": (_says(amount=Amount(1000.0, "EUR")), "unknown", "nonsense"),  # type: ignore[arg-type]
    "says a bool": (_says(amount=Amount(True, "EUR")), "unknown", "nonsense"),
    "says a text": (_says(amount=Amount("1000", "EUR")), "unknown", "nonsense"),  # type: ignore[arg-type]
    "says a negative amount": (_says(amount=Amount(-1000, "EUR")), "unknown", "nonsense"),
    "says zero": (_says(amount=Amount(0, "EUR")), "unknown", "nonsense"),
    "says more than 64 bits": (_says(amount=Amount(2**80, "EUR")), "unknown", "nonsense"),
    "says no amount": (_says(amount=None), "unknown", "nonsense"),
    "says another currency": (_says(amount=Amount(1000, "USD")), "unknown", "nonsense"),
    "says another amount": (_says(amount=Amount(999, "EUR")), "unknown", "nonsense"),
    "says that it only held": (_says(captured=False), "unknown", "nonsense"),
    "says an unknown status": (_says(status="great"), "unknown", "unmodelled"),
    "declines without a decline": (_says(status="declined", amount=None), "unknown", "nonsense"),
    "succeeds with a decline": (_says(decline=DECLINED), "unknown", "nonsense"),
    "asks for no action": (_says(status="requires_action"), "unknown", "nonsense"),
    "asks for a script": (
        _says(status="requires_action", next_action=NextAction(url="javascript:alert(1)")),
        "unknown",
        "nonsense",
    ),
    "asks for another host's page": (
        _says(status="requires_action", next_action=NextAction(url="//evil.example/")),
        "unknown",
        "nonsense",
    ),
    "has not found what it was asked to do": (_says(status="not_found"), "unknown", "nonsense"),
    "claims without proof": (_says(status="not_processed", amount=None), "unknown", "nonsense"),
    "names a huge reference": (_says(provider_reference=_HUGE), "unknown", "nonsense"),
    "names a NUL": (_says(provider_reference="a\x00b"), "unknown", "nonsense"),
    "names half a character": (_says(provider_reference="\ud800"), "unknown", "nonsense"),
    "names a number": (_says(provider_reference=7), "unknown", "nonsense"),
    "takes a negative fee": (_says(fee_minor=-1), "unknown", "nonsense"),
    "takes a float fee": (_says(fee_minor=0.5), "unknown", "nonsense"),
    "tells a time without a zone": (_says(expires_at=_NAIVE), "unknown", "nonsense"),
    "tells a text as time": (_says(expires_at="soon"), "unknown", "nonsense"),
    "tells a time that cannot be read": (
        _says(expires_at=datetime(2030, 1, 1, tzinfo=_HostileZone())),
        "unknown",
        "nonsense",
    ),
    "tells a time past all times": (_says(expires_at=_LAST), "unknown", "nonsense"),
}
