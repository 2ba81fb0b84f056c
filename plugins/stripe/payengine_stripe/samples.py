"""What do the contract tests need to know about Stripe?"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from datetime import datetime

import msgspec
from payengine.plugin import Authorize, Call, Outcome, WebhookRequest
from payengine.testing import GatewayCase

from payengine_stripe.currencies import to_stripe
from payengine_stripe.gateway import MANIFEST, PLAIN_MANIFEST, StripeGateway
from payengine_stripe.marks import KEY
from payengine_stripe.settings import StripeSettings, settings_of

__all__ = ["CHECK_KEY_VARIABLE", "case_of_environment", "sign", "stripe_case"]

#: A test-mode secret key with which `payengine plugins check stripe` asks Stripe itself.
CHECK_KEY_VARIABLE = "PAYENGINE_STRIPE_CHECK_KEY"

_SECRET = "whsec_contract"  # noqa: S105 - signs the tests' own webhooks


def stripe_case(
    *,
    api_key: str,
    api_base: str | None = None,
    make_timeout: Callable[[Authorize], Authorize] | None = None,
    pending_token: str | None = None,
    flexible: bool = False,
) -> GatewayCase:
    """A case of Stripe's test mode at `api_base`; `flexible` where multicapture is offered."""
    return GatewayCase(
        gateway=StripeGateway(api_base=api_base, manifest=MANIFEST if flexible else PLAIN_MANIFEST),
        settings=StripeSettings(
            api_key=api_key, webhook_secret=_SECRET, multicapture=flexible, increments=flexible
        ),
        approved_token="pm_card_visa",  # noqa: S106 - test tokens are names, no secrets
        declined_token="pm_card_visa_chargeDeclinedInsufficientFunds",  # noqa: S106
        decline_code="insufficient_funds",
        challenge_token="pm_card_threeDSecure2Required",  # noqa: S106
        pending_token=pending_token,
        make_timeout=make_timeout,
        sign_webhook=_webhook,
        deadline_ms=10_000 if api_base is None else 3_000,
    )


def case_of_environment() -> list[GatewayCase]:
    """The case against Stripe itself where the environment has a test key."""
    key = os.environ.get(CHECK_KEY_VARIABLE, "")
    return [stripe_case(api_key=key)] if "_test_" in key else []


def sign(*, secret: str, timestamp: int, body: bytes) -> str:
    """The value of the header `Stripe-Signature`; `timestamp` is in seconds since 1970."""
    signed = f"{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def _webhook(call: Call, request: Authorize, outcome: Outcome, at: datetime) -> WebhookRequest:
    """What Stripe sends when a payment is taken at once."""
    minor = to_stripe(request.amount)
    seconds = int(at.timestamp())
    intent = {
        "id": outcome.provider_reference,
        "object": "payment_intent",
        "amount": minor,
        "amount_received": minor,
        "capture_method": "automatic",
        "created": seconds,
        "currency": request.amount.currency.lower(),
        "latest_charge": "ch_contract",
        "livemode": call.mode == "live",
        "metadata": {KEY: request.key},
        "status": "succeeded",
    }
    event = {
        "id": f"evt_{outcome.provider_reference}",
        "object": "event",
        "api_version": None,
        "created": seconds,
        "data": {"object": intent},
        "livemode": call.mode == "live",
        "pending_webhooks": 1,
        "type": "payment_intent.succeeded",
    }
    body = msgspec.json.encode(event)
    secret = settings_of(call).webhook_secrets[0]
    headers = {"stripe-signature": sign(secret=secret, timestamp=seconds, body=body)}
    return WebhookRequest(headers=headers, body=body, received_at=at)
