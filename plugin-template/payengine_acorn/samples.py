"""How is Acorn's test mode made to approve, decline and fall silent?"""

# ruff: noqa: S106 - test tokens are names, no secrets

from __future__ import annotations

import json
from datetime import datetime

import msgspec
from payengine.plugin import Authorize, Call, Outcome, PaymentMethod, WebhookRequest
from payengine.testing import GatewayCase

from payengine_acorn import AcornGateway, AcornSettings
from payengine_acorn.webhooks import sign

__all__ = ["acorn_case"]


def acorn_case() -> GatewayCase:
    """Acorn with its samples."""
    return GatewayCase(
        gateway=AcornGateway(),
        settings=AcornSettings(api_key="test", webhook_secret="shh"),
        approved_token="card_good",
        declined_token="card_poor",
        decline_code="insufficient_funds",
        make_timeout=_lose_answer,
        sign_webhook=_webhook,
        deadline_ms=500,
    )


def _lose_answer(request: Authorize) -> Authorize:
    return msgspec.structs.replace(request, payment_method=PaymentMethod(token="card_silent"))


def _webhook(call: Call, request: Authorize, outcome: Outcome, at: datetime) -> WebhookRequest:
    answer = {
        "id": outcome.provider_reference,
        "state": "ok",
        "reason": "",
        "cents": request.amount.minor,
        "currency": request.amount.currency,
        "taken": outcome.captured,
    }
    notice = {"id": f"evt_{outcome.provider_reference}", "key": request.key, "answer": answer}
    body, stamp = json.dumps(notice).encode(), str(int(at.timestamp()))
    proof = sign(secret=call.settings.webhook_secret, stamp=stamp, body=body)
    headers = {"acorn-time": stamp, "acorn-proof": proof}
    return WebhookRequest(headers=headers, body=body, received_at=at)
