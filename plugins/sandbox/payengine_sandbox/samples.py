"""What do the contract tests need to know about the sandbox?"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import cast

import msgspec
from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Gateway,
    Outcome,
    PaymentMethod,
    PayoutDestination,
    WebhookRequest,
)
from payengine.testing import GatewayCase, RailCase

from payengine_sandbox.cards import MAGIC_TOKEN
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.local import settings_of
from payengine_sandbox.payouts import SandboxRail
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.webhooks import Notice, sign
from payengine_sandbox.wire import Shown

__all__ = ["rail_case", "sandbox_case"]

_LOST_ANSWER = 3104
_IN_MEMORY = Path(":memory:")


def sandbox_case(*, url: str | None = None, path: Path = _IN_MEMORY) -> GatewayCase:
    """The sandbox as a case: at `url`, else in this process with books in memory."""
    url = url or os.environ.get("PAYENGINE_SANDBOX_URL")
    return GatewayCase(
        gateway=SandboxGateway(url=url) if url else SandboxGateway(path=path),
        deadline_ms=1_000,
        settings=SandboxSettings(pending_ms=200),
        approved_token="tok_visa",  # noqa: S106 - test tokens are names, no secrets
        declined_token="tok_decline_insufficient_funds",  # noqa: S106
        decline_code="insufficient_funds",
        challenge_token="tok_challenge",  # noqa: S106
        pending_token="tok_pending",  # noqa: S106
        make_timeout=_lose_answer,
        sign_webhook=_webhook,
        open_dispute=_dispute,
    )


def rail_case(*, path: Path = _IN_MEMORY) -> RailCase:
    """The sandbox's payout rail, with its book in memory."""
    rail = SandboxRail(path)

    async def books(call: Call) -> list[str]:
        return [one.key for one in rail.book().every(call.account)]

    def to(token: str) -> PayoutDestination:
        return PayoutDestination(kind="token", number=token)

    return RailCase(
        rail=rail,
        settings=SandboxSettings(),
        pays=to("acct_ok"),
        refuses=to("acct_closed"),
        loses=to("acct_lost_answer"),
        books=books,
    )


async def _dispute(gateway: Gateway, call: Call, request: Authorize) -> str:
    """The buyer disputes at the sandbox behind the gateway, however it is wrapped."""
    sandbox = getattr(gateway, "inner", gateway)
    return (await cast(SandboxGateway, sandbox).dispute(call, request.key)).reference


def _lose_answer(request: Authorize) -> Authorize:
    amount = Amount(_LOST_ANSWER, request.amount.currency)
    method = PaymentMethod(token=MAGIC_TOKEN)
    return msgspec.structs.replace(request, amount=amount, payment_method=method)


def _webhook(call: Call, request: Authorize, outcome: Outcome, at: datetime) -> WebhookRequest:
    reference = outcome.provider_reference or ""
    event_id = f"evt_{reference}"
    notice = Notice(
        id=event_id,
        account=call.account,
        created_at=at,
        operation=Shown(
            reference=reference,
            key=request.key,
            kind="authorize",
            status="succeeded",
            amount_minor=request.amount.minor,
            currency=request.amount.currency,
            captured=outcome.captured,
            fee_minor=outcome.fee_minor,
        ),
    )
    body = msgspec.json.encode(notice)
    timestamp = int(at.timestamp())
    signature = sign(
        secret=settings_of(call).webhook_secret, event_id=event_id, timestamp=timestamp, body=body
    )
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
        "content-type": "application/json",
    }
    return WebhookRequest(headers=headers, body=body, received_at=at)
