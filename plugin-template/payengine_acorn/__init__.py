"""How does the engine speak to Acorn Pay? One class that translates, and two functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Capture,
    Decline,
    Gateway,
    Lookup,
    Manifest,
    Outcome,
    PluginSettings,
    Refund,
    Secret,
    Void,
    WebhookEvent,
    WebhookRequest,
    hookimpl,
)

from payengine_acorn import webhooks
from payengine_acorn.acorn import Acorn

__all__ = ["AcornGateway", "AcornSettings", "conformance", "gateways", "outcome_of"]

#: Acorn's reasons in the engine's taxonomy; what is not listed becomes `generic_decline`.
REASONS = {"NSF": "insufficient_funds", "LOST": "lost_card", "OVER_LIMIT": "invalid_amount"}


class AcornSettings(PluginSettings, frozen=True, kw_only=True):
    """What a tenant fills in; the engine draws the form and seals the secrets."""

    api_key: Secret = ""
    webhook_secret: Secret = ""


class AcornGateway:
    """Acorn Pay."""

    def __init__(self) -> None:
        self._acorn = Acorn()

    def describe(self) -> Manifest:
        """What Acorn can do."""
        return Manifest(
            name="acorn",
            title="Acorn Pay",
            version="0.1.0",
            contract="1.0",
            currencies=("EUR", "USD"),
            webhooks=True,
            settings=AcornSettings,
        )

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        """Hold or take the amount."""
        more = {"card": request.payment_method.token, "take": request.capture}
        return await self._send(call, request.key, "charge", request.amount, more)

    async def capture(self, call: Call, request: Capture) -> Outcome:
        """Take what is held, once."""
        more = {"charge": request.provider_reference}
        return await self._send(call, request.key, "take", request.amount, more)

    async def void(self, call: Call, request: Void) -> Outcome:
        """Release what is held."""
        more = {"charge": request.provider_reference}
        return await self._send(call, request.key, "release", request.amount, more)

    async def refund(self, call: Call, request: Refund) -> Outcome:
        """Give a part back."""
        more = {"charge": request.provider_reference}
        return await self._send(call, request.key, "return", request.amount, more)

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """Find an operation by its key."""
        found = await self._acorn.find(call.settings.api_key, request.key)
        return Outcome(status="not_found") if found is None else outcome_of(found)

    def parse_webhook(self, call: Call, request: WebhookRequest) -> Sequence[WebhookEvent]:
        """Verify first, read later."""
        webhooks.verify(request, secret=call.settings.webhook_secret)
        return webhooks.read(request, outcome_of)

    async def _send(
        self, call: Call, key: str, action: str, amount: Amount, more: dict[str, Any]
    ) -> Outcome:
        body = {"action": action, "cents": amount.minor, "currency": amount.currency, **more}
        return outcome_of(await self._acorn.send(call.settings.api_key, key, body))


def outcome_of(answer: dict[str, Any]) -> Outcome:
    """Acorn's answer in the engine's words."""
    reference, reason = str(answer["id"]), answer["reason"]
    if answer["state"] != "ok":
        refused = Decline(code=REASONS.get(reason, "generic_decline"), raw_code=reason)
        return Outcome(status="declined", provider_reference=reference, decline=refused)
    amount, taken = Amount(answer["cents"], answer["currency"]), bool(answer["taken"])
    return Outcome(status="succeeded", provider_reference=reference, amount=amount, captured=taken)


@hookimpl
def gateways() -> Sequence[Gateway]:
    """What this plugin brings."""
    return [AcornGateway()]


def conformance() -> object:
    """The samples for `payengine plugins check acorn`; imported only when asked for."""
    from payengine_acorn.samples import acorn_case

    return acorn_case()
